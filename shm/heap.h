// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Allocates from one contiguous range of a pool: TLSF, two-level segregated fit (Masmano, Ripoll, Crespo and
// Real, ECRTS 2004). Constant time, immediate coalescing, sizes rounded up to 16 bytes and no further.
//
//   block := word (see block_word)  anything
//   free  := word  next  previous  anything  size      next and previous in the list of its size class:
//   offsets
//
// A block's word carries its size and whether the block before it is free; a free block repeats its size in
// its last word, so both neighbours are found at once. Two free blocks never touch. A word of size 0 ends the
// heap. Bitmaps and list heads are in private memory: only the links are in the pool.
//
// The block that was freed last is kept apart, as the spare: it counts as free, but is merged and listed only
// when another one is freed, or when nothing else will do. A write to a key that is there frees a block of
// the size that the next such write asks for, so the common case touches no neighbour and no list.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "base/assert.h"
#include "shm/block.h"

namespace ddict::shm {

/// Of a heap part of whose memory is not there yet: from `begin` on it must not be touched, but for the end
/// mark. `take(until)` is to make what lies before `until` be there, by calling the system, and returns where
/// what is there ends by then, whether that is enough or not. Without it all is there. allocate() takes what
/// it needs, and what is there by then; until then it counts as free.
struct MissingMemory {
    std::uint64_t begin = 0;
    std::function<std::uint64_t(std::uint64_t until)> take;
};

/// Not thread safe. All offsets are those of the pool.
class Heap {
  public:
    /// Where in the free block that is chosen: pairs from the front, the index from the back, so that the
    /// long-lived parts of the index gather at one end of the heap and do not divide what is free.
    enum class Side { front, back };

    static constexpr std::uint64_t block_bytes_min = 32;
    static constexpr std::uint64_t end_mark_bytes = 16;

    /// A block that is in use: `bytes` at least block_bytes_min and a multiple of 16; `flags` go into its
    /// word.
    struct Used {
        std::uint64_t offset = 0;
        std::uint64_t bytes = 0;
        std::uint64_t flags = 0;
    };
    /// Where the blocks end of a heap whose memory is missing from `begin` on.
    static constexpr std::uint64_t end_before(std::uint64_t begin) noexcept {
        return (begin - margin) & ~(block_alignment - 1);
    }

    /// `pool` is where offset 0 is mapped. Makes what is there of [offset, offset + bytes) one free block;
    /// both are multiples of 16. What is there must be enough for a few blocks, and so must what is not.
    Heap(std::byte* pool, std::uint64_t offset, std::uint64_t bytes, MissingMemory missing = {});

    /// Over memory that has been a heap: what `next` gives is in use, everything between is free, and no word
    /// that is there is believed. `next` gives one block at a time, in the order of their offsets, none
    /// overlapping another or reaching behind end_before(missing.begin), and false at the end. A gap that is
    /// too small for a block goes to the block before it; there must be none at the beginning.
    Heap(std::byte* pool, std::uint64_t offset, std::uint64_t bytes, const std::function<bool(Used&)>& next,
         MissingMemory missing = {});

    /// A block of at least `bytes`, its own word included; 0 if none is large enough.
    std::uint64_t allocate(std::uint64_t bytes, Side side = Side::front) {
        if (bytes > free_bytes()) return 0;
        bytes = std::max(align_up(bytes), block_bytes_min);
        if (spare_ == 0 || side != Side::front || block_bytes(spare_) != bytes)
            return allocate_other(bytes, side);
        word(spare_) &= block_word::size_mask | block_word::previous_free;
        free_bytes_ -= bytes;
        return std::exchange(spare_, 0);
    }
    void free(std::uint64_t block) {
        const std::uint64_t size = block_bytes(block);
        DDICT_ASSERT(!is_free(block) && block != spare_ && size >= block_bytes_min && block >= offset_ &&
                         size <= end() - block,
                     "only a used block of this heap can be freed, and only once");
        free_bytes_ += size;
        settle();
        spare_ = block;
    }

    /// Merges the spare: what is allocated from here on does not depend on what was freed last.
    void settle() {
        if (spare_ != 0) merge_spare();
    }

    std::uint64_t block_bytes(std::uint64_t block) const noexcept {
        return word(block) & block_word::size_mask;
    }
    /// The block that would be there if this one were freed: with its free neighbours.
    std::uint64_t bytes_if_freed(std::uint64_t block);

    /// used + free == total, always.
    std::uint64_t total_bytes() const noexcept { return bytes_ - end_mark_bytes; }
    std::uint64_t used_bytes() const noexcept { return total_bytes() - free_bytes(); }
    std::uint64_t free_bytes() const noexcept { return free_bytes_ + withheld_bytes_; }
    /// The largest size that allocate() will give. Constant time.
    std::uint64_t largest_free_bytes() const;
    /// Until where memory has to be there for a block of so many bytes, if some of it is missing, and could
    /// do; otherwise 0.
    std::uint64_t missing_until(std::uint64_t bytes) const;

    // For compaction. All blocks lie side by side from first_block() to end(); after settle() two free ones
    // never touch.
    std::uint64_t first_block() const noexcept { return offset_; }
    std::uint64_t end() const noexcept { return offset_ + total_bytes(); }
    bool is_free(std::uint64_t block) const noexcept { return (word(block) & block_word::free) != 0; }
    /// One of the largest, as far as is known without looking; first_block() if there is none but the spare.
    std::uint64_t large_free_block() const;
    /// A free block, which is not the spare, becomes a used one, as large as it is.
    void claim(std::uint64_t block);
    /// Two used blocks, one right behind the other, become one. Returns `block`.
    std::uint64_t join(std::uint64_t block, std::uint64_t next);
    /// A used block becomes two: the first has `bytes`. Returns the second. Both must have block_bytes_min.
    std::uint64_t split(std::uint64_t block, std::uint64_t bytes);
    /// A place that is always the beginning of a block: when that one is merged, the mark goes to what it has
    /// become part of.
    std::uint64_t mark() const noexcept { return mark_; }
    void set_mark(std::uint64_t block) noexcept { mark_ = block; }

    /// Frees all at once, but for these used blocks, in the order of their offsets. The time depends on their
    /// number only.
    void free_all_but(std::span<const std::uint64_t> blocks);

    /// Walks the whole heap. Empty if all is well, otherwise what is wrong; for tests.
    std::string inconsistency() const;

  private:
    // Classes are 16 bytes apart up to 512 bytes, and then 32 to each power of two.
    static constexpr unsigned second_level_bits = 5;
    static constexpr unsigned second_level_count = 1U << second_level_bits;
    static constexpr unsigned first_level_count = 40;
    static constexpr unsigned small_bits = second_level_bits + 4;
    // How many blocks of one class are looked at when no larger class has any.
    static constexpr unsigned search_depth = 32;
    // Between what is withheld and what is not there: space for the words at the beginning of a block.
    static constexpr std::uint64_t margin = 64;

    struct SizeClass {
        unsigned first;
        unsigned second;
    };
    static SizeClass class_of(std::uint64_t bytes) noexcept;
    static SizeClass class_that_fits(std::uint64_t bytes) noexcept;

    std::uint64_t& word(std::uint64_t offset) const noexcept {
        return *reinterpret_cast<std::uint64_t*>(pool_ + offset);
    }
    std::uint64_t head(SizeClass c) const noexcept { return heads_[c.first][c.second]; }
    std::uint64_t first_block_from(SizeClass c) const;
    std::uint64_t best_in_class(std::uint64_t bytes) const;
    void link(std::uint64_t block, std::uint64_t bytes);
    void unlink(std::uint64_t block, std::uint64_t bytes);
    void make_free(std::uint64_t block, std::uint64_t bytes);
    std::uint64_t allocate_other(std::uint64_t bytes, Side side);
    std::uint64_t allocate_listed(std::uint64_t bytes, Side side);
    std::uint64_t allocate_of_known(std::uint64_t bytes, Side side);
    std::uint64_t largest_of_known() const;
    std::uint64_t until_for(std::uint64_t bytes) const noexcept;
    bool take_missing(std::uint64_t bytes);
    void merge_spare();
    std::uint64_t bytes_if_merged(std::uint64_t block) const;

    std::byte* pool_;
    std::uint64_t offset_;
    std::uint64_t bytes_;
    std::uint64_t free_bytes_ = 0;  // without what is withheld
    // For all that looks at the blocks a used one up to the end, whose memory is not there yet; 0: none. It
    // is never moved, since nothing makes it visible.
    std::uint64_t withheld_ = 0;
    std::uint64_t withheld_bytes_ = 0;
    std::uint64_t spare_ = 0;  // 0: there is none
    std::uint64_t mark_;
    std::uint64_t first_level_ = 0;
    std::array<std::uint32_t, first_level_count> second_level_{};
    std::array<std::array<std::uint64_t, second_level_count>, first_level_count> heads_{};
    std::function<std::uint64_t(std::uint64_t until)> take_;
};

}  // namespace ddict::shm
