// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The one source of chance in a test. The seed is printed, and can be given in the environment.
#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace ddict::shm {

class Chance {
  public:
    Chance() {
        const char* given = std::getenv("DDICT_TEST_SEED");
        const std::uint64_t seed =
            given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
        std::cout << "DDICT_TEST_SEED=" << seed << std::endl;
        engine_.seed(seed);
    }
    std::uint64_t number() { return engine_(); }
    /// Evenly from [0, end). Requires end > 0.
    std::uint64_t below(std::uint64_t end) { return engine_() % end; }
    /// Of any order of magnitude up to end, small ones as often as large ones.
    std::uint64_t size_below(std::uint64_t end) {
        return below(std::uint64_t{1} << below(static_cast<std::uint64_t>(std::bit_width(end)))) % end;
    }
    std::mt19937_64& engine() { return engine_; }

  private:
    std::mt19937_64 engine_;
};

}  // namespace ddict::shm
