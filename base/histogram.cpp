// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/histogram.h"

#include <cmath>
#include <numeric>

namespace ddict {

void Histogram::add(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < buckets; ++i)
        buckets_[i] += other.buckets_[i];
}

std::uint64_t Histogram::count() const noexcept {
    return std::accumulate(buckets_.begin(), buckets_.end(), std::uint64_t{0});
}

double Histogram::quantile(double q) const noexcept {
    const std::uint64_t total = count();
    if (total == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(total)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets; ++i) {
        seen += buckets_[i];
        if (seen == 0 || seen < wanted) continue;
        if (i < (std::size_t{2} << precision_bits)) return static_cast<double>(i);
        const unsigned shift = static_cast<unsigned>(i >> precision_bits) - 1;
        const std::uint64_t within = (i & ((1u << precision_bits) - 1)) + (1u << precision_bits);
        return static_cast<double>(within << shift) + static_cast<double>(std::uint64_t{1} << shift) / 2;
    }
    return 0;
}

}  // namespace ddict
