// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How much memory this process's job may use on this node. Pools are budgeted against it before they are
// touched: when a job goes over the limit of its cgroup, the kernel kills the task and Slurm's own daemon
// with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <ddict/result.h>

namespace ddict::slurm {

struct MemoryLimit {
    std::uint64_t limit_bytes = 0;
    std::uint64_t used_bytes = 0;  // that cannot be had back; page cache of files is not counted
    std::string
        source;  // for people: "the cgroup /slurm/uid_0/job_7", "the job's --mem", "this node's memory"

    /// Why the limit of the cgroup could not be read, as part of a sentence; empty if it was, or there is
    /// none.
    std::string unseen = {};

    std::uint64_t free_bytes() const { return limit_bytes > used_bytes ? limit_bytes - used_bytes : 0; }
};

/// The tightest of: the limits of the cgroup (version 1 or 2) of this process and of all above it, what the
/// job asked for (AllocatedNode::memory_bytes), and what the node has. Tightest is what has the least
/// free_bytes(). In a cgroup namespace whose own group is not mounted, it is looked for in what is mounted.
/// root: where /proc and /sys are; for tests.
Result<MemoryLimit> memory_limit(std::optional<std::uint64_t> job_memory_bytes,
                                 const std::filesystem::path& root = "/");

}  // namespace ddict::slurm
