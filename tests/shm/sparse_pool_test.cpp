// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Pools of which only the beginning is reserved when they are made.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <iostream>

#include "shm/layout.h"
#include "shm/pool.h"
#include "shm/recovery.h"
#include "tests/shm/chance.h"
#include "tests/shm/child.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;
constexpr std::uint64_t pool_bytes = 160 * mebibyte;

class SparsePoolTest : public testing::Test {
  protected:
    SparsePoolTest() {
        Segment segment = Pool::create_sparse_segment(name_, pool_bytes).value();
        Pool::format(segment, test_identity()).value();
    }
    ~SparsePoolTest() override { Segment::remove(name_); }

    std::unique_ptr<Pool> attach() const {
        return Pool::attach(Segment::open(name_, Access::read_write).value()).value();
    }
    std::unique_ptr<Pool> recover() const {
        RecoveryReport report;
        return Pool::recover(Segment::open(name_, Access::read_write).value(), {}, report).value();
    }
    /// What the file takes.
    std::uint64_t bytes_there() const {
        struct stat info {};
        EXPECT_EQ(::stat(("/dev/shm/" + name_).c_str(), &info), 0);
        return static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
    const std::string name_ = test_segment_name();
};

TEST_F(SparsePoolTest, TakesMemoryWhenPairsNeedIt) {
    const std::unique_ptr<Pool> pool = attach();
    EXPECT_LE(bytes_there(), Pool::bytes_at_first + mebibyte);
    const PoolUsage of_any_other = make_pool(pool_bytes)->usage();
    EXPECT_EQ(pool->usage().used_bytes, of_any_other.used_bytes);
    EXPECT_EQ(pool->usage().free_bytes, of_any_other.free_bytes);
    const std::string value(mebibyte, 'v');
    std::uint64_t pairs = 0;
    while (put(*pool, numbered_key(pairs), value))
        ++pairs;
    EXPECT_GT(pairs, pool_bytes / mebibyte * 9 / 10);
    EXPECT_EQ(bytes_there(), pool_bytes);
    EXPECT_EQ(pool->inconsistency(), "");
    for (std::uint64_t i = 0; i < pairs; ++i)
        ASSERT_EQ(value_of(*pool, numbered_key(i)), value);
    pool->clear();
    EXPECT_EQ(pool->inconsistency(), "");
}

TEST_F(SparsePoolTest, IsClearedBeforeAllIsThere) {
    const std::unique_ptr<Pool> pool = attach();
    const std::uint64_t free = pool->usage().free_bytes;
    ASSERT_TRUE(put(*pool, "a", std::string(70 * mebibyte, 'a')));
    const std::uint64_t there = bytes_there();
    EXPECT_LT(there, 150 * mebibyte);
    pool->clear();
    EXPECT_EQ(pool->usage().free_bytes, free);
    EXPECT_EQ(pool->inconsistency(), "");
    EXPECT_EQ(bytes_there(), there);
    EXPECT_TRUE(put(*pool, "b", std::string(90 * mebibyte, 'b')));
}

TEST_F(SparsePoolTest, HoldsAPairOfItsCapacity) {
    const std::unique_ptr<Pool> pool = attach();
    EXPECT_GT(pool->capacity_bytes(), pool_bytes - Pool::bytes_at_first - mebibyte);
    EXPECT_TRUE(put(*pool, "a", std::string(pool->capacity_bytes() - 1, 'c')));
    EXPECT_EQ(pool->inconsistency(), "");
}

TEST_F(SparsePoolTest, WhatIsReservedMeanwhileIsUsed) {
    const std::unique_ptr<Pool> pool = attach();
    ASSERT_TRUE(pool->memory().reserve(pool->memory().reserved_bytes(), pool_bytes));
    EXPECT_EQ(pool->memory().reserved_bytes(), pool_bytes);
    ASSERT_TRUE(put(*pool, "a", std::string(90 * mebibyte, 'a')));
    EXPECT_EQ(pool->inconsistency(), "");
}

TEST_F(SparsePoolTest, ARecoveredOneTakesNoMoreThanItHad) {
    {
        const std::unique_ptr<Pool> pool = attach();
        ASSERT_TRUE(put(*pool, "a", std::string(30 * mebibyte, 'a')));
        ASSERT_TRUE(put(*pool, "c", std::string(30 * mebibyte, 'c')));
    }
    const std::uint64_t there = bytes_there();
    EXPECT_LT(there, 110 * mebibyte);
    const auto pool = recover();
    EXPECT_EQ(bytes_there(), there);
    EXPECT_EQ(pool->inconsistency(), "");
    EXPECT_TRUE(put(*pool, "b", std::string(55 * mebibyte, 'b')));
    EXPECT_GT(bytes_there(), there);
    EXPECT_EQ(value_of(*pool, "a"), std::string(30 * mebibyte, 'a'));
    EXPECT_EQ(value_of(*pool, "c"), std::string(30 * mebibyte, 'c'));
    EXPECT_EQ(pool->inconsistency(), "");
}

TEST_F(SparsePoolTest, ADamagedNumberOfWhatWasUsedLosesNothing) {
    {
        const std::unique_ptr<Pool> pool = attach();
        ASSERT_TRUE(put(*pool, "a", std::string(40 * mebibyte, 'a')));
        ASSERT_TRUE(put(*pool, "b", std::string(40 * mebibyte, 'b')));
    }
    const auto expect_both = [&](const char* what) {
        const auto pool = recover();
        EXPECT_EQ(value_of(*pool, "a").size(), 40 * mebibyte) << what;
        EXPECT_EQ(value_of(*pool, "b").size(), 40 * mebibyte) << what;
        EXPECT_EQ(pool->inconsistency(), "") << what;
    };
    const Segment segment = Segment::open(name_, Access::read_write).value();
    auto& used = reinterpret_cast<PoolHeader*>(segment.data())->used_until;
    used[0] = 0;
    expect_both("one is nothing");
    used[1] = ~std::uint64_t{0};
    expect_both("one is more than there is");
    EXPECT_EQ(bytes_there(), pool_bytes);
}

/// Whatever a manager has said to be there is there, whenever it is killed.
TEST_F(SparsePoolTest, IsKilledAtAnyTime) {
    constexpr std::size_t value_bytes = 100'000;
    Chance chance;
    std::uint64_t pairs = 0;
    { const std::unique_ptr<Pool> attached = attach(); }
    const auto value = [](std::uint64_t i) {
        return std::string(value_bytes, static_cast<char>('a' + i % 26));
    };
    int rounds = 0;
    for (; pairs < pool_bytes / value_bytes * 9 / 10; ++rounds) {
        Child child([&](int progress) {
            const std::unique_ptr<Pool> pool = recover();
            for (std::uint64_t i = pairs; put(*pool, numbered_key(i), value(i)); ++i)
                Child::report(progress);
            return 0;
        });
        const std::uint64_t heard = 1 + chance.below(200);
        for (std::uint64_t i = 0; i < heard && child.hear(1); ++i)
            ++pairs;
        child.kill();
        const std::unique_ptr<Pool> pool = recover();
        ASSERT_EQ(pool->inconsistency(), "");
        for (std::uint64_t i = 0; i < pairs; i += i + 50 < pairs ? 1 + chance.below(50) : 1)
            ASSERT_EQ(value_of(*pool, numbered_key(i)), value(i)) << i << " of " << pairs;
        while (find(*pool, numbered_key(pairs)) != nullptr)  // has been put, but not been told
            ++pairs;
        ASSERT_EQ(pool->size(), pairs);
    }
    std::cout << pairs << " pairs, " << rounds << " kills\n";
}

TEST_F(SparsePoolTest, MuchIsTakenInSteps) {
    const std::unique_ptr<Pool> pool = attach();
    const auto pair = [](std::string_view key) {
        return Pair{bytes_of(key), hash_of(bytes_of(key)), 0, 0, {}};
    };
    const Pair large = pair("a");
    EXPECT_FALSE(pool->takes_long(large, mebibyte));
    EXPECT_FALSE(pool->takes_long(large, 62 * mebibyte)) << "that is little more than what is there";
    EXPECT_FALSE(pool->takes_long(large, pool_bytes)) << "it is too large";
    EXPECT_FALSE(pool->take_some(large, mebibyte));
    ASSERT_TRUE(pool->takes_long(large, 90 * mebibyte));
    int steps = 0;
    for (std::uint64_t there = bytes_there(); pool->take_some(large, 90 * mebibyte); ++steps) {
        EXPECT_LE(bytes_there(), there + 8 * mebibyte);
        there = bytes_there();
    }
    EXPECT_GE(steps, 4);
    EXPECT_FALSE(pool->takes_long(large, 90 * mebibyte));
    const std::uint64_t there = bytes_there();
    EXPECT_TRUE(put(*pool, "a", std::string(90 * mebibyte, 'a')));
    EXPECT_EQ(bytes_there(), there);
    EXPECT_FALSE(pool->takes_long(pair("b"), 90 * mebibyte)) << "there is no place, whatever is taken";
    EXPECT_EQ(pool->inconsistency(), "");
}

TEST(SmallPoolTest, IsThereFromTheBeginning) {
    const std::string name = test_segment_name();
    const Segment segment = Pool::create_sparse_segment(name, 2 * mebibyte).value();
    Segment::remove(name);
    EXPECT_EQ(segment.reserved_bytes(), segment.size());
}

}  // namespace
}  // namespace ddict::shm
