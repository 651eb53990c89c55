// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Pools of which only the beginning is reserved when they are made.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>

#include "shm/pool.h"
#include "shm/recovery.h"
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

TEST_F(SparsePoolTest, IsWholeOnceItIsRecovered) {
    {
        const std::unique_ptr<Pool> pool = attach();
        ASSERT_TRUE(put(*pool, "a", std::string(70 * mebibyte, 'a')));
    }
    RecoveryReport report;
    const auto pool = Pool::recover(Segment::open(name_, Access::read_write).value(), {}, report).value();
    EXPECT_EQ(bytes_there(), pool_bytes);
    EXPECT_EQ(value_of(*pool, "a").size(), 70 * mebibyte);
    EXPECT_EQ(pool->inconsistency(), "");
    EXPECT_TRUE(put(*pool, "b", std::string(50 * mebibyte, 'b')));
}

TEST(SmallPoolTest, IsThereFromTheBeginning) {
    const std::string name = test_segment_name();
    const Segment segment = Pool::create_sparse_segment(name, 2 * mebibyte).value();
    Segment::remove(name);
    EXPECT_EQ(segment.reserved_bytes(), segment.size());
}

}  // namespace
}  // namespace ddict::shm
