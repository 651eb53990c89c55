// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The one source of chance in a simulation: the same seed gives the same run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace ddict::sim {

class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    std::uint64_t number() { return engine_(); }
    /// Evenly from [0, end). Requires end > 0.
    std::uint64_t below(std::uint64_t end) { return engine_() % end; }
    bool chance(unsigned percent) { return below(100) < percent; }

    std::vector<std::byte> bytes(std::size_t count) {
        std::vector<std::byte> out(count);
        std::uint64_t bits = 0;
        for (std::size_t i = 0; i < count; ++i, bits >>= 8) {
            if (i % 8 == 0) bits = engine_();
            out[i] = static_cast<std::byte>(bits & 255);
        }
        return out;
    }

  private:
    std::mt19937_64 engine_;
};

}  // namespace ddict::sim
