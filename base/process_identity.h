// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace ddict {

/// Where a peer lives, as it says itself. Two processes share a host when their host keys are equal: then the
/// connection may use shared memory, and the transport watches the process itself for its death.
struct ProcessIdentity {
    std::uint64_t host_key = 0;  ///< boot id and namespaces, hashed
    std::int32_t pid = 0;        ///< as seen on that host
    std::uint32_t reserved = 0;
    std::uint64_t start_time = 0;  ///< of the process, in clock ticks after boot: tells a reused pid
};

}  // namespace ddict
