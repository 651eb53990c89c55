// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The versions of a key, one for each checkpoint at which it was written, and which of them is seen.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shm/block.h"
#include "shm/layout.h"

namespace ddict::shm {

struct Version {
    std::uint64_t block = 0;  // its offset
    std::uint32_t checkpoint = 0;
    bool is_gone = false;       // the key is not there from this checkpoint on
    bool is_transient = false;  // what it says is said of this checkpoint only
    bool is_marked = false;     // of a broadcast: seen at every checkpoint
    std::uint64_t bytes = 0;    // of its block
};

/// How many there are of something, and what they take.
struct VersionCount {
    std::uint64_t versions = 0;
    std::uint64_t bytes = 0;

    void add(const Version& version) noexcept { *this += {1, version.bytes}; }
    VersionCount& operator+=(const VersionCount& other) noexcept {
        versions += other.versions;
        bytes += other.bytes;
        return *this;
    }
    VersionCount& operator-=(const VersionCount& other) noexcept {
        versions -= other.versions;
        bytes -= other.bytes;
        return *this;
    }
};

inline Version version_of(const Block& block, std::uint64_t offset) noexcept {
    return {.block = offset,
            .checkpoint = block.checkpoint(),
            .is_gone = block.is_gone(),
            .is_transient = block.is_transient(),
            .is_marked = block.is_marked(),
            .bytes = Block::bytes_with_trailers(block.key_bytes(), block.value_bytes(), block.trailers())};
}

/// Whether it counts at a checkpoint with this floor, if no other hides it.
constexpr bool counts_at(const Version& version, std::uint32_t checkpoint, std::uint32_t floor) noexcept {
    if (version.is_marked || version.checkpoint == checkpoint) return true;
    return version.checkpoint < checkpoint && version.checkpoint >= floor && !version.is_transient;
}

/// Whether `one` hides `other`, of the same key, at a checkpoint that is not before either of them.
constexpr bool hides(const Version& one, const Version& other) noexcept {
    return !other.is_marked && (one.is_marked || one.checkpoint > other.checkpoint);
}

/// Of one key, in no order.
class Versions {
  public:
    /// All that the four buckets of a key can hold.
    static constexpr std::size_t capacity = std::size_t{probe_window} * slots_per_bucket;

    void clear() noexcept { count_ = 0; }
    void add(const Version& version) noexcept { all_[count_++] = version; }
    std::span<const Version> all() const noexcept { return std::span(all_).first(count_); }

    /// The one that says what the key is at a checkpoint with this floor; null if none does. It may say that
    /// the key is gone.
    const Version* newest_at(std::uint32_t checkpoint, std::uint32_t floor) const noexcept {
        const Version* found = nullptr;
        for (const Version& one : all()) {
            if (!counts_at(one, checkpoint, floor)) continue;
            if (found == nullptr || hides(one, *found)) found = &one;
        }
        return found;
    }
    /// Whether the key is there.
    bool is_seen_at(std::uint32_t checkpoint, std::uint32_t floor) const noexcept {
        const Version* found = newest_at(checkpoint, floor);
        return found != nullptr && !found->is_gone;
    }
    /// Whether what is put at this checkpoint is to persist in any case: an older checkpoint that is kept, or
    /// this one, has a value that persists. Else that would be seen again after one that is transient.
    bool persists_at(std::uint32_t checkpoint, std::uint32_t floor, std::uint32_t oldest) const noexcept {
        const Version* found = nullptr;
        for (const Version& one : all()) {
            if (one.is_marked || one.is_transient || one.checkpoint > checkpoint || one.checkpoint < floor)
                continue;
            if (found == nullptr || hides(one, *found)) found = &one;
        }
        return found != nullptr && (!found->is_gone || found->checkpoint > oldest);
    }
    /// Whether it has a value at this checkpoint only, and has not been written at the next one.
    bool awaits_next(std::uint32_t checkpoint) const noexcept {
        bool is_awaited = false;
        for (const Version& one : all()) {
            if (one.is_marked || one.checkpoint == checkpoint + 1) return false;
            if (one.checkpoint == checkpoint && one.is_transient && !one.is_gone) is_awaited = true;
        }
        return is_awaited;
    }
    /// Those that a checkpoint with this floor does not need: older ones do.
    VersionCount hidden_at(std::uint32_t checkpoint, std::uint32_t floor) const noexcept {
        const Version* seen = newest_at(checkpoint, floor);
        VersionCount hidden;
        for (const Version& one : all())
            if (&one != seen || one.is_gone) hidden.add(one);
        return hidden;
    }
    /// The value that it has at this checkpoint only, if any.
    VersionCount transient_at(std::uint32_t checkpoint) const noexcept {
        VersionCount found;
        for (const Version& one : all()) {
            if (one.is_marked) return {};
            if (one.checkpoint == checkpoint && one.is_transient && !one.is_gone) found.add(one);
        }
        return found;
    }

  private:
    std::array<Version, capacity> all_;
    std::size_t count_ = 0;
};

}  // namespace ddict::shm
