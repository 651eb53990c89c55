// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <ddict/result.h>

#include "launcher/events.h"
#include "launcher/plan.h"
#include "os/environment.h"

namespace ddict::launcher {

/// Which of the node launchers this one is.
struct NodeIdentity {
    std::string node;  // host name
    std::string step;  // Slurm's "JOB.STEP"; empty without Slurm
    NodeId id{};       // of the node launcher
    std::uint32_t first_manager = 0;

    /// An event that says where it comes from.
    Event event(Event::Kind kind) const;
};

/// Slurm tells the rank before PMIx does, so that the managers start while PMIx does. Fills `identity` in, as
/// far as it is known. Errors: system: srun has not told the rank.
Result<void> find_identity(const NodePlan& plan, const os::Environment& environment, NodeIdentity& identity);

}  // namespace ddict::launcher
