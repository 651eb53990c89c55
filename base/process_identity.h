// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace ddict {

/// Where a peer lives, as it says itself. Two processes share a host when their host keys are equal: then
/// they can meet without a network.
struct ProcessIdentity {
    std::uint64_t host_key = 0;       ///< boot, /dev/shm and user, hashed
    std::int32_t pid = 0;             ///< of its namespace of processes
    std::uint32_t pid_namespace = 0;  ///< of one host; 0: not known
    std::uint64_t start_time = 0;     ///< of the process, in clock ticks after boot: tells a reused pid
};

}  // namespace ddict
