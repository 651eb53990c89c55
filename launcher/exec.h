// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A command in a dictionary that runs already: from another shell, or from outside of its job.
#pragma once

#include "launcher/options.h"
#include "os/environment.h"

namespace ddict::launcher {

/// Becomes the command, or the srun that runs it on a node of the dictionary's job. Returns only what is the
/// exit status where that cannot be.
int exec(const Options& options, const os::Environment& environment);

}  // namespace ddict::launcher
