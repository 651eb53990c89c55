// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/node_identity.h"

#include <charconv>
#include <string_view>

#include "launcher/host_step.h"
#include "os/host_name.h"

namespace ddict::launcher {

Event NodeIdentity::event(Event::Kind kind) const {
    Event event;
    event.kind = kind;
    event.node = node;
    event.node_id = id;
    return event;
}

Result<void> find_identity(const NodePlan& plan, const os::Environment& environment, NodeIdentity& identity) {
    identity.node = os::host_name();
    if (plan.bootstrap == Bootstrap::alone) return {};
    const auto job = environment.find("SLURM_JOB_ID");
    const auto step = environment.find("SLURM_STEP_ID");
    if (job != environment.end() && step != environment.end())
        identity.step = job->second + "." + step->second;
    const std::string variable = plan.in_job ? "SLURM_PROCID" : rank_variable;
    const std::string_view digits = os::value_of(environment, variable);
    std::uint32_t rank = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (digits.empty() || error != std::errc() || rank >= plan.nodes)
        return Error(Errc::system, "this node launcher was not told its rank (" + variable + ")");
    identity.id = NodeId{rank};
    identity.first_manager = rank * plan.managers_per_node;
    return {};
}

}  // namespace ddict::launcher
