// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-launch --check-node on all nodes of a plan, which meet there as node launchers do.
#pragma once

#include <ddict/result.h>

#include "launcher/plan.h"
#include "os/child_process.h"
#include "os/environment.h"

namespace ddict::launcher {

/// What they have printed, when all have ended. Errors: system, of the first one that could not be started or
/// has failed; timeout, not within the plan's: it names the silent ones.
Result<os::Captured> ask_nodes(const LaunchPlan& plan, const os::Environment& environment);

}  // namespace ddict::launcher
