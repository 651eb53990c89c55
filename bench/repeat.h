// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The innermost loop of everything that is measured. To read the clock takes a good part of the time of the
// fastest operations, so rates and latencies come from different phases: this one loop, without and with it.
#pragma once

#include <chrono>
#include <cstdint>

#include "bench/team.h"

namespace ddict::bench {

inline std::uint64_t nanoseconds_between(std::chrono::steady_clock::time_point from,
                                         std::chrono::steady_clock::time_point to) {
    return static_cast<std::uint64_t>((to - from) / Nanoseconds(1));
}

/// Calls `round` so often; each is `operations_of_round` operations. For latencies the clock is read once per
/// round: where one ends the next begins.
template <class Round>
void repeat(std::uint64_t rounds, bool each, std::uint64_t operations_of_round, Tally& tally, Round&& round) {
    if (!each) {
        for (std::uint64_t i = 0; i < rounds; ++i)
            round();
    } else {
        auto before = std::chrono::steady_clock::now();
        for (std::uint64_t i = 0; i < rounds; ++i) {
            round();
            const auto after = std::chrono::steady_clock::now();
            tally.latencies.add(nanoseconds_between(before, after));
            before = after;
        }
    }
    tally.operations += rounds * operations_of_round;
}

}  // namespace ddict::bench
