// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How often each pair is chosen: all alike, or by Zipf's law, where the pair of rank r is chosen with a
// probability proportional to 1 / r^exponent.
#pragma once

#include <cstdint>
#include <vector>

namespace ddict::bench {

/// splitmix64: some instructions per number, good enough to choose keys.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() noexcept;
    /// 0 to bound - 1. Requires bound < 2^32; the bias is below bound / 2^32.
    std::uint64_t below(std::uint64_t bound) noexcept { return ((next() >> 32) * bound) >> 32; }

  private:
    std::uint64_t state_;
};

inline std::uint64_t Random::next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

class Popularity {
  public:
    /// `pairs`: 1 to 2^32 - 1. With an exponent of 0 all are alike, and there is no table; else 8 bytes a
    /// pair.
    Popularity(std::uint64_t pairs, double zipf_exponent);

    /// A pair; those of low numbers are the popular ones. Cost: one random number, and one look into the
    /// table.
    std::uint64_t draw(Random& random) const noexcept {
        const std::uint64_t number = random.next();
        const std::uint64_t column = ((number >> 32) * pairs_) >> 32;
        if (columns_.empty()) return column;
        const Column& one = columns_[static_cast<std::size_t>(column)];
        return static_cast<std::uint32_t>(number) < one.own ? column : one.other;
    }

  private:
    /// Walker's alias method: a column belongs to its pair up to `own` (of 2^32), and above it to another.
    struct Column {
        std::uint32_t own;
        std::uint32_t other;
    };

    std::uint64_t pairs_;
    std::vector<Column> columns_;
};

}  // namespace ddict::bench
