// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <vector>

namespace ddict::shm {

/// Hashes that are noted one at a time, passed on all at once, and taken out again in no order. Each step
/// takes some microseconds at the most, however many there are: they lie in chunks, and nothing is copied but
/// pointers. A few that are noted again and again stay few: each chunk has each hash once when it is full.
///
/// Invariants: no chunk is empty; hashes are added to the last one.
class HashNotes {
  public:
    static constexpr std::size_t chunk_hashes = 510;  // with the count, a little less than 4 KiB

    void add(std::uint64_t hash) {
        if (chunks_.empty() || chunks_.back()->count == chunk_hashes) make_space();
        Chunk& last = *chunks_.back();
        last.hashes[last.count++] = hash;
    }
    /// All of the other's come to these.
    void take_all(HashNotes& other) {
        if (chunks_.empty()) return chunks_.swap(other.chunks_);
        chunks_.insert(chunks_.end(), std::make_move_iterator(other.chunks_.begin()),
                       std::make_move_iterator(other.chunks_.end()));
        other.chunks_.clear();
    }
    std::optional<std::uint64_t> take() noexcept {
        if (chunks_.empty()) return std::nullopt;
        Chunk& last = *chunks_.back();
        const std::uint64_t hash = last.hashes[--last.count];
        if (last.count == 0) chunks_.pop_back();
        return hash;
    }
    bool empty() const noexcept { return chunks_.empty(); }
    /// Of hashes, where all chunks were full.
    std::uint64_t capacity() const noexcept { return chunks_.size() * chunk_hashes; }

  private:
    struct Chunk {
        std::array<std::uint64_t, chunk_hashes> hashes;
        std::size_t count = 0;
    };

    /// In the last chunk, where half of it is left, or in a new one.
    void make_space() {
        if (!chunks_.empty()) {
            Chunk& last = *chunks_.back();
            const auto end = last.hashes.begin() + static_cast<std::ptrdiff_t>(last.count);
            std::sort(last.hashes.begin(), end);
            last.count =
                static_cast<std::size_t>(std::unique(last.hashes.begin(), end) - last.hashes.begin());
            if (last.count <= chunk_hashes / 2) return;
        }
        // Not make_unique: what is not counted need not be written.
        chunks_.push_back(std::unique_ptr<Chunk>(new Chunk));
    }

    std::vector<std::unique_ptr<Chunk>> chunks_;
};

}  // namespace ddict::shm
