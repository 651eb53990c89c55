// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/counters.h"

#include <new>

namespace ddict::client {
namespace {

/// The middle of a bucket.
std::chrono::nanoseconds time_of(std::size_t bucket) {
    const std::uint64_t low = (4 + bucket % 4) << (bucket / 4) >> 2;
    const std::uint64_t width = (std::uint64_t{1} << (bucket / 4)) >> 2;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(low + width / 2));
}

/// Below which a share of the samples lies.
std::chrono::nanoseconds percentile(const Counters::KindSum& kind, std::uint64_t samples, double share) {
    const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(samples - 1));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < latency_buckets; ++bucket) {
        seen += kind.latencies[bucket];
        if (seen > rank) return time_of(bucket);
    }
    return std::chrono::nanoseconds(0);
}

}  // namespace

void Counters::KindSum::add(const KindSum& other, bool subtract) {
    const auto change = [&](std::uint64_t& to, std::uint64_t by) { subtract ? to -= by : to += by; };
    change(count, other.count);
    change(errors, other.errors);
    change(bytes_sent, other.bytes_sent);
    change(bytes_received, other.bytes_received);
    for (std::size_t i = 0; i < latency_buckets; ++i)
        change(latencies[i], other.latencies[i]);
}

Counters::Kind* Counters::make(wire::Verb verb) noexcept {
    Kind* const kind = new (std::nothrow) Kind;
    kinds_[static_cast<std::size_t>(verb)].store(kind, std::memory_order_release);
    return kind;
}

void Counters::add_to(Sums& sums) const {
    for (std::size_t i = 0; i < kinds_.size(); ++i) {
        const Kind* const known = kinds_[i].load(std::memory_order_acquire);
        if (known == nullptr) continue;
        const Kind& kind = *known;
        KindSum& sum = sums[i];
        sum.count += kind.count.get();
        sum.errors += kind.errors.get();
        sum.bytes_sent += kind.bytes_sent.get();
        sum.bytes_received += kind.bytes_received.get();
        for (std::size_t bucket = 0; bucket < latency_buckets; ++bucket)
            sum.latencies[bucket] += kind.latencies[bucket].get();
    }
}

ClientProfile profile_of(const Counters::Sums& now, const Counters::Sums& before) {
    ClientProfile profile;
    for (std::size_t i = 0; i < now.size(); ++i) {
        Counters::KindSum sum = now[i];
        sum.add(before[i], true);
        if (sum.count == 0) continue;
        OperationProfile& kind = profile.operations.emplace_back();
        kind.operation = operation_of(static_cast<wire::Verb>(i));
        kind.count = sum.count;
        kind.errors = sum.errors;
        kind.bytes_sent = sum.bytes_sent;
        kind.bytes_received = sum.bytes_received;
        for (const std::uint64_t n : sum.latencies)
            kind.samples += n;
        if (kind.samples == 0) continue;
        kind.p50 = percentile(sum, kind.samples, 0.50);
        kind.p90 = percentile(sum, kind.samples, 0.90);
        kind.p99 = percentile(sum, kind.samples, 0.99);
        kind.longest = percentile(sum, kind.samples, 1.0);
    }
    return profile;
}

}  // namespace ddict::client
