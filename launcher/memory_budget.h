// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Is there space for a node's pools? Asked before anything is touched: a full /dev/shm would be a SIGBUS, and
// a job above the limit of its cgroup is killed together with Slurm's own daemon. Pure.
#pragma once

#include <cstdint>
#include <string>

#include <ddict/result.h>

namespace ddict::launcher {

struct MemoryNeed {
    std::uint32_t managers = 0;            // on this node
    std::uint32_t managers_total = 0;      // in the dictionary: the directory has an entry for each
    std::uint64_t pool_bytes = 0;          // of each
    std::uint32_t pools_kept = 0;          // of those managers: that are there already,
    std::uint64_t kept_missing_bytes = 0;  // but for this, of all together

    std::uint64_t shared_bytes() const;    // in /dev/shm
    std::uint64_t resident_bytes() const;  // that, and what the processes need themselves
};

struct MemoryHave {
    std::uint64_t shared_free_bytes = 0;  // in /dev/shm
    std::uint64_t free_bytes = 0;         // that this job may still use on this node
    std::string limited_by;               // what says so, for people
};

/// no_space, naming need and have and what to do, if there is not enough.
Result<void> check_memory(const MemoryNeed& need, const MemoryHave& have);

}  // namespace ddict::launcher
