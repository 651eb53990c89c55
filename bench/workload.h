// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The keys and values of a run, and which is chosen how often: random letters, the same ones in every process
// and every run of one seed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/popularity.h"

namespace ddict::bench {

struct WorkloadOptions {
    std::uint64_t pairs = 8192;
    std::size_t key_bytes = 30;
    std::uint64_t seed = 1;
    double zipf_exponent = 0;  ///< 0: all pairs are chosen alike
};

class Workload {
  public:
    static constexpr std::uint64_t broadcast_pairs_max = 64;

    /// Requires that there are at least twice as many keys of that length as pairs: see keys_possible().
    explicit Workload(const WorkloadOptions& options);

    std::uint64_t pairs() const { return pairs_; }
    std::size_t key_bytes() const { return key_bytes_; }
    std::span<const std::byte> key(std::uint64_t pair) const {
        return std::as_bytes(std::span(letters_))
            .subspan(static_cast<std::size_t>(pair) * key_bytes_, key_bytes_);
    }

    /// Keys of their own for broadcasts: what a broadcast has stored only broadcasts may change. There are
    /// few of them, since each is on every manager.
    std::uint64_t broadcast_pairs() const { return std::min(pairs_, broadcast_pairs_max); }
    std::span<const std::byte> broadcast_key(std::uint64_t pair) const {
        return std::as_bytes(std::span(broadcast_letters_))
            .subspan(static_cast<std::size_t>(pair) * key_bytes_, key_bytes_);
    }

    /// A pair for the next operation.
    std::uint64_t choose(Random& random) const noexcept { return popularity_.draw(random); }

    /// How many keys of letters of a length there are; UINT64_MAX for very many.
    static std::uint64_t keys_possible(std::size_t key_bytes);

    /// A value of any length begins with up to 8 bytes that only its pair has; the rest is letters.
    static std::vector<std::byte> value_letters(std::uint64_t bytes);
    static void stamp(std::span<std::byte> value, std::uint64_t pair);
    static bool stamped(std::span<const std::byte> value, std::uint64_t pair);

  private:
    std::uint64_t pairs_;
    std::size_t key_bytes_;
    std::string letters_;            // of all keys, one behind the other
    std::string broadcast_letters_;  // the same keys with another first byte
    Popularity popularity_;
};

}  // namespace ddict::bench
