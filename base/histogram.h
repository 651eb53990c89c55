// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Latencies of many operations, in fixed memory (18 KiB): buckets of 1/64 of a power of two, so that a
// quantile is off by at most 1.6 %. Plain data: it lives in memory shared between processes.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ddict {

class Histogram {
  public:
    /// A few instructions and one cache line; longer than 18 minutes counts as 18 minutes.
    void add(std::uint64_t nanoseconds) noexcept { ++buckets_[bucket_of(nanoseconds)]; }
    void add(const Histogram& other) noexcept;
    void clear() noexcept { buckets_.fill(0); }

    std::uint64_t count() const noexcept;
    /// The latency below which the share `q` (0 to 1) of all operations lies, in nanoseconds; 0 when empty.
    double quantile(double q) const noexcept;

  private:
    static constexpr unsigned precision_bits = 6;
    static constexpr unsigned range_bits = 40;
    static constexpr std::size_t buckets = (range_bits - precision_bits + 1) << precision_bits;

    static std::size_t bucket_of(std::uint64_t value) noexcept {
        constexpr std::uint64_t highest = (std::uint64_t{1} << range_bits) - 1;
        if (value > highest) value = highest;
        if (value < (1u << precision_bits)) return static_cast<std::size_t>(value);
        const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - precision_bits;
        return (static_cast<std::size_t>(shift) << precision_bits) + static_cast<std::size_t>(value >> shift);
    }

    std::array<std::uint64_t, buckets> buckets_{};
};

}  // namespace ddict
