// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/popularity.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/assert.h"

namespace ddict::bench {

Popularity::Popularity(std::uint64_t pairs, double zipf_exponent) : pairs_(pairs) {
    DDICT_ASSERT(pairs > 0 && pairs <= UINT32_MAX, "so many pairs cannot be chosen from");
    if (zipf_exponent == 0) return;
    const auto count = static_cast<std::size_t>(pairs);
    // Weights such that the average is 1: what a column holds.
    std::vector<double> weights(count);
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i)
        sum += weights[i] = std::pow(static_cast<double>(i + 1), -zipf_exponent);
    std::vector<std::uint32_t> poor;
    std::vector<std::uint32_t> rich;
    for (std::size_t i = 0; i < count; ++i) {
        weights[i] *= static_cast<double>(count) / sum;
        (weights[i] < 1 ? poor : rich).push_back(static_cast<std::uint32_t>(i));
    }
    constexpr double whole = 4294967296.0;
    columns_.resize(count);
    for (std::uint32_t i = 0; i < count; ++i)
        columns_[i] = {.own = UINT32_MAX, .other = i};
    while (!poor.empty() && !rich.empty()) {
        const std::uint32_t small = poor.back();
        const std::uint32_t large = rich.back();
        poor.pop_back();
        columns_[small] = {.own = static_cast<std::uint32_t>(std::min(weights[small] * whole, whole - 1)),
                           .other = large};
        weights[large] -= 1 - weights[small];
        if (weights[large] >= 1) continue;
        rich.pop_back();
        poor.push_back(large);
    }
}

}  // namespace ddict::bench
