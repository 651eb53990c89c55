// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Pools whose free memory is in pieces, each of which is too small for what comes next.
#include "shm/compaction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "base/limits.h"
#include "tests/shm/chance.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

std::string value_for(std::uint64_t number, std::size_t bytes) {
    std::string value(bytes, static_cast<char>('a' + number % 26));
    const std::string name = std::to_string(number);
    value.replace(0, std::min(name.size(), bytes), name, 0, std::min(name.size(), bytes));
    return value;
}

class CompactionTest : public testing::Test {
  protected:
    void open(std::uint64_t bytes) { pool_ = make_pool(bytes); }
    bool put(std::uint64_t number, std::size_t value_bytes) {
        if (!shm::put(*pool_, numbered_key(number), value_for(number, value_bytes))) return false;
        sizes_[number] = value_bytes;
        return true;
    }
    void erase(std::uint64_t number) {
        ASSERT_TRUE(shm::erase(*pool_, numbered_key(number)));
        sizes_.erase(number);
    }
    /// Returns how many were put. For a large value there is more than one step, as a shard does it.
    std::uint64_t fill(std::uint64_t first, std::size_t value_bytes) {
        const bool may_wait = value_bytes > limits::inline_value_bytes_max;
        std::uint64_t count = 0;
        for (;;) {
            const std::uint64_t number = first + count;
            if (put(number, value_bytes)) {
                ++count;
            } else if (may_wait &&
                       pool_->may_make_space({.key = bytes_of(numbered_key(number))}, value_bytes)) {
                pool_->make_space({.key = bytes_of(numbered_key(number))}, value_bytes);
            } else {
                return count;
            }
        }
    }
    void erase_at_random(std::uint64_t of_100) {
        for (auto at = sizes_.begin(); at != sizes_.end();) {
            const std::uint64_t number = (at++)->first;
            if (chance_.below(100) < of_100) erase(number);
        }
    }
    void check_all() {
        ASSERT_EQ(pool_->inconsistency(), "");
        ASSERT_EQ(pool_->size(), sizes_.size());
        for (const auto& [number, bytes] : sizes_)
            ASSERT_EQ(value_of(*pool_, numbered_key(number)), value_for(number, bytes));
        const PoolUsage usage = pool_->usage();
        ASSERT_EQ(usage.used_bytes + usage.free_bytes, usage.pool_bytes);
    }
    /// What a shard does with a large value for which there is no space at once. The number of steps, or
    /// nothing if there was no space in the end.
    std::optional<unsigned> reserve_step_by_step(std::string_view key, std::uint64_t value_bytes) {
        for (unsigned steps = 0;; ++steps) {
            const Result<Block*> block =
                pool_->reserve({bytes_of(key), hash_of(bytes_of(key)), 0, 0, {}}, value_bytes);
            if (block) {
                std::memset((*block)->value().data(), 'r', value_bytes);
                reserved_ = *block;
                return steps;
            }
            EXPECT_EQ(block.error().code, Errc::no_space);
            if (!pool_->may_make_space({.key = bytes_of(key)}, value_bytes)) return std::nullopt;
            EXPECT_LT(steps, 100'000U) << "it must come to an end";
            pool_->make_space({.key = bytes_of(key)}, value_bytes);
        }
    }

    Chance chance_;
    std::unique_ptr<Pool> pool_;
    std::map<std::uint64_t, std::size_t> sizes_;
    Block* reserved_ = nullptr;
};

TEST_F(CompactionTest, HalfOfThePairsGoAndTwiceTheSizeComes) {
    constexpr std::uint64_t others = 1'000'000;
    for (const std::size_t bytes : {8U, 100U, 8192U, 262'144U, 1'048'576U}) {
        open(bytes > 10'000 ? 256 * bytes : 8 * mebibyte);
        sizes_.clear();
        fill(0, bytes);
        const std::uint64_t free_when_full = pool_->usage().free_bytes;
        erase_at_random(50);
        const std::uint64_t freed = pool_->usage().free_bytes - free_when_full;
        const std::uint64_t before = pool_->usage().used_bytes;
        const std::uint64_t count = fill(others, 2 * bytes);
        const double share =
            static_cast<double>(pool_->usage().used_bytes - before) / static_cast<double>(freed);
        std::cout << bytes << " bytes: " << count << " pairs of twice the size; " << share
                  << " of what was freed is used; " << pool_->compaction().moved_pairs << " moved\n";
        EXPECT_GE(share, 0.9);
        EXPECT_EQ(pool_->compaction().moved_pairs > 0, bytes != 8) << "8 and 16 bytes take the same space";
        check_all();
    }
}

TEST_F(CompactionTest, PairsOfAllSizesMakeSpaceForLargerOnes) {
    open(32 * mebibyte);
    std::uint64_t number = 0;
    while (put(number, chance_.size_below(20'000)))
        ++number;
    for (int round = 0; round < 5; ++round) {
        erase_at_random(40);
        const std::uint64_t free = pool_->usage().free_bytes;
        while (put(++number, 5000 + chance_.size_below(40'000))) {
        }
        EXPECT_LT(pool_->usage().free_bytes, free / 5);
        check_all();
    }
}

TEST_F(CompactionTest, OneLargeValueIsMadeSpaceForInManySteps) {
    open(64 * mebibyte);
    fill(0, 200);
    erase_at_random(50);
    EXPECT_FALSE(put(1'000'000, 16 * mebibyte)) << "one step is not enough for that";
    const std::optional<unsigned> steps = reserve_step_by_step("large", 16 * mebibyte);
    ASSERT_TRUE(steps);
    EXPECT_GT(*steps, 3U);
    const Compactor::Counters counters = pool_->compaction();
    std::cout << *steps << " steps, " << counters.moved_pairs << " pairs moved\n";
    EXPECT_LE(counters.moved_bytes, 32 * mebibyte) << "not much more than what is gained";
    check_all();
    ASSERT_TRUE(pool_->publish(reserved_));
    EXPECT_EQ(value_of(*pool_, "large"), std::string(16 * mebibyte, 'r'));
}

TEST_F(CompactionTest, WhatIsPinnedOrReservedStays) {
    open(4 * mebibyte);
    const std::uint64_t count = fill(0, 1000);
    std::vector<const Block*> pinned;
    for (std::uint64_t number = 0; number < count; number += 20) {
        pinned.push_back(find(*pool_, numbered_key(number)));
        pool_->pin(pinned.back());
    }
    erase(1);
    Block* in_the_making = pool_->reserve({bytes_of("key"), hash_of(bytes_of("key")), 0, 0, {}}, 900).value();
    for (std::uint64_t number = 2; number < count; number += 2)
        if (number % 20 != 0) erase(number);
    EXPECT_GT(fill(1'000'000, 2000), 100U);
    EXPECT_GT(pool_->compaction().moved_pairs, 0U);
    std::memset(in_the_making->value().data(), 'm', 900);
    ASSERT_TRUE(pool_->publish(in_the_making));
    EXPECT_EQ(value_of(*pool_, "key"), std::string(900, 'm'));
    for (std::size_t i = 0; i < pinned.size(); ++i) {
        EXPECT_EQ(find(*pool_, numbered_key(20 * i)), pinned[i]);
        pool_->unpin(pinned[i]);
    }
    ASSERT_TRUE(shm::erase(*pool_, "key"));
    check_all();
}

TEST_F(CompactionTest, AFrozenPoolIsLeftAlone) {
    open(4 * mebibyte);
    fill(0, 1000);
    erase_at_random(50);
    pool_->set_frozen(true);
    EXPECT_FALSE(pool_->reserve({bytes_of("k"), hash_of(bytes_of("k")), 0, 0, {}}, 100'000));
    EXPECT_FALSE(pool_->may_make_space({.key = bytes_of("k")}, 100'000));
    EXPECT_EQ(pool_->compaction().moved_pairs, 0U);
    pool_->set_frozen(false);
    EXPECT_TRUE(put(1'000'000, 100'000));
    check_all();
}

/// Two pairs that are each larger than a step, with holes before, between and after.
class LargePairsTest : public CompactionTest {
  protected:
    static constexpr std::size_t large = 10 * mebibyte;
    static constexpr std::size_t hole = 12 * mebibyte;
    static constexpr std::size_t wanted = 20 * mebibyte;

    void SetUp() override {
        open(64 * mebibyte);
        before_ = pool_->usage().free_bytes;
        ASSERT_TRUE(put(0, hole));
        ASSERT_TRUE(put(1, large));
        ASSERT_TRUE(put(2, hole));
        ASSERT_TRUE(put(3, large));
        ASSERT_TRUE(put(4, hole));
        ASSERT_TRUE(put(5, pool_->usage().largest_free_bytes - 30));
        erase(0);
        erase(2);
        erase(4);
    }
    /// A copy of the first is under way.
    void begin() {
        ASSERT_FALSE(put(6, wanted));
        EXPECT_EQ(pool_->compaction().moved_pairs, 0U);
        const std::uint64_t used = pool_->usage().used_bytes;
        pool_->make_space({.key = bytes_of(std::string(30, 'k'))}, wanted);
        EXPECT_EQ(pool_->compaction().moved_pairs, 0U);
        EXPECT_GT(pool_->usage().used_bytes, used);
        check_all();
    }
    void TearDown() override {
        check_all();
        while (!sizes_.empty())
            erase(sizes_.begin()->first);
        EXPECT_EQ(pool_->usage().free_bytes, before_);
        EXPECT_EQ(pool_->usage().largest_free_bytes + 48, before_);
    }

    std::uint64_t before_ = 0;
};

TEST_F(LargePairsTest, AreMovedInSeveralSteps) {
    begin();
    ASSERT_TRUE(reserve_step_by_step("k", wanted));
    EXPECT_GE(pool_->compaction().steps, large / Compactor::step_cost_max);
    EXPECT_GE(pool_->compaction().moved_pairs, 1U);
    EXPECT_LE(pool_->compaction().moved_pairs, 3U);
    check_all();
    pool_->abandon(reserved_);
}

TEST_F(LargePairsTest, MayBeErasedMeanwhile) {
    begin();
    erase(1);
    erase(3);
    EXPECT_EQ(pool_->inconsistency(), "");
    EXPECT_TRUE(put(6, wanted));
}

TEST_F(LargePairsTest, MayBePinnedMeanwhile) {
    begin();
    const Block* block = find(*pool_, numbered_key(1));
    pool_->pin(block);
    ASSERT_TRUE(reserve_step_by_step("k", wanted)) << "the other one can be moved";
    EXPECT_EQ(find(*pool_, numbered_key(1)), block);
    pool_->unpin(block);
    pool_->abandon(reserved_);
}

TEST_F(LargePairsTest, MayBeClearedMeanwhile) {
    begin();
    pool_->clear();
    sizes_.clear();
    EXPECT_EQ(pool_->usage().free_bytes, before_);
}

TEST_F(LargePairsTest, GiveBackWhatTheirCopiesTookWhenNobodyGoesOn) {
    begin();
    const std::uint64_t used = pool_->usage().used_bytes;
    pool_->stop_making_space();
    EXPECT_LT(pool_->usage().used_bytes, used);
}

TEST_F(CompactionTest, WhatCannotBeHadIsFoundOutOnce) {
    open(4 * mebibyte);
    const std::uint64_t count = fill(0, 1000);
    for (std::uint64_t number = 0; number < count; number += 2)
        erase(number);
    std::vector<const Block*> pinned;
    for (const auto& [number, bytes] : sizes_) {
        pinned.push_back(find(*pool_, numbered_key(number)));
        pool_->pin(pinned.back());
    }
    EXPECT_FALSE(reserve_step_by_step("k", 5000));
    const std::uint64_t steps = pool_->compaction().steps;
    EXPECT_FALSE(put(1'000'000, 5000));
    EXPECT_EQ(pool_->compaction().steps, steps) << "no second look";
    for (const Block* block : pinned)
        pool_->unpin(block);
    EXPECT_TRUE(put(1'000'000, 5000));
    check_all();
}

TEST_F(CompactionTest, TheBoundsOfAStepHoldForABatchAsAWhole) {
    open(32 * mebibyte);
    fill(0, 200);
    erase_at_random(50);
    const std::uint64_t before = pool_->compaction().moved_bytes;
    {
        const Pool::OneStep one_step(*pool_);
        for (std::uint64_t number = 1'000'000; number < 1'000'100; ++number)
            put(number, 200'000);
    }
    EXPECT_GT(pool_->compaction().moved_bytes, before);
    EXPECT_LE(pool_->compaction().moved_bytes, before + Compactor::step_cost_max);
    check_all();
}

TEST_F(CompactionTest, TheIndexFindsSpaceToGrow) {
    open(mebibyte);
    const std::uint64_t count = fill(0, 720);
    EXPECT_EQ(pool_->growth().splits, 0U) << "the index is still small";
    for (std::uint64_t number = 0; number < count; number += 2)
        erase(number);
    EXPECT_GT(fill(1'000'000, 1), 2000U);
    EXPECT_GT(pool_->growth().splits, 0U);
    check_all();
}

}  // namespace
}  // namespace ddict::shm
