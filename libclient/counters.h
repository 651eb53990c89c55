// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a client counts of its own operations. Each session counts for itself: one thread writes, without
// locked instructions, and any thread may read meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <ddict/profile.h>

#include "rpc/requester.h"

namespace ddict::client {

/// A number that one thread writes and others read.
class Tally {
  public:
    void add(std::uint64_t n) { value_.store(get() + n, std::memory_order_relaxed); }
    std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// The buckets of sampled latencies: four to each power of two of nanoseconds.
inline constexpr std::size_t latency_buckets = 160;

class Counters {
  public:
    Counters() = default;
    ~Counters() {
        for (const auto& kind : kinds_)
            delete kind.load(std::memory_order_relaxed);
    }
    Counters(const Counters&) = delete;
    Counters& operator=(const Counters&) = delete;

    /// Whether the next operation's time counts: then it has to be begun with the exact time.
    bool samples_next() const { return (turn_ + 1) % sample_every == 0; }
    /// An operation has ended that was begun at `started`.
    void add(wire::Verb verb, std::uint64_t bytes_sent, const Result<Reply>& outcome, Time started) {
        Kind* known = kinds_[static_cast<std::size_t>(verb)].load(std::memory_order_relaxed);
        if (known == nullptr) [[unlikely]] {
            known = make(verb);
            if (known == nullptr) return;
        }
        Kind& kind = *known;
        kind.count.add(1);
        if (bytes_sent != 0) kind.bytes_sent.add(bytes_sent);
        if (outcome) {
            if (outcome->value_bytes != 0) kind.bytes_received.add(outcome->value_bytes);
        } else if (outcome.error().code != Errc::not_found) {
            kind.errors.add(1);
        }
        if (++turn_ % sample_every == 0) sample(kind, std::chrono::steady_clock::now() - started);
    }

    /// Adds what was counted here to `sums`. Any thread.
    struct KindSum {
        std::uint64_t count = 0, errors = 0, bytes_sent = 0, bytes_received = 0;
        std::array<std::uint64_t, latency_buckets> latencies{};
        void add(const KindSum& other, bool subtract);
    };
    using Sums = std::array<KindSum, wire::verb_last + 1>;
    void add_to(Sums& sums) const;

  private:
    static constexpr std::uint32_t sample_every = 16;

    struct Kind {
        Tally count, errors, bytes_sent, bytes_received;
        std::array<Tally, latency_buckets> latencies;
    };

    /// Null if there is no memory: nothing is counted then.
    Kind* make(wire::Verb verb) noexcept;
    static void sample(Kind& kind, std::chrono::nanoseconds took) {
        const auto n = static_cast<std::uint64_t>(took.count() < 4 ? 4 : took.count());
        const auto power = static_cast<unsigned>(std::bit_width(n)) - 1;
        const std::size_t bucket = std::size_t{power} * 4 + ((n >> (power - 2)) & 3);
        kind.latencies[bucket < latency_buckets ? bucket : latency_buckets - 1].add(1);
    }

    // By verb. Most threads call few of them: each is made when it is first called.
    std::array<std::atomic<Kind*>, wire::verb_last + 1> kinds_{};
    std::uint32_t turn_ = 0;
};

/// The counts between two readings, for people.
ClientProfile profile_of(const Counters::Sums& now, const Counters::Sums& before);

}  // namespace ddict::client
