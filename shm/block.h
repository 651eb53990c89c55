// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A pair as it lies in the heap of a pool:
//
//   Block (32 bytes)  key  padding to a multiple of 16  value  placement?  mark?  until?  padding to a
//   multiple of 16
//
// Blocks begin at multiples of 16, and so do values. The placement, 8 bytes at a multiple of 8, is there if
// the key was placed by hand: what it was placed by. The mark, 8 bytes more, is there if a broadcast has
// stored the pair: see broadcast_mark(). The last 8 bytes are there if the pair has a time to live: when it
// is over (no_end: never). A block does not change once it is visible, but for this word, which its manager
// alone looks at: overwriting a key makes a new block.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/bytes.h"
#include "base/key_placement.h"

namespace ddict::shm {

inline constexpr std::uint64_t block_alignment = 16;
constexpr std::uint64_t align_up(std::uint64_t bytes, std::uint64_t alignment = block_alignment) noexcept {
    return (bytes + alignment - 1) & ~(alignment - 1);
}

// The first word of every block of the heap, used or free. Only the writer looks at it.
namespace block_word {
inline constexpr std::uint64_t free = 1;           // the block is free
inline constexpr std::uint64_t previous_free = 2;  // the block before it in memory is free
inline constexpr std::uint64_t index = 4;          // holds a part of the index, not a pair
inline constexpr std::uint64_t older = 8;          // reserved: a link to an older version follows the value
inline constexpr std::uint64_t size_mask = ((std::uint64_t{1} << 48) - 1) & ~std::uint64_t{15};
inline constexpr std::uint64_t pin = std::uint64_t{1} << 48;  // one pin; 15 bits of them
inline constexpr std::uint64_t pin_mask = std::uint64_t{0x7fff} << 48;
inline constexpr std::uint64_t visible = std::uint64_t{1} << 63;  // the index leads to it
}  // namespace block_word

/// What a broadcast leaves with its pair: which version it was, and whether this is the key's own manager.
constexpr std::uint64_t broadcast_mark(std::uint64_t version, bool own) noexcept {
    return version << 1 | (own ? 1 : 0);
}
constexpr std::uint64_t version_in_mark(std::uint64_t mark) noexcept {
    return mark >> 1;
}
constexpr bool is_own_in_mark(std::uint64_t mark) noexcept {
    return (mark & 1) != 0;
}

/// In the word of a checkpoint's id: there is no value, the key is not there from this checkpoint on.
inline constexpr std::uint32_t gone_bit = std::uint32_t{1} << 31;
/// There as well: it is seen at its own checkpoint only, not at those after it.
inline constexpr std::uint32_t transient_bit = std::uint32_t{1} << 30;

/// Instead of the end of a time to live: there is none.
inline constexpr std::uint64_t no_end = ~std::uint64_t{0};

/// A pair that is to be stored. Refers to bytes of the caller.
struct Pair {
    KeyBytes key;
    std::uint64_t hash = 0;  // hash_of(key)
    std::uint16_t value_type = 0;
    std::uint32_t checkpoint = 0;  // its id, and perhaps gone_bit and transient_bit
    Bytes value{};
    KeyPlacement placement{};
    std::uint64_t mark = 0;  // of a broadcast; 0: none
    std::uint64_t until =
        0;  // its time to live is over then, by the manager's clock: nanoseconds; 0: it has none

    bool is_transient() const noexcept { return (checkpoint & transient_bit) != 0; }
    std::uint32_t checkpoint_id() const noexcept { return checkpoint & ~(gone_bit | transient_bit); }
    bool is_gone() const noexcept { return (checkpoint & gone_bit) != 0; }
    /// What stands behind the value, in words.
    unsigned trailers() const noexcept {
        return (placement.is_by_hand() ? 1U : 0U) + (mark != 0 ? 1U : 0U) + (until != 0 ? 1U : 0U);
    }
};

/// Lives in the pool; never made or copied elsewhere. A view of its own bytes, valid until the pair is
/// replaced, erased or cleared, or the last pin is let go.
class Block {
  public:
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    KeyBytes key() const noexcept { return {reinterpret_cast<const std::byte*>(this + 1), key_word()}; }
    Bytes value() const noexcept {
        return {reinterpret_cast<const std::byte*>(this) + value_offset(key_bytes()), value_bytes()};
    }
    /// For the writer, between reserve() and publish() only.
    MutableBytes value() noexcept {
        return {reinterpret_cast<std::byte*>(this) + value_offset(key_bytes()), value_bytes()};
    }
    std::uint64_t hash() const noexcept { return hash_; }
    std::uint64_t key_bytes() const noexcept { return key_word() & 0xffff; }
    std::uint32_t key_word() const noexcept { return key_word_in(key_and_checkpoint_); }
    std::uint32_t checkpoint() const noexcept { return checkpoint_in(key_and_checkpoint_); }
    bool is_gone() const noexcept { return is_gone_in(key_and_checkpoint_); }
    bool is_transient() const noexcept { return is_transient_in(key_and_checkpoint_); }
    std::uint64_t value_bytes() const noexcept { return value_bytes_in(value_bytes_and_type_); }
    std::uint16_t value_type() const noexcept { return value_type_in(value_bytes_and_type_); }
    PlacedBy placed_by() const noexcept { return placed_by_in(value_bytes_and_type_); }
    /// Where the key lives: it is found again on another number of managers.
    KeyPlacement placement() const noexcept;
    /// 0 if no broadcast has stored it.
    std::uint64_t mark() const noexcept;
    bool is_marked() const noexcept { return is_marked_in(value_bytes_and_type_); }
    /// 0 if it has no time to live.
    std::uint64_t until() const noexcept;
    /// Whether it is over at some time by itself.
    bool ends() const noexcept { return has_ttl() && until() != no_end; }
    bool has_ttl() const noexcept { return has_ttl_in(value_bytes_and_type_); }
    unsigned trailers() const noexcept { return trailers_in(value_bytes_and_type_); }
    /// All of it; refers to these bytes.
    Pair pair() const noexcept {
        return {.key = key(),
                .hash = hash(),
                .value_type = value_type(),
                .checkpoint = static_cast<std::uint32_t>(key_and_checkpoint_ >> 32),
                .value = value(),
                .placement = placement(),
                .mark = mark(),
                .until = until()};
    }

    // For those who read a pool that another process writes (reader.h): where the words stand, and what is in
    // them.
    static constexpr std::uint64_t hash_offset = 8;
    static constexpr unsigned value_bytes_bits = 40;
    static constexpr unsigned has_ttl_shift = 40;
    static constexpr unsigned check_shift = 41;
    static constexpr unsigned marked_shift = 45;
    static constexpr unsigned placed_by_shift = 46;
    static constexpr std::uint64_t key_and_checkpoint_offset = 16;
    static constexpr std::uint64_t value_bytes_and_type_offset = 24;
    /// KeyBytes::word().
    static constexpr std::uint32_t key_word_in(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(word);
    }
    static constexpr std::uint32_t checkpoint_in(std::uint64_t word) noexcept {
        return static_cast<std::uint32_t>(word >> 32) & checkpoint_mask;
    }
    static constexpr bool is_gone_in(std::uint64_t word) noexcept { return (word >> 63) != 0; }
    static constexpr bool is_transient_in(std::uint64_t word) noexcept { return (word >> 62 & 1) != 0; }
    static constexpr bool is_marked_in(std::uint64_t word) noexcept {
        return (word >> marked_shift & 1) != 0;
    }
    static constexpr bool has_ttl_in(std::uint64_t word) noexcept { return (word >> has_ttl_shift & 1) != 0; }
    static constexpr std::uint64_t value_bytes_in(std::uint64_t word) noexcept {
        return word & ((std::uint64_t{1} << value_bytes_bits) - 1);
    }
    static constexpr PlacedBy placed_by_in(std::uint64_t word) noexcept {
        return static_cast<PlacedBy>((word >> placed_by_shift) & 3);
    }
    static constexpr unsigned trailers_in(std::uint64_t word) noexcept {
        return trailers_before_until_in(word) + static_cast<unsigned>(word >> has_ttl_shift & 1);
    }
    static constexpr unsigned trailers_before_until_in(std::uint64_t word) noexcept {
        return (placed_by_in(word) != PlacedBy::own_hash ? 1U : 0U) +
               static_cast<unsigned>(word >> marked_shift & 1);
    }
    static constexpr std::uint16_t value_type_in(std::uint64_t word) noexcept {
        return static_cast<std::uint16_t>(word >> 48);
    }

    /// Whether no single bit of the two words that say lengths and types has changed since they were written.
    /// For recovery.
    bool check_is_right() const noexcept {
        return check_of(key_and_checkpoint_, value_bytes_and_type_) ==
               ((value_bytes_and_type_ >> check_shift) & 15);
    }

    /// Where the value starts, counted from the block.
    static constexpr std::uint64_t value_offset(std::uint64_t key_bytes) noexcept {
        return 32 + align_up(key_bytes);
    }
    /// Where the first of placement, mark and until stands that is there.
    static constexpr std::uint64_t placement_offset(std::uint64_t key_bytes,
                                                    std::uint64_t value_bytes) noexcept {
        return align_up(value_offset(key_bytes) + value_bytes, sizeof(std::uint64_t));
    }
    /// All that a pair takes in the heap.
    static constexpr std::uint64_t bytes_for(std::uint64_t key_bytes, std::uint64_t value_bytes) noexcept {
        return align_up(value_offset(key_bytes) + value_bytes);
    }
    /// The same with so many trailers.
    static constexpr std::uint64_t bytes_with_trailers(std::uint64_t key_bytes, std::uint64_t value_bytes,
                                                       unsigned trailers) noexcept {
        return trailers == 0
                   ? bytes_for(key_bytes, value_bytes)
                   : align_up(placement_offset(key_bytes, value_bytes) + trailers * sizeof(std::uint64_t));
    }
    static std::uint64_t bytes_for(const Pair& pair, std::uint64_t value_bytes) noexcept {
        return bytes_with_trailers(pair.key.size(), value_bytes, pair.trailers());
    }

  private:
    friend class Pool;
    static constexpr std::uint32_t checkpoint_mask = (std::uint32_t{1} << 30) - 1;
    /// The nibbles of both words, added up without carry; the check's own does not count.
    static constexpr std::uint64_t check_of(std::uint64_t first, std::uint64_t second) noexcept {
        std::uint64_t sum = first ^ (second & ~(std::uint64_t{15} << check_shift));
        sum ^= sum >> 32;
        sum ^= sum >> 16;
        sum ^= sum >> 8;
        return (sum ^ (sum >> 4)) & 15;
    }
    void set_words(std::uint64_t hash, std::uint64_t first, std::uint64_t second) noexcept {
        hash_ = hash;
        key_and_checkpoint_ = first;
        value_bytes_and_type_ = second | (check_of(first, second) << check_shift);
    }
    /// Before it is visible: it was transient.
    void let_persist() noexcept {
        set_words(hash_, key_and_checkpoint_ & ~(std::uint64_t{1} << 62),
                  value_bytes_and_type_ & ~(std::uint64_t{15} << check_shift));
    }
    void set_trailers(const Pair& pair) noexcept;
    void set_mark(std::uint64_t mark) noexcept;
    void set_until(std::uint64_t until) noexcept;
    std::byte* trailer(unsigned number) noexcept {
        return reinterpret_cast<std::byte*>(this) + placement_offset(key_bytes(), value_bytes()) +
               number * sizeof(std::uint64_t);
    }

    std::uint64_t size_and_flags_;
    std::uint64_t hash_;
    // Bytes of the key, its type, id of the checkpoint, whether it is transient, whether the key is gone: 16,
    // 16, 30, 1 and 1 bits.
    std::uint64_t key_and_checkpoint_;
    // Bytes of the value, whether it has a time to live, check of this word and the one before, whether it is
    // marked, PlacedBy, type of the value: 40, 1, 4, 1, 2 and 16 bits.
    std::uint64_t value_bytes_and_type_;
};
static_assert(sizeof(Block) == 32 && alignof(Block) == 8 && std::is_standard_layout_v<Block>);

/// What a pair takes at the most beyond its key and value: its header, and padding after each of the two.
inline constexpr std::uint64_t pair_overhead_bytes_max = sizeof(Block) + block_alignment;

inline KeyPlacement Block::placement() const noexcept {
    KeyPlacement placement{.by = placed_by(), .value = 0};
    if (placement.is_by_hand())
        std::memcpy(&placement.value,
                    reinterpret_cast<const std::byte*>(this) + placement_offset(key_bytes(), value_bytes()),
                    sizeof placement.value);
    return placement;
}

inline std::uint64_t Block::mark() const noexcept {
    std::uint64_t mark = 0;
    if (is_marked())
        std::memcpy(&mark, const_cast<Block*>(this)->trailer(placed_by() != PlacedBy::own_hash ? 1 : 0),
                    sizeof mark);
    return mark;
}

inline std::uint64_t Block::until() const noexcept {
    std::uint64_t until = 0;
    if (has_ttl()) std::memcpy(&until, const_cast<Block*>(this)->trailer(trailers() - 1), sizeof until);
    return until;
}

/// Requires that it is marked.
inline void Block::set_mark(std::uint64_t mark) noexcept {
    std::memcpy(trailer(placed_by() != PlacedBy::own_hash ? 1 : 0), &mark, sizeof mark);
}

/// Requires that it has a time to live. One store: a kill leaves one time or the other.
inline void Block::set_until(std::uint64_t until) noexcept {
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(trailer(trailers() - 1)))
        .store(until, std::memory_order_relaxed);
}

/// Requires that lengths are there, and memory for it.
inline void Block::set_trailers(const Pair& pair) noexcept {
    if (pair.placement.is_by_hand())
        std::memcpy(trailer(0), &pair.placement.value, sizeof pair.placement.value);
    if (pair.mark != 0) set_mark(pair.mark);
    if (pair.until != 0) set_until(pair.until);
}

}  // namespace ddict::shm
