// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A dictionary that outlives the command that started it: start, stop, status and env.
#pragma once

#include "launcher/options.h"
#include "os/environment.h"

namespace ddict::launcher {

/// Brings a dictionary up, leaves its launcher in the background and prints the handle. Each returns the
/// exit status.
int start(const Options& options, const os::Environment& environment);
/// Ends it and waits until it is gone.
int stop(const Options& options, const os::Environment& environment);
int status(const Options& options, const os::Environment& environment);
/// Prints the line that "start --export" printed.
int print_environment(const Options& options, const os::Environment& environment);

}  // namespace ddict::launcher
