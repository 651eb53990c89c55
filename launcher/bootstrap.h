// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How the node launchers of a job meet: through PMIx where srun has its plugin, else by way of the launcher.
#pragma once

#include <string>

#include "launcher/options.h"
#include "launcher/plan.h"
#include "os/environment.h"

namespace ddict::launcher {

/// What srun can do, as it says itself.
struct PmixPlugin {
    enum class State { there, missing, unknown };
    State state = State::unknown;
    std::string why;  // of unknown
};
/// Runs srun --mpi=list, for some seconds at most.
PmixPlugin find_pmix_plugin(const os::Environment& environment);

/// As `wanted`, or what works: both do where PMIx is there, streams always.
Bootstrap choose_bootstrap(BootstrapOption wanted, const os::Environment& environment);

}  // namespace ddict::launcher
