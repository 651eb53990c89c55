// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace ddict {

/// What the random choices of this program follow from: DDICT_TEST_SEED, or any number. Printed when it is
/// first asked for.
inline std::uint64_t test_seed() {
    static const std::uint64_t value = [] {
        const char* given = std::getenv("DDICT_TEST_SEED");
        const std::uint64_t chosen =
            given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
        std::printf("DDICT_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
        return chosen;
    }();
    return value;
}

}  // namespace ddict
