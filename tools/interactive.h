// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tools/arguments.h"
#include "tools/completion.h"

namespace ddict::tools {

/// 'ddict shell': reads commands, and runs each as a process of its own, which can be interrupted, and cannot
/// harm this one. The exit status of the last one.
int run_interactively(const Arguments& arguments, const Known& known);

}  // namespace ddict::tools
