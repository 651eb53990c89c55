// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/bytes.h"

namespace ddict::transport {

/// Pieces of a stream that have overtaken others, until their turn comes.
///
/// Invariant: memory() is what all of it takes, and never more than the maximum: however small the pieces
/// are that somebody sends, what is kept besides their bytes counts as well.
class EarlyBytes {
  public:
    explicit EarlyBytes(std::size_t memory_max) : memory_max_(memory_max) {}

    /// False if that would take more memory than may be; nothing is kept then. Of two pieces at one position
    /// the first stays. std::bad_alloc.
    bool keep(std::uint64_t position, Bytes bytes);
    /// The piece at this position, which is where the stream goes on; empty if there is none. What lies
    /// before it is forgotten: it has come otherwise.
    std::vector<std::byte> take(std::uint64_t position);
    std::size_t memory() const noexcept { return memory_; }

  private:
    using Pieces = std::map<std::uint64_t, std::vector<std::byte>>;
    /// As the C++ library and the C library lay it out: a node of the tree, and two blocks of the heap,
    /// whose sizes are rounded up.
    static constexpr std::size_t piece_overhead = sizeof(Pieces::value_type) + 4 * sizeof(void*) + 3 * 16;
    static std::size_t memory_of(const std::vector<std::byte>& piece) noexcept {
        return piece_overhead + piece.capacity();
    }
    std::vector<std::byte> remove(Pieces::iterator piece);

    std::size_t memory_max_;
    std::size_t memory_ = 0;
    Pieces pieces_;
};

}  // namespace ddict::transport
