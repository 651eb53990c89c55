// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How full a manager's pool is, and what it has done: told to its node launcher (control.h), never to
// clients.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace ddict {

/// The pool has become so full, for the first time.
struct PoolFill {
    std::uint32_t percent = 0;  // one of fill_levels
    std::uint64_t used_bytes = 0;
    std::uint64_t pool_bytes = 0;
};
inline constexpr std::uint32_t fill_levels[] = {80, 95};

/// What a manager says when it ends in good order.
struct ManagerSummary {
    std::uint64_t peak_bytes = 0;  // of the pool: taken by pairs and by the index
    std::uint64_t pool_bytes = 0;
    std::uint64_t pairs = 0;         // at the end
    std::uint64_t requests = 0;      // that it has answered, but for those about its state
    std::uint64_t refused_puts = 0;  // no_space and too_large
    std::uint64_t local_reads = 0;   // of clients in its memory, without a message
};

inline void pack(const PoolFill& fill, std::vector<std::byte>& out) {
    Packer(out).put(fill.percent).put(fill.used_bytes).put(fill.pool_bytes);
}
inline PoolFill unpack_pool_fill(Unpacker& in) {
    PoolFill fill;
    fill.percent = in.take<std::uint32_t>();
    fill.used_bytes = in.take<std::uint64_t>();
    fill.pool_bytes = in.take<std::uint64_t>();
    return fill;
}

inline void pack(const ManagerSummary& summary, std::vector<std::byte>& out) {
    Packer(out).put(summary.peak_bytes).put(summary.pool_bytes).put(summary.pairs);
    Packer(out).put(summary.requests).put(summary.refused_puts).put(summary.local_reads);
}
inline ManagerSummary unpack_manager_summary(Unpacker& in) {
    ManagerSummary summary;
    summary.peak_bytes = in.take<std::uint64_t>();
    summary.pool_bytes = in.take<std::uint64_t>();
    summary.pairs = in.take<std::uint64_t>();
    summary.requests = in.take<std::uint64_t>();
    summary.refused_puts = in.take<std::uint64_t>();
    summary.local_reads = in.take<std::uint64_t>();
    return summary;
}

}  // namespace ddict
