// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What this process has done with a dictionary, and how long it took, as the process itself sees it.
#pragma once

#include <cstdint>
#include <vector>

#include <ddict/error.h>
#include <ddict/standard.h>

namespace ddict {

/// One kind of operation. A batch counts once for each message it was cut into.
struct OperationProfile {
    Operation operation = Operation::none;
    std::uint64_t count = 0;           ///< requests that have ended, with or without success
    std::uint64_t errors = 0;          ///< of these; a missing key is an answer and does not count
    std::uint64_t bytes_sent = 0;      ///< of values and packed items
    std::uint64_t bytes_received = 0;  ///< the same
    std::uint64_t samples = 0;         ///< how many were timed: about one of 16
    // Of the timed ones, from the request to its answer. Within 13 % of the true value.
    std::chrono::nanoseconds p50{0};
    std::chrono::nanoseconds p90{0};
    std::chrono::nanoseconds p99{0};
    std::chrono::nanoseconds longest{0};
};

/// All threads of the process together, since it attached or since profile_reset().
struct ClientProfile {
    std::uint64_t threads = 0;      ///< that have connections now
    std::uint64_t local_reads = 0;  ///< keys that were looked up in this node's memory, without a message
    std::vector<OperationProfile> operations;  ///< sent as messages; only kinds that were used
};

}  // namespace ddict
