// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-launch --check: can a dictionary with these options be brought up here? Asks Slurm, and every node of
// the job.
#pragma once

#include "launcher/options.h"
#include "os/environment.h"

namespace ddict::launcher {

/// Prints one screen. 0 if nothing failed, 1 otherwise.
int check(const Options& options, const os::Environment& environment);

/// On each node, started by check(): prints what the node says of itself.
int check_node(const Options& options, const os::Environment& environment);

}  // namespace ddict::launcher
