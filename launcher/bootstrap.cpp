// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/bootstrap.h"

#include <chrono>

#include "launcher/launch_loop.h"
#include "launcher/node_check.h"
#include "os/child_process.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds list_timeout{10};

}  // namespace

PmixPlugin find_pmix_plugin(const os::Environment& environment) {
    using State = PmixPlugin::State;
    const auto listed = os::capture_output({"srun", "--mpi=list"}, environment, list_timeout);
    if (!listed) return {State::unknown, reason(listed.error())};
    if (slurm::pmix_plugin_available(listed->output + listed->errors)) return {State::there, {}};
    if (listed->status.success()) return {State::missing, {}};
    return {State::unknown,
            "srun --mpi=list " + listed->status.describe() + ": " + last_line(listed->errors)};
}

Bootstrap choose_bootstrap(BootstrapOption wanted, const os::Environment& environment) {
    if (wanted == BootstrapOption::pmix) return Bootstrap::pmix;
    if (wanted == BootstrapOption::streams) return Bootstrap::streams;
    return find_pmix_plugin(environment).state == PmixPlugin::State::there ? Bootstrap::pmix
                                                                           : Bootstrap::streams;
}

}  // namespace ddict::launcher
