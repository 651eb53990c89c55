// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/options.h"
#include "os/environment.h"

namespace ddict::launcher {

/// Has another process take the place of a manager of a dictionary that start has left running: by the
/// program ddict, which is given its handle. Returns the exit status, which is that program's if it ran.
int restart(const Options& options, const os::Environment& environment);

}  // namespace ddict::launcher
