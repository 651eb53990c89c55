// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What Slurm has given to the job that this process runs in, as Slurm tells it in the environment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "os/environment.h"

namespace ddict::slurm {

struct AllocatedNode {
    std::string name;
    std::uint32_t het_group = 0;
    std::uint32_t cpus = 0;  // of this job on this node; 0 if Slurm does not say
    // What the job asked for on this node. None if Slurm does not say, or if it is all that the node has.
    std::optional<std::uint64_t> memory_bytes = std::nullopt;
};

struct Allocation {
    std::string job_id;            // of a heterogeneous job: of its first group
    std::uint32_t het_groups = 0;  // 0: not a heterogeneous job
    // In Slurm's order, each node once. Of a heterogeneous job: group after group; a node in several groups
    // belongs to the first of them.
    std::vector<AllocatedNode> nodes;
    // Slurm's name of the node that this process is on; empty if Slurm does not say.
    std::string this_node = {};

    /// Null if the job does not have the node.
    const AllocatedNode* find(std::string_view node_name) const;
};

/// None outside a job. invalid_argument, naming the variable, if what Slurm says cannot be understood.
Result<std::optional<Allocation>> detect_allocation(const os::Environment& environment);

}  // namespace ddict::slurm
