// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/compaction.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "shm/block.h"

namespace ddict::shm {

std::uint64_t Compactor::scratch_bytes_in(std::uint64_t heap_bytes) noexcept {
    return std::min(heap_bytes / scratch_share, pair_bytes_per_step) & ~(block_alignment - 1);
}

Compactor::Compactor(std::byte* pool, Heap& heap, Index& index, Expiries& expiries)
    : pool_(pool), heap_(heap), index_(index), expiries_(expiries) {
    take_scratch();
}

void Compactor::take_scratch() {
    scratch_ = heap_.allocate(scratch_bytes_in(heap_.total_bytes()), Heap::Side::back);
}

Compactor::Outcome Compactor::make_space(std::uint64_t bytes, Effort effort, std::uint64_t& credit) {
    if (!promising(bytes, effort)) return Outcome::no_space;
    if (credit == 0) return Outcome::more_to_do;
    ++counters_.steps;
    heap_.settle();
    if (move_.source != 0 && !continue_move(credit)) return Outcome::more_to_do;
    const Outcome outcome = sweep(bytes, effort, credit);
    Search& search = searches_[static_cast<std::size_t>(effort)];
    if (outcome != Outcome::more_to_do) search = {};
    if (outcome == Outcome::no_space)
        search = {.swept_bytes = 0, .failed_bytes = bytes, .freed_bytes = freed_bytes_};
    return outcome;
}

/// The mark is where the sweep stands: at the gap, or at what it has not seen yet. The gap is a used block of
/// its own, which nothing can merge with, until it is let go.
Compactor::Outcome Compactor::sweep(std::uint64_t bytes, Effort effort, std::uint64_t& credit) {
    Search& search = searches_[static_cast<std::size_t>(effort)];
    // A step has few large pairs to copy, so it must not waste one: the largest gap has the least to take in.
    // Small pairs are better gathered where the last sweep has begun to.
    if (search.swept_bytes == 0 && bytes >= step_cost_max / 8) heap_.set_mark(heap_.large_free_block());
    std::uint64_t gap = 0;
    std::uint64_t block = heap_.mark();
    const std::uint64_t first = block;  // has been counted by the step before
    Outcome outcome = Outcome::more_to_do;
    while (credit > 0) {
        const std::uint64_t size = heap_.block_bytes(block);
        spend(credit, block_cost);
        if (block != first || search.swept_bytes == 0) search.swept_bytes += size;
        Moved moved = Moved::cannot;
        if (heap_.is_free(block)) {
            heap_.claim(block);
            gap = gap == 0 ? block : heap_.join(gap, block);
            moved = Moved::yes;
        } else if (gap != 0) {
            moved = move_away(block, gap, effort, credit);
        }
        if (moved == Moved::later) break;
        if (moved == Moved::yes && heap_.block_bytes(gap) >= bytes) {
            outcome = Outcome::made_space;
            break;
        }
        block += size;
        if (moved == Moved::cannot || block == heap_.end()) {
            if (gap != 0) let_go(std::exchange(gap, 0));
            if (block == heap_.end()) block = heap_.first_block();
        }
        heap_.set_mark(gap != 0 ? gap : block);
        // A second round, since what the first has gathered behind itself may be of use now.
        if (search.swept_bytes > 2 * heap_.total_bytes()) {
            outcome = Outcome::no_space;
            break;
        }
    }
    if (gap != 0) let_go(gap);
    return outcome;
}

void Compactor::let_go(std::uint64_t gap) {
    heap_.free(gap);
    heap_.settle();
}

bool Compactor::can_move(std::uint64_t block) const {
    const std::uint64_t word = *reinterpret_cast<const std::uint64_t*>(pool_ + block);
    return (word & (block_word::index | block_word::pin_mask)) == 0 && (word & block_word::visible) != 0;
}

/// `block` lies right behind `gap`. After `yes` nothing leads to it any more, and it is part of the gap.
/// After `later` there is perhaps no gap any more: the copy is under way, or is to begin with the next step.
Compactor::Moved Compactor::move_away(std::uint64_t block, std::uint64_t& gap, Effort effort,
                                      std::uint64_t& credit) {
    if (!can_move(block)) return Moved::cannot;
    const std::uint64_t size = heap_.block_bytes(block);
    const bool at_once = size <= pair_bytes_per_step;
    if (!at_once && effort == Effort::one_step) return Moved::cannot;
    if (at_once && credit < size) return Moved::later;
    std::uint64_t target = heap_.allocate(size);
    if (target == 0) {
        const std::uint64_t gap_bytes = heap_.block_bytes(gap);
        if (gap_bytes != size && gap_bytes < size + Heap::block_bytes_min) {
            if (!at_once || scratch() == 0 || size > heap_.block_bytes(scratch_)) return Moved::cannot;
            if (credit < 2 * size) return Moved::later;
            move_at_once(block, scratch_, size, credit);
            gap = heap_.join(gap, block);
            block = scratch_;
        }
        target = gap;
        gap = gap_bytes == size ? 0 : heap_.split(gap, size);
    }
    if (at_once) {
        move_at_once(block, target, size, credit);
        if (block != scratch_) gap = gap == 0 ? block : heap_.join(gap, block);
        return Moved::yes;
    }
    heap_.set_mark(gap != 0 ? gap : block);
    move_ = {.source = block, .target = target, .bytes = size, .done = sizeof(std::uint64_t)};
    copy(credit);
    return Moved::later;
}

void Compactor::move_at_once(std::uint64_t from, std::uint64_t to, std::uint64_t bytes,
                             std::uint64_t& credit) {
    move_ = {.source = from, .target = to, .bytes = bytes, .done = sizeof(std::uint64_t)};
    copy(credit);
    publish();
}

/// False if the step is over before the copy is whole.
bool Compactor::copy(std::uint64_t& credit) {
    const std::uint64_t bytes = std::min(move_.bytes - move_.done, std::max(credit, block_cost));
    std::memcpy(pool_ + move_.target + move_.done, pool_ + move_.source + move_.done, bytes);
    move_.done += bytes;
    spend(credit, bytes);
    return move_.done == move_.bytes;
}

void Compactor::publish() {
    const auto& block = *reinterpret_cast<const Block*>(pool_ + move_.source);
    const Index::Place place = index_.slot_of(move_.source, block.hash());
    DDICT_ASSERT(static_cast<bool>(place), "a visible block is in the index");
    *reinterpret_cast<std::uint64_t*>(pool_ + move_.target) |= block_word::visible;
    index_.replace(place, move_.target);
    if (block.has_ttl()) expiries_.move(move_.source, move_.target, block.until());
    *reinterpret_cast<std::uint64_t*>(pool_ + move_.source) &= ~block_word::visible;
    ++counters_.moved_pairs;
    counters_.moved_bytes += move_.bytes;
    move_ = {};
}

/// Of an earlier step. False if this step is over too.
bool Compactor::continue_move(std::uint64_t& credit) {
    if (!can_move(move_.source)) {  // it has been pinned meanwhile
        give_up_move();
        return true;
    }
    if (!copy(credit)) return false;
    const std::uint64_t source = move_.source;
    publish();
    let_go(source);
    return true;
}

void Compactor::reset() noexcept {
    move_ = {};
    searches_ = {};
}

void Compactor::give_up_move() {
    if (move_.source == 0) return;
    heap_.free(move_.target);
    move_ = {};
}

}  // namespace ddict::shm
