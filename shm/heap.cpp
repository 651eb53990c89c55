// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/heap.h"

#include <bit>

namespace ddict::shm {
namespace {

// A free block: its links follow its word, and its size stands in its last word.
constexpr std::uint64_t next_at = 8;
constexpr std::uint64_t previous_at = 16;
constexpr std::uint64_t heap_bytes_max = std::uint64_t{1} << 47;

}  // namespace

Heap::Heap(std::byte* pool, std::uint64_t offset, std::uint64_t bytes, MissingMemory missing)
    : Heap(
          pool, offset, bytes, [](Used&) { return false; }, std::move(missing)) {}

/// What is missing is never written to: neither a word of the block before it nor its own, which lies before.
Heap::Heap(std::byte* pool, std::uint64_t offset, std::uint64_t bytes, const std::function<bool(Used&)>& next,
           MissingMemory missing)
    : pool_(pool), offset_(offset), bytes_(bytes), mark_(offset), take_(std::move(missing.take)) {
    DDICT_ASSERT(offset > 0 && offset % block_alignment == 0 && bytes % block_alignment == 0 &&
                     bytes >= block_bytes_min + end_mark_bytes && bytes <= heap_bytes_max,
                 "the heap must be a range of whole 16-byte units");
    const std::uint64_t known_end = take_ ? end_before(missing.begin) : end();
    DDICT_ASSERT(known_end == end() ||
                     (known_end >= offset + 2 * block_bytes_min && known_end + block_bytes_min <= end()),
                 "some of the heap must be there, and some must not");
    word(end()) = 0;
    std::uint64_t from = offset_;
    std::uint64_t last = 0;
    const auto free_until = [&](std::uint64_t to) -> std::uint64_t {
        const std::uint64_t gap = to - from;
        if (gap == 0) return 0;
        if (gap < block_bytes_min) {
            DDICT_ASSERT(last != 0, "what is free before the first block is a block");
            word(last) += gap;
            return 0;
        }
        make_free(from, gap);
        free_bytes_ += gap;
        return block_word::previous_free;
    };
    for (Used used; next(used);) {
        DDICT_ASSERT(used.offset >= from && used.bytes <= known_end - used.offset, "blocks come in order");
        word(used.offset) = free_until(used.offset) | used.bytes | used.flags;
        last = used.offset;
        from = used.offset + used.bytes;
    }
    if (known_end != end()) {
        withheld_ = known_end;
        withheld_bytes_ = end() - known_end;
    }
    word(known_end) = free_until(known_end) | withheld_bytes_;
}

Heap::SizeClass Heap::class_of(std::uint64_t bytes) noexcept {
    if (bytes < (1U << small_bits)) return {0, static_cast<unsigned>(bytes / block_alignment)};
    const unsigned power = static_cast<unsigned>(std::bit_width(bytes)) - 1;
    const auto part = static_cast<unsigned>(bytes >> (power - second_level_bits));
    return {power - small_bits + 1, part & (second_level_count - 1)};
}

/// The first class all of whose blocks have at least this size.
Heap::SizeClass Heap::class_that_fits(std::uint64_t bytes) noexcept {
    if (bytes >= (1U << small_bits)) {
        const unsigned power = static_cast<unsigned>(std::bit_width(bytes)) - 1;
        bytes += (std::uint64_t{1} << (power - second_level_bits)) - 1;
    }
    return class_of(bytes);
}

std::uint64_t Heap::first_block_from(SizeClass c) const {
    const std::uint32_t here = second_level_[c.first] & (~std::uint32_t{0} << c.second);
    if (here != 0) return head({c.first, static_cast<unsigned>(std::countr_zero(here))});
    const std::uint64_t above = first_level_ & (~std::uint64_t{0} << (c.first + 1));
    if (above == 0) return 0;
    const auto first = static_cast<unsigned>(std::countr_zero(above));
    return head({first, static_cast<unsigned>(std::countr_zero(second_level_[first]))});
}

/// No class above has a block: perhaps one of the same class is large enough.
std::uint64_t Heap::best_in_class(std::uint64_t bytes) const {
    std::uint64_t best = 0;
    std::uint64_t block = head(class_of(bytes));
    for (unsigned seen = 0; block != 0 && seen < search_depth; ++seen, block = word(block + next_at)) {
        const std::uint64_t size = block_bytes(block);
        if (size >= bytes && (best == 0 || size < block_bytes(best))) best = block;
    }
    return best;
}

/// The spare will not do as it is.
std::uint64_t Heap::allocate_other(std::uint64_t bytes, Side side) {
    for (;;) {
        if (const std::uint64_t block = allocate_of_known(bytes, side); block != 0) return block;
        if (!take_missing(bytes)) return 0;
    }
}

std::uint64_t Heap::allocate_of_known(std::uint64_t bytes, Side side) {
    if (bytes > free_bytes_) return 0;
    if (const std::uint64_t block = allocate_listed(bytes, side); block != 0) return block;
    if (spare_ == 0) return 0;
    merge_spare();
    return allocate_listed(bytes, side);
}

std::uint64_t Heap::until_for(std::uint64_t bytes) const noexcept {
    return std::min(withheld_ + align_up(bytes) + 2 * margin, end());
}

std::uint64_t Heap::missing_until(std::uint64_t bytes) const {
    if (withheld_bytes_ == 0 || bytes <= largest_of_known()) return 0;
    const std::uint64_t header = word(withheld_);
    const std::uint64_t before =
        (header & block_word::previous_free) != 0 ? word(withheld_ - sizeof header) : 0;
    return bytes <= before + withheld_bytes_ ? until_for(bytes) : 0;
}

/// Adds to what can be allocated, for a block of this size at the least if so much is to be had. False if
/// nothing was.
bool Heap::take_missing(std::uint64_t bytes) {
    if (withheld_bytes_ == 0) return false;
    const std::uint64_t block = withheld_;
    std::uint64_t until = take_(until_for(bytes));
    // What would be left is no block.
    if (until < end() && end() - end_before(until) < block_bytes_min) until = take_(end());
    const std::uint64_t cut = end_before(until);
    if (until >= end()) {
        withheld_ = withheld_bytes_ = 0;
    } else if (until <= block + margin + block_bytes_min || end() - cut < block_bytes_min) {
        return false;
    } else {
        withheld_ = split(block, cut - block);
        withheld_bytes_ = end() - cut;
    }
    settle();
    free(block);
    settle();
    return true;
}

std::uint64_t Heap::allocate_listed(std::uint64_t bytes, Side side) {
    std::uint64_t block = first_block_from(class_that_fits(bytes));
    if (block == 0) block = best_in_class(bytes);
    if (block == 0) return 0;

    const std::uint64_t size = block_bytes(block);
    const std::uint64_t rest = size - bytes;
    unlink(block, size);
    if (rest < block_bytes_min) {
        bytes = size;
        word(block) = size;
        word(block + size) &= ~block_word::previous_free;
    } else if (side == Side::front) {
        word(block) = bytes;
        make_free(block + bytes, rest);
    } else {
        word(block + size) &= ~block_word::previous_free;
        make_free(block, rest);
        block += rest;
        word(block) = bytes | block_word::previous_free;
    }
    free_bytes_ -= bytes;
    return block;
}

void Heap::merge_spare() {
    std::uint64_t block = std::exchange(spare_, 0);
    const std::uint64_t header = word(block);
    std::uint64_t size = block_bytes(block);
    const std::uint64_t after = block + size;
    if (is_free(after)) {
        const std::uint64_t after_bytes = block_bytes(after);
        unlink(after, after_bytes);
        size += after_bytes;
    }
    if ((header & block_word::previous_free) != 0) {
        const std::uint64_t before_bytes = word(block - 8);
        block -= before_bytes;
        unlink(block, before_bytes);
        size += before_bytes;
    }
    make_free(block, size);
    if (mark_ > block && mark_ < block + size) mark_ = block;
}

std::uint64_t Heap::large_free_block() const {
    if (first_level_ == 0) return offset_;
    const unsigned first = 63U - static_cast<unsigned>(std::countl_zero(first_level_));
    const unsigned second = 31U - static_cast<unsigned>(std::countl_zero(second_level_[first]));
    return head({first, second});
}

void Heap::claim(std::uint64_t block) {
    const std::uint64_t size = block_bytes(block);
    unlink(block, size);
    word(block) = size;
    word(block + size) &= ~block_word::previous_free;
    free_bytes_ -= size;
}

std::uint64_t Heap::join(std::uint64_t block, std::uint64_t next) {
    word(block) = (block_bytes(block) + block_bytes(next)) | (word(block) & block_word::previous_free);
    return block;
}

std::uint64_t Heap::split(std::uint64_t block, std::uint64_t bytes) {
    const std::uint64_t rest = block_bytes(block) - bytes;
    word(block) = bytes | (word(block) & block_word::previous_free);
    word(block + bytes) = rest;
    return block + bytes;
}

void Heap::free_all_but(std::span<const std::uint64_t> blocks) {
    spare_ = 0;
    mark_ = offset_;
    first_level_ = 0;
    second_level_ = {};
    heads_ = {};
    free_bytes_ = 0;
    std::uint64_t from = offset_;
    const auto free_until = [&](std::uint64_t to) {
        word(to) &= ~block_word::previous_free;
        if (to == from) return;
        make_free(from, to - from);
        free_bytes_ += to - from;
    };
    for (const std::uint64_t block : blocks) {
        free_until(block);
        from = block + block_bytes(block);
    }
    free_until(withheld_ == 0 ? end() : withheld_);
}

std::uint64_t Heap::bytes_if_freed(std::uint64_t block) {
    settle();
    return bytes_if_merged(block);
}

std::uint64_t Heap::bytes_if_merged(std::uint64_t block) const {
    std::uint64_t size = block_bytes(block);
    const std::uint64_t after = block + size;
    if (is_free(after)) size += block_bytes(after);
    if ((word(block) & block_word::previous_free) != 0) size += word(block - 8);
    return size;
}

std::uint64_t Heap::largest_free_bytes() const {
    return std::max(withheld_bytes_, largest_of_known());
}

/// Looks where allocate() would look, and no further, so that what it says is what can be had.
std::uint64_t Heap::largest_of_known() const {
    std::uint64_t largest = spare_ == 0 ? 0 : bytes_if_merged(spare_);
    if (first_level_ == 0) return largest;
    std::uint64_t block = large_free_block();
    for (unsigned seen = 0; block != 0 && seen < search_depth; ++seen, block = word(block + next_at))
        largest = std::max(largest, block_bytes(block));
    return largest;
}

void Heap::link(std::uint64_t block, std::uint64_t bytes) {
    const SizeClass c = class_of(bytes);
    std::uint64_t& list = heads_[c.first][c.second];
    word(block + next_at) = list;
    word(block + previous_at) = 0;
    if (list != 0) word(list + previous_at) = block;
    list = block;
    first_level_ |= std::uint64_t{1} << c.first;
    second_level_[c.first] |= std::uint32_t{1} << c.second;
}

void Heap::unlink(std::uint64_t block, std::uint64_t bytes) {
    const SizeClass c = class_of(bytes);
    const std::uint64_t next = word(block + next_at);
    const std::uint64_t previous = word(block + previous_at);
    if (next != 0) word(next + previous_at) = previous;
    if (previous != 0) {
        word(previous + next_at) = next;
        return;
    }
    DDICT_ASSERT(head(c) == block, "the free lists are damaged");
    heads_[c.first][c.second] = next;
    if (next != 0) return;
    second_level_[c.first] &= ~(std::uint32_t{1} << c.second);
    if (second_level_[c.first] == 0) first_level_ &= ~(std::uint64_t{1} << c.first);
}

/// Requires that neither neighbour is free.
void Heap::make_free(std::uint64_t block, std::uint64_t bytes) {
    word(block) = bytes | block_word::free;
    word(block + bytes - 8) = bytes;
    word(block + bytes) |= block_word::previous_free;
    link(block, bytes);
}

std::string Heap::inconsistency() const {
    const auto at = [](std::uint64_t block, const char* what) {
        return "block at offset " + std::to_string(block) + ": " + what;
    };
    const std::uint64_t end = offset_ + total_bytes();
    std::uint64_t free_bytes = spare_ == 0 ? 0 : block_bytes(spare_);
    std::uint64_t free_blocks = 0;
    bool previous_free = false;
    std::uint64_t block = offset_;
    while (block < end) {
        const std::uint64_t header = word(block);
        const std::uint64_t size = block_bytes(block);
        if (size < block_bytes_min || size > end - block) return at(block, "its size is impossible");
        if (((header & block_word::previous_free) != 0) != previous_free)
            return at(block, "is wrong about the block before it");
        if (is_free(block)) {
            if (previous_free) return at(block, "is free, as is the one before it");
            if (word(block + size - 8) != size) return at(block, "its two sizes differ");
            free_bytes += size;
            ++free_blocks;
        }
        if (block == withheld_ && (is_free(block) || block + size != end))
            return at(block, "is not withheld");
        previous_free = is_free(block);
        block += size;
    }
    if (block_bytes(end) != 0) return "the end mark is gone";
    if (free_bytes != free_bytes_) return "the count of free bytes is wrong";
    for (unsigned first = 0; first < first_level_count; ++first) {
        for (unsigned second = 0; second < second_level_count; ++second) {
            std::uint64_t previous = 0;
            for (block = head({first, second}); block != 0; block = word(block + next_at)) {
                const SizeClass c = class_of(block_bytes(block));
                if (!is_free(block) || c.first != first || c.second != second)
                    return at(block, "is in the wrong list");
                if (word(block + previous_at) != previous) return at(block, "its links are wrong");
                if (free_blocks-- == 0) return "a block is in a list twice";
                previous = block;
            }
            const bool marked = ((second_level_[first] >> second) & 1) != 0;
            if (marked != (previous != 0)) return "the bitmaps are wrong";
        }
        if ((((first_level_ >> first) & 1) != 0) != (second_level_[first] != 0))
            return "the bitmaps are wrong";
    }
    return free_blocks == 0 ? std::string() : "a free block is in no list";
}

}  // namespace ddict::shm
