// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/operation_times.h"

#include <algorithm>

#include "rpc/request.h"

namespace ddict::manager {

void OperationTimes::stop(wire::Verb verb, std::uint64_t started) {
    const std::uint64_t took = clock_() - started;
    std::unique_ptr<Times>& times = times_[index(verb)];
    if (times == nullptr) times = std::make_unique<Times>();
    times->histogram.add(took);
    times->longest = std::max(times->longest, took);
}

std::vector<OperationStats> OperationTimes::statistics() const {
    std::vector<OperationStats> out;
    for (std::size_t i = 1; i <= wire::verb_last; ++i) {
        if (counts_[i] == 0) continue;
        OperationStats& stats = out.emplace_back();
        stats.operation = operation_of(static_cast<wire::Verb>(i));
        stats.count = counts_[i];
        if (times_[i] == nullptr) continue;
        const Times& times = *times_[i];
        // A quantile is the middle of a bucket, and may lie beyond the longest.
        const auto quantile = [&](double q) {
            return std::min(static_cast<std::uint64_t>(times.histogram.quantile(q)), times.longest);
        };
        stats.p50_ns = quantile(0.5);
        stats.p99_ns = quantile(0.99);
        stats.max_ns = times.longest;
    }
    return out;
}

}  // namespace ddict::manager
