// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/node_identity.h"

#include <charconv>
#include <string_view>

#include "os/host_name.h"

namespace ddict::launcher {

Event NodeIdentity::event(Event::Kind kind) const {
    Event event;
    event.kind = kind;
    event.node = node;
    event.index = index;
    return event;
}

Result<void> find_identity(const NodePlan& plan, const os::Environment& environment, NodeIdentity& identity) {
    identity.node = os::host_name();
    if (!plan.pmix) return {};
    const auto job = environment.find("SLURM_JOB_ID");
    const auto step = environment.find("SLURM_STEP_ID");
    if (job != environment.end() && step != environment.end())
        identity.step = job->second + "." + step->second;
    const std::string_view digits = os::value_of(environment, "SLURM_PROCID");
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), identity.index);
    if (digits.empty() || error != std::errc() || identity.index >= plan.nodes)
        return Error(Errc::system, "srun has not told this node launcher its rank (SLURM_PROCID)");
    identity.first_manager = identity.index * plan.managers_per_node;
    return {};
}

}  // namespace ddict::launcher
