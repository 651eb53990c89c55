// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Makes one free block out of many, by moving pairs. An allocator that never moves anything cannot use holes
// that are each too small; after half of all pairs have gone at random, that is most of what is free.
//
// A sweep goes through the heap from where the last one stopped, and grows a gap: from a free block it takes
// in what follows, free blocks at once, and visible pairs once they have been copied elsewhere: into another
// free block, or, if none is large enough, to the front of the gap itself, which so moves on through the
// heap. Copying a pair is like overwriting it with itself: the copy is complete before the index leads to it,
// and only then is the old block part of the gap. So readers need nothing beyond what they have (layout.h), a
// kill at any instruction loses nothing, and nobody's pointer to a block survives a call that may move it.
//
// Where the gap cannot go on it is let go, and the sweep begins anew behind: at parts of the index, pairs
// that are reserved or pinned, and pairs larger than the gap that fit nowhere else.
//
// Work is done in steps. What has been spent on one is counted, and beyond its bounds the sweep stops
// wherever it is; a pair that is larger than a step is copied in several, since visible pairs do not change.
// To gain a block takes, as a rule, copying no more than its size.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "shm/expiries.h"
#include "shm/heap.h"
#include "shm/index.h"

namespace ddict::shm {

class Compactor {
  public:
    /// What one step may spend: bytes copied, and for each block looked at as many as can be copied in the
    /// time that a cache miss takes. About half a millisecond at the most.
    static constexpr std::uint64_t step_cost_max = std::uint64_t{3} << 20;
    static constexpr std::uint64_t block_cost = 512;
    /// A larger pair takes several steps. One that is not may be copied twice in one.
    static constexpr std::uint64_t pair_bytes_per_step = step_cost_max / 5 * 2;
    /// One byte in so many is scratch, up to the size of a pair that moves in one step.
    static constexpr std::uint64_t scratch_share = 128;
    /// Below this share of the heap (one in so many bytes), what is free is not worth gathering: the sweep
    /// would have to pass ever more pairs for it.
    static constexpr std::uint64_t free_share_min = 128;

    enum class Outcome {
        made_space,  ///< the next allocate() of so many bytes succeeds
        more_to_do,  ///< the step is over
        no_space,    ///< not now: too little is free, or the whole heap has been gone through
    };
    struct Counters {
        std::uint64_t moved_pairs = 0;
        std::uint64_t moved_bytes = 0;
        std::uint64_t steps = 0;
    };

    /// All must outlive it. Takes the scratch block from the heap, if there is space for it; a heap that was
    /// recovered may have none, and then it is taken as soon as there is.
    Compactor(std::byte* pool, Heap& heap, Index& index, Expiries& expiries);

    /// What the scratch block takes of a heap of this size.
    static std::uint64_t scratch_bytes_in(std::uint64_t heap_bytes) noexcept;

    /// Who asks: one who takes what a step brings, or one who comes again until there is space or no hope.
    /// Only for the latter is a pair moved that takes more than one step.
    enum class Effort { one_step, to_the_end };

    /// One step towards a free block of `bytes`, a block's own word included. `credit` is what it may spend;
    /// it is left with what has not been spent. One who does not come again to the end calls give_up_move().
    Outcome make_space(std::uint64_t bytes, Effort effort, std::uint64_t& credit);
    /// Whether make_space() is worth a call.
    bool promising(std::uint64_t bytes, Effort effort) const noexcept {
        const Search& search = search_of(effort);
        return (bytes < search.failed_bytes || freed_bytes_ - search.freed_bytes >= search.failed_bytes) &&
               bytes <= heap_.free_bytes() &&
               heap_.free_bytes() - bytes >= heap_.total_bytes() / free_share_min;
    }

    /// To be called when a block has been freed, or can be moved again.
    void on_freed(std::uint64_t bytes) noexcept { freed_bytes_ += bytes; }
    /// To be called before a visible block goes: a copy of it in the making is given up.
    void on_drop(std::uint64_t block) {
        if (block == move_.source) give_up_move();
    }
    void give_up_move();
    /// The heap is being emptied of all but the scratch block, and what others hold.
    void reset() noexcept;
    /// A used block that belongs to nobody between two calls: for a copy that is to be visible for a moment.
    /// 0 if there is no space for it at present.
    std::uint64_t scratch() {
        if (scratch_ == 0) take_scratch();
        return scratch_;
    }

    const Counters& counters() const noexcept { return counters_; }

  private:
    struct Move {
        std::uint64_t source = 0;  // 0: none is under way
        std::uint64_t target = 0;
        std::uint64_t bytes = 0;
        std::uint64_t done = 0;
    };
    enum class Moved { yes, later, cannot };

    /// What the sweeps of one effort have shown.
    struct Search {
        std::uint64_t swept_bytes = 0;                   // since there was success
        std::uint64_t failed_bytes = ~std::uint64_t{0};  // the smallest size that a whole sweep did not bring
        std::uint64_t freed_bytes = 0;                   // freed_bytes_ at that time
    };
    const Search& search_of(Effort effort) const noexcept {
        return searches_[static_cast<std::size_t>(effort)];
    }

    void take_scratch();
    Outcome sweep(std::uint64_t bytes, Effort effort, std::uint64_t& credit);
    bool continue_move(std::uint64_t& credit);
    Moved move_away(std::uint64_t block, std::uint64_t& gap, Effort effort, std::uint64_t& credit);
    bool copy(std::uint64_t& credit);
    void move_at_once(std::uint64_t from, std::uint64_t to, std::uint64_t bytes, std::uint64_t& credit);
    void publish();
    bool can_move(std::uint64_t block) const;
    void let_go(std::uint64_t gap);
    static void spend(std::uint64_t& credit, std::uint64_t cost) noexcept {
        credit -= cost < credit ? cost : credit;
    }

    std::byte* pool_;
    Heap& heap_;
    Index& index_;
    Expiries& expiries_;
    Move move_;
    std::uint64_t scratch_ = 0;
    std::array<Search, 2> searches_{};
    std::uint64_t freed_bytes_ = 0;  // since the beginning
    Counters counters_;
};

}  // namespace ddict::shm
