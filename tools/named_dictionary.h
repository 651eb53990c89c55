// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A dictionary that is given by its job or its name instead of a handle: ddict-launch knows those.
#pragma once

#include "tools/arguments.h"

namespace ddict::tools {

/// Whether --job or --name were given. Throws UsageError if there is a handle, too.
bool names_dictionary(const Arguments& arguments);

/// Replaces this process: ddict-launch finds the dictionary, and runs the same command line without these
/// options where that can be reached. Throws std::runtime_error if there is no ddict-launch.
[[noreturn]] void become_within_dictionary(const Arguments& arguments);

}  // namespace ddict::tools
