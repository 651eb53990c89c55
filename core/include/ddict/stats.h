// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace ddict {

/// What one manager says of itself.
struct ManagerStats {
    std::uint32_t manager = 0;
    std::string node;      ///< host name
    std::int32_t pid = 0;  ///< on that host
    std::uint64_t keys = 0;
    std::uint64_t pool_bytes = 0;  ///< the pool, all included
    std::uint64_t used_bytes = 0;  ///< taken by pairs and by the index
    std::uint64_t free_bytes = 0;
    std::uint64_t largest_free_bytes = 0;  ///< the largest pair that would still fit
    std::uint64_t index_bytes = 0;         ///< the part of used_bytes that is index
    std::uint64_t sessions = 0;            ///< client threads registered now
    std::uint64_t rejected_messages = 0;   ///< garbage, wrong session, wrong secret
    std::uint64_t puts = 0, gets = 0, hits = 0, contains = 0, erases = 0, clears = 0, scans = 0;
    std::uint64_t refused_puts = 0;  ///< no_space and too_large
    std::string transport;           ///< of the session that asked, as the manager sees it
};

}  // namespace ddict
