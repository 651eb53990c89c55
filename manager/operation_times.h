// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <ddict/stats.h>

#include "base/histogram.h"
#include "wire/messages.h"

namespace ddict::manager {

/// Nanoseconds since any fixed moment.
using Nanoclock = std::uint64_t (*)();
inline std::uint64_t steady_nanoseconds() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

/// Counts requests by kind, and times some of them: the first of its kind and every 64th after it. A request
/// that is not timed costs an increment and a branch.
class OperationTimes {
  public:
    /// Without a clock, requests are only counted.
    explicit OperationTimes(Nanoclock clock) : clock_(clock) {}

    /// Counts; true if this one is to be timed, with start() before and stop() after it.
    bool count(wire::Verb verb) noexcept {
        return (counts_[index(verb)]++ & sampling_mask) == 0 && clock_ != nullptr;
    }
    std::uint64_t start() const { return clock_(); }
    /// Allocates at the first of its kind.
    void stop(wire::Verb verb, std::uint64_t started);

    /// Those kinds that there were.
    std::vector<OperationStats> statistics() const;

  private:
    static constexpr std::uint64_t sampling_mask = 63;
    struct Times {
        Histogram histogram;
        std::uint64_t longest = 0;
    };

    static std::size_t index(wire::Verb verb) noexcept { return static_cast<std::size_t>(verb); }

    Nanoclock clock_;
    std::array<std::uint64_t, wire::verb_last + 1> counts_{};
    std::array<std::unique_ptr<Times>, wire::verb_last + 1> times_;
};

}  // namespace ddict::manager
