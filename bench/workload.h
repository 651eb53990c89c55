// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The keys and values of the headline workload: random letters, the same ones in every process and every run
// of one seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
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

struct WorkloadOptions {
    std::uint64_t pairs = 8192;
    std::size_t key_bytes = 30;
    std::uint64_t seed = 1;
};

class Workload {
  public:
    /// Requires that there are at least twice as many keys of that length as pairs: see keys_possible().
    explicit Workload(const WorkloadOptions& options);

    std::uint64_t pairs() const { return pairs_; }
    std::span<const std::byte> key(std::uint64_t pair) const {
        return std::as_bytes(std::span(letters_))
            .subspan(static_cast<std::size_t>(pair) * key_bytes_, key_bytes_);
    }

    /// How many keys of letters of a length there are; UINT64_MAX for very many.
    static std::uint64_t keys_possible(std::size_t key_bytes);

    /// A value of any length begins with up to 8 bytes that only its pair has; the rest is letters.
    static std::vector<std::byte> value_letters(std::uint64_t bytes);
    static void stamp(std::span<std::byte> value, std::uint64_t pair);
    static bool stamped(std::span<const std::byte> value, std::uint64_t pair);

  private:
    std::uint64_t pairs_;
    std::size_t key_bytes_;
    std::string letters_;  // of all keys, one behind the other
};

}  // namespace ddict::bench
