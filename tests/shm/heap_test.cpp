// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "shm/block.h"
#include "tests/shm/chance.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t start = 4096;

class HeapTest : public testing::Test {
  protected:
    void make(std::uint64_t bytes) {
        memory_ = std::make_unique<std::uint64_t[]>((start + bytes) / 8);
        heap_.emplace(pool(), start, bytes);
    }
    std::byte* pool() { return reinterpret_cast<std::byte*>(memory_.get()); }
    Heap& heap() { return *heap_; }

  private:
    std::unique_ptr<std::uint64_t[]> memory_;
    std::optional<Heap> heap_;
};

TEST_F(HeapTest, BeginsAsOneFreeBlock) {
    make(1 << 20);
    EXPECT_EQ(heap().used_bytes(), 0U);
    EXPECT_EQ(heap().free_bytes(), heap().total_bytes());
    EXPECT_EQ(heap().largest_free_bytes(), heap().total_bytes());
    EXPECT_EQ(heap().inconsistency(), "");
}

TEST_F(HeapTest, GivesItsLastByte) {
    make(1 << 20);
    const std::uint64_t block = heap().allocate(heap().total_bytes());
    ASSERT_NE(block, 0U);
    EXPECT_EQ(heap().free_bytes(), 0U);
    EXPECT_EQ(heap().largest_free_bytes(), 0U);
    EXPECT_EQ(heap().allocate(1), 0U);
    heap().free(block);
    EXPECT_EQ(heap().largest_free_bytes(), heap().total_bytes());
    EXPECT_EQ(heap().allocate(heap().total_bytes() + 1), 0U);
    EXPECT_EQ(heap().allocate(~std::uint64_t{0}), 0U);
}

TEST_F(HeapTest, RoundsSizesUpTo16BytesOnly) {
    make(1 << 20);
    for (const std::uint64_t bytes : {1U, 31U, 32U, 33U, 48U, 513U, 8240U, 100'001U}) {
        const std::uint64_t before = heap().used_bytes();
        const std::uint64_t block = heap().allocate(bytes);
        EXPECT_EQ(block % 16, 0U);
        EXPECT_EQ(heap().used_bytes() - before, std::max<std::uint64_t>(32, align_up(bytes))) << bytes;
        EXPECT_EQ(heap().block_bytes(block), heap().used_bytes() - before);
    }
}

TEST_F(HeapTest, TakesFromTheSideAskedFor) {
    make(1 << 20);
    const std::uint64_t front = heap().allocate(1000, Heap::Side::front);
    const std::uint64_t back = heap().allocate(1000, Heap::Side::back);
    EXPECT_EQ(front, start);
    EXPECT_EQ(back + heap().block_bytes(back), start + heap().total_bytes());
    EXPECT_EQ(heap().inconsistency(), "");
}

TEST_F(HeapTest, CoalescesWithBothNeighbours) {
    make(1 << 20);
    const std::uint64_t a = heap().allocate(100);
    const std::uint64_t b = heap().allocate(200);
    const std::uint64_t c = heap().allocate(300);
    const std::uint64_t d = heap().allocate(400);
    heap().free(a);
    heap().free(c);
    EXPECT_EQ(heap().bytes_if_freed(b), 112U + 208U + 304U);
    heap().free(b);
    EXPECT_EQ(heap().inconsistency(), "");
    heap().free(d);  // now b is not the spare any more
    EXPECT_EQ(heap().inconsistency(), "");
    EXPECT_EQ(heap().allocate(624), a);
}

TEST_F(HeapTest, TheBlockFreedLastIsTheFirstToBeUsedAgain) {
    make(1 << 20);
    const std::uint64_t a = heap().allocate(100);
    const std::uint64_t b = heap().allocate(100);
    heap().allocate(100);
    const std::uint64_t free_bytes = heap().free_bytes();
    heap().free(b);
    EXPECT_EQ(heap().free_bytes(), free_bytes + 112);
    EXPECT_EQ(heap().inconsistency(), "");
    EXPECT_EQ(heap().allocate(100), b);
    heap().free(a);
    heap().free(b);
    EXPECT_NE(heap().allocate(64), b) << "another size is taken from elsewhere";
    EXPECT_EQ(heap().inconsistency(), "");
}

TEST_F(HeapTest, TheBlockFreedLastIsUsedWhenNothingElseWillDo) {
    make(4096);
    const std::uint64_t all = heap().allocate(heap().largest_free_bytes());
    const std::uint64_t bytes = heap().block_bytes(all);
    heap().free(all);
    EXPECT_EQ(heap().largest_free_bytes(), bytes);
    EXPECT_EQ(heap().allocate(bytes / 2), all);
    EXPECT_EQ(heap().inconsistency(), "");
}

TEST_F(HeapTest, FindsTheOnlyBlockOfASizeThatIsNoClassBoundary) {
    make(1 << 20);
    // 100'000 lies inside its size class: asking for the class above finds nothing.
    const std::uint64_t hole = heap().allocate(100'000);
    while (heap().allocate(512) != 0) {
    }
    heap().free(hole);
    EXPECT_EQ(heap().largest_free_bytes(), 100'000U);
    EXPECT_EQ(heap().allocate(100'000), hole);
}

// What largest_free_bytes() promises can be had, and no more.
TEST_F(HeapTest, TheLargestFreeSizeIsExact) {
    Chance chance;
    make(1 << 20);
    std::vector<std::uint64_t> blocks;
    for (int round = 0; round < 2000; ++round) {
        if (chance.below(2) == 0 || blocks.empty()) {
            if (const std::uint64_t block = heap().allocate(1 + chance.size_below(100'000)); block != 0)
                blocks.push_back(block);
        } else {
            std::swap(blocks[chance.below(blocks.size())], blocks.back());
            heap().free(blocks.back());
            blocks.pop_back();
        }
        const std::uint64_t largest = heap().largest_free_bytes();
        ASSERT_EQ(heap().allocate(largest + 1), 0U);
        if (largest == 0) continue;
        const std::uint64_t block = heap().allocate(largest);
        ASSERT_NE(block, 0U);
        heap().free(block);
    }
}

// Random allocation against a map of what is in use: no overlap, contents intact, each byte accounted for.
TEST_F(HeapTest, AgreesWithAModel) {
    Chance chance;
    constexpr std::uint64_t bytes = 8 << 20;
    make(bytes);
    std::map<std::uint64_t, std::uint64_t> used;  // offset -> size
    std::uint64_t used_bytes = 0;
    const auto fill_of = [](std::uint64_t block) { return static_cast<int>(block / 16 % 251); };
    const auto check_and_free = [&](std::map<std::uint64_t, std::uint64_t>::iterator at) {
        const auto [block, size] = *at;
        for (const std::uint64_t i : {std::uint64_t{8}, size / 2, size - 1})
            ASSERT_EQ(std::to_integer<int>(pool()[block + i]), fill_of(block))
                << "block " << block << " byte " << i;
        heap().free(block);
        used_bytes -= size;
        used.erase(at);
    };
    for (int step = 0; step < 200'000; ++step) {
        // Waves: the heap gets full, then nearly empty, and again.
        const bool filling = step / 10'000 % 2 == 0;
        if (chance.below(10) < (filling ? 7 : 3)) {
            const std::uint64_t want = 1 + chance.size_below(chance.below(100) == 0 ? bytes / 4 : 10'000);
            const auto side = chance.below(8) == 0 ? Heap::Side::back : Heap::Side::front;
            const std::uint64_t block = heap().allocate(want, side);
            if (block == 0) {
                ASSERT_GT(align_up(want), heap().largest_free_bytes());
                continue;
            }
            const std::uint64_t size = heap().block_bytes(block);
            ASSERT_GE(size, want);
            ASSERT_LE(size, std::max<std::uint64_t>(align_up(want), 32) + 16);
            ASSERT_GE(block, start);
            ASSERT_LE(block + size, start + heap().total_bytes());
            const auto [at, fresh] = used.emplace(block, size);
            ASSERT_TRUE(fresh);
            if (at != used.begin()) {
                ASSERT_LE(std::prev(at)->first + std::prev(at)->second, block);
            }
            if (std::next(at) != used.end()) {
                ASSERT_LE(block + size, std::next(at)->first);
            }
            std::memset(pool() + block + 8, fill_of(block), size - 8);
            used_bytes += size;
        } else if (!used.empty()) {
            auto at = used.lower_bound(start + chance.below(bytes));
            if (at == used.end()) at = used.begin();
            check_and_free(at);
        }
        ASSERT_EQ(heap().used_bytes(), used_bytes);
        ASSERT_EQ(heap().used_bytes() + heap().free_bytes(), heap().total_bytes());
        if (step % 1000 == 0) {
            ASSERT_EQ(heap().inconsistency(), "");
        }
    }
    while (!used.empty())
        check_and_free(used.begin());
    EXPECT_EQ(heap().inconsistency(), "");
    EXPECT_EQ(heap().largest_free_bytes(), heap().total_bytes());
}

// Many small holes are as good as new once their neighbours go too.
TEST_F(HeapTest, FragmentsComeTogetherAgain) {
    make(1 << 20);
    std::vector<std::uint64_t> blocks;
    for (std::uint64_t block = heap().allocate(96); block != 0; block = heap().allocate(96))
        blocks.push_back(block);
    for (std::size_t i = 0; i < blocks.size(); i += 2)
        heap().free(blocks[i]);
    EXPECT_EQ(heap().inconsistency(), "");
    EXPECT_GE(heap().free_bytes(), heap().total_bytes() / 2 - 96);
    EXPECT_EQ(heap().allocate(256), 0U) << "no hole is larger than two blocks";
    for (std::size_t i = 1; i < blocks.size(); i += 2)
        heap().free(blocks[i]);
    EXPECT_EQ(heap().largest_free_bytes(), heap().total_bytes());
}

/// A heap of which only the beginning is there: what is not keeps the bytes that it has.
class SparseHeapTest : public testing::Test {
  protected:
    static constexpr std::uint64_t bytes = 4 << 20;
    static constexpr std::uint64_t end = start + bytes - Heap::end_mark_bytes;

    SparseHeapTest() : memory_(std::make_unique<std::uint64_t[]>((start + bytes) / 8)) {
        std::fill(pool() + there_, pool() + start + bytes, std::byte{0xa5});
        heap_.emplace(pool(), start, bytes, missing());
    }
    MissingMemory missing() {
        return {.begin = there_, .take = [this](std::uint64_t until) {
                    there_ = std::max(there_, std::min(until, limit_));
                    return there_;
                }};
    }
    /// As after a kill: nothing is known but these blocks, and how much is there.
    void make_again(std::vector<std::uint64_t>& used) {
        std::sort(used.begin(), used.end());
        std::vector<Heap::Used> blocks;
        for (const std::uint64_t block : used)
            blocks.push_back({.offset = block, .bytes = heap_->block_bytes(block), .flags = 0});
        heap_.emplace(
            pool(), start, bytes,
            [next = blocks.begin(), end = blocks.end()](Heap::Used& one) mutable {
                return next != end && (one = *next++, true);
            },
            missing());
    }
    std::byte* pool() { return reinterpret_cast<std::byte*>(memory_.get()); }
    Heap& heap() { return *heap_; }
    void take_to(std::uint64_t limit) { limit_ = limit; }
    /// As a thread would that goes on by itself.
    void take_more() { there_ = std::min(limit_, there_ + (64 << 10)); }
    std::uint64_t there() const { return there_; }
    bool is_rest_untouched() {
        return std::all_of(pool() + there_, pool() + end, [](std::byte b) { return b == std::byte{0xa5}; });
    }

  private:
    std::uint64_t there_ = start + (256 << 10);
    std::uint64_t limit_ = start + bytes;
    std::unique_ptr<std::uint64_t[]> memory_;
    std::optional<Heap> heap_;
};

TEST_F(SparseHeapTest, CountsWhatIsMissingAsFree) {
    EXPECT_EQ(heap().free_bytes(), heap().total_bytes());
    EXPECT_EQ(heap().used_bytes(), 0U);
    EXPECT_EQ(heap().inconsistency(), "");
    EXPECT_TRUE(is_rest_untouched());
    EXPECT_GE(heap().allocate(1 << 20, Heap::Side::back), start);
    EXPECT_GE(there(), start + (1 << 20));
    EXPECT_TRUE(is_rest_untouched());
    EXPECT_EQ(heap().inconsistency(), "");
}

TEST_F(SparseHeapTest, GivesItsLastByte) {
    const std::uint64_t block = heap().allocate(heap().total_bytes());
    ASSERT_EQ(block, start);
    EXPECT_EQ(heap().free_bytes(), 0U);
    heap().free(block);
    EXPECT_EQ(heap().largest_free_bytes(), heap().total_bytes());
    EXPECT_EQ(heap().inconsistency(), "");
}

TEST_F(SparseHeapTest, WhatCannotBeHadIsNoSpace) {
    take_to(there());
    EXPECT_EQ(heap().allocate(1 << 20), 0U);
    EXPECT_NE(heap().allocate(100 << 10), 0U) << "what is there is given";
    take_to(end - 100);  // too little is left for another block, and that cannot be had
    EXPECT_EQ(heap().allocate(heap().free_bytes()), 0U);
    EXPECT_EQ(heap().inconsistency(), "");
    take_to(start + bytes);
    EXPECT_NE(heap().allocate(heap().free_bytes()), 0U) << "it is asked again";
    EXPECT_EQ(heap().inconsistency(), "");
}

TEST_F(SparseHeapTest, SaysHowMuchABlockNeeds) {
    EXPECT_EQ(heap().missing_until(100 << 10), 0U) << "it is there";
    take_to(start + (1 << 20));
    EXPECT_EQ(heap().allocate(1 << 20), 0U);
    const std::uint64_t until = heap().missing_until(1 << 20);
    EXPECT_GT(until, there());
    EXPECT_LE(until, there() + (1 << 20) + 128);
    take_to(until);
    EXPECT_NE(heap().allocate(1 << 20), 0U);
    EXPECT_EQ(heap().missing_until(heap().total_bytes()), 0U) << "it cannot be";
    EXPECT_NE(heap().missing_until(2 << 20), 0U);
}

TEST_F(SparseHeapTest, TouchesNothingThatIsNotThere) {
    Chance chance;
    std::vector<std::uint64_t> used;
    for (int step = 0; step < 20'000; ++step) {
        if (chance.below(100) == 0) take_more();
        const bool fills = step / 3'000 % 2 == 0;
        if (chance.below(10) < (fills ? 7U : 3U)) {
            const std::uint64_t want = 1 + chance.size_below(chance.below(100) == 0 ? 400'000 : 8'000);
            const auto side = chance.below(8) == 0 ? Heap::Side::back : Heap::Side::front;
            const std::uint64_t block = heap().allocate(want, side);
            if (block == 0) continue;
            ASSERT_TRUE(block + heap().block_bytes(block) <= there() || there() >= end);
            std::memset(pool() + block + 8, 1, heap().block_bytes(block) - 8);
            used.push_back(block);
        } else if (!used.empty()) {
            std::swap(used[chance.below(used.size())], used.back());
            heap().free(used.back());
            used.pop_back();
        }
        if (step % 500 == 0) {
            ASSERT_EQ(heap().inconsistency(), "");
            ASSERT_TRUE(is_rest_untouched());
        }
        if (step == 4'000) {
            std::sort(used.begin(), used.end());
            used.resize(used.size() / 2);
            heap().free_all_but(used);
            ASSERT_EQ(heap().inconsistency(), "");
        }
        if (there() < end && chance.below(1'000) == 0) {
            make_again(used);
            ASSERT_EQ(heap().inconsistency(), "");
            ASSERT_TRUE(is_rest_untouched());
        }
    }
    heap().free_all_but({});
    EXPECT_EQ(heap().free_bytes(), heap().total_bytes());
    EXPECT_EQ(heap().inconsistency(), "");
}

using HeapDeathTest = HeapTest;

TEST_F(HeapDeathTest, FreeingTwiceIsRefused) {
    make(1 << 20);
    const std::uint64_t block = heap().allocate(100);
    heap().allocate(100);
    heap().free(block);
    EXPECT_DEATH(heap().free(block), "only once");
}

}  // namespace
}  // namespace ddict::shm
