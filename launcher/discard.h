// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Gives back the memory of dictionaries that were kept: on this host, or on the nodes of this job.
#pragma once

#include <string>
#include <vector>

#include "launcher/options.h"
#include "os/environment.h"

namespace ddict::launcher {

/// The verb "discard". Returns the exit status: 1 if nothing is kept under the name, or it could not be
/// discarded everywhere.
int discard(const Options& options, const os::Environment& environment);
/// The verb "--discard-here", which runs on each node.
int discard_here(const std::vector<std::string>& args);

}  // namespace ddict::launcher
