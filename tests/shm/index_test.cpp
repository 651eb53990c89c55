// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How the index grows, what it costs, what it does with hashes that are too alike, and scans.
#include "shm/index.h"

#include <gtest/gtest.h>
#include <time.h>

#include <chrono>
#include <map>
#include <set>

#include "cluster/placement.h"
#include "tests/shm/chance.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

/// The hash whose shard_hash() is this.
constexpr std::uint64_t hash_with_shard_hash(std::uint64_t h) {
    return (h >> 16) | (h << 48);
}

Result<void> put_with_hash(Pool& pool, std::string_view key, std::uint64_t hash) {
    return pool.put({bytes_of(key), hash, 0, 0, bytes_of(key)});
}

/// Of the processor, so that others who use it do not count.
std::chrono::nanoseconds thread_time() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

TEST(IndexTest, AMillionPairs) {
    constexpr std::uint64_t pairs = 1'000'000;
    const std::unique_ptr<Pool> pool = make_pool(256 * mebibyte);
    const std::uint64_t used_before = pool->usage().used_bytes;
    std::chrono::nanoseconds worst{0};
    for (std::uint64_t i = 0; i < pairs; ++i) {
        const std::string key = numbered_key(i);
        const std::chrono::nanoseconds start = thread_time();
        const Result<void> stored = put(*pool, key, {reinterpret_cast<const char*>(&i), sizeof i});
        worst = std::max(worst, thread_time() - start);
        ASSERT_TRUE(stored) << stored.error().message();
    }
    EXPECT_EQ(pool->size(), pairs);
    for (std::uint64_t i = 0; i < pairs; ++i)
        ASSERT_EQ(value_of(*pool, numbered_key(i)), std::string(reinterpret_cast<const char*>(&i), sizeof i));
    EXPECT_EQ(find(*pool, numbered_key(pairs)), nullptr);

    const PoolUsage usage = pool->usage();
    const double bytes_per_pair = static_cast<double>(usage.used_bytes - used_before) / pairs;
    const Index::Growth& growth = pool->growth();
    std::cout << bytes_per_pair << " bytes per pair, of which index "
              << static_cast<double>(usage.index_bytes) / pairs << "; worst put "
              << std::chrono::duration_cast<std::chrono::microseconds>(worst).count() << " us; "
              << growth.splits << " splits, " << growth.doublings << " doublings, at most "
              << growth.entries_moved_max << " entries moved by one put\n";
    EXPECT_LE(bytes_per_pair, 128.0);
    EXPECT_LE(growth.entries_moved_max, slots_per_segment) << "never more than one segment's entries at once";
    EXPECT_LE(growth.doublings, 12U);
    EXPECT_EQ(pool->inconsistency(), "");

    for (std::uint64_t i = 0; i < pairs; ++i)
        ASSERT_TRUE(erase(*pool, numbered_key(i)));
    EXPECT_EQ(pool->usage().used_bytes, used_before) << "with the last key the grown index goes";
}

TEST(IndexTest, MostOfAFullPoolIsPayload) {
    constexpr std::uint64_t bytes = 64 * mebibyte;
    const std::unique_ptr<Pool> pool = make_pool(bytes);
    const std::string value(8192, 'v');
    std::uint64_t count = 0;
    while (put(*pool, numbered_key(count), value))
        ++count;
    EXPECT_GE(static_cast<double>(count * (30 + 8192)) / bytes, 0.85);
}

// The heap is full, and so the index cannot grow: entries move closer together instead.
TEST(IndexTest, FillsItsSegmentsWhenItCannotSplit) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    std::vector<Block*> pairs;
    for (std::uint64_t i = 0; i < 2 * slots_per_segment; ++i) {
        const std::string key = numbered_key(i, 8);
        pairs.push_back(pool->reserve({bytes_of(key), hash_of(bytes_of(key)), 0, 0, {}}, 8).value());
    }
    const std::uint64_t rest = pool->usage().largest_free_bytes;
    ASSERT_TRUE(put(*pool, "rest", std::string(rest - 4, 'r')));
    std::uint64_t keys = 0;
    Result<void> published;
    while ((published = pool->publish(pairs[keys]))) {
        ++keys;
        for (std::uint64_t i = 0; i < keys; i += 7)
            ASSERT_NE(find(*pool, numbered_key(i, 8)), nullptr) << i << " of " << keys;
    }
    EXPECT_EQ(published.error().code, Errc::no_space);
    EXPECT_EQ(pool->growth().splits, 0U);
    EXPECT_GT(keys, slots_per_segment * 9 / 10);
    for (std::uint64_t i = 0; i < keys; ++i)
        ASSERT_TRUE(erase(*pool, numbered_key(i, 8))) << i;
    EXPECT_EQ(pool->size(), 1U);
    EXPECT_EQ(pool->inconsistency(), "");
}

TEST(IndexTest, GrowsFromOneSegment) {
    const std::unique_ptr<Pool> pool = make_pool(16 * mebibyte);
    const std::uint64_t index_before = pool->usage().index_bytes;
    EXPECT_LT(index_before, 17U * 1024);
    std::uint64_t keys = 0;
    while (pool->growth().splits == 0) {
        ASSERT_TRUE(put(*pool, numbered_key(keys), "x"));
        ++keys;
    }
    EXPECT_GT(keys, slots_per_segment * 7 / 10) << "a segment is well filled before it is split";
    EXPECT_EQ(pool->growth().doublings, 1U);
    for (std::uint64_t i = 0; i < keys; ++i)
        ASSERT_NE(find(*pool, numbered_key(i)), nullptr);
}

TEST(IndexTest, EqualHashesAreNoEndlessLoop) {
    const std::unique_ptr<Pool> pool = make_pool(16 * mebibyte);
    constexpr std::uint64_t hash = 0xfeed'beef'0123'4567;
    constexpr std::uint64_t buffer = probe_window * slots_per_bucket;
    const std::uint64_t free_before = pool->usage().free_bytes;
    for (std::uint64_t i = 0; i < buffer; ++i)
        ASSERT_TRUE(put_with_hash(*pool, numbered_key(i), hash)) << i;
    const std::uint64_t free_then = pool->usage().free_bytes;
    const Result<void> refused = put_with_hash(*pool, numbered_key(buffer), hash);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::no_space);
    EXPECT_EQ(pool->usage().free_bytes, free_then) << "no split was tried, and nothing kept";
    EXPECT_EQ(pool->growth().splits, 0U);
    for (std::uint64_t i = 0; i < buffer; ++i)
        ASSERT_NE(pool->find(bytes_of(numbered_key(i)), hash), nullptr);
    EXPECT_EQ(pool->find(bytes_of(numbered_key(buffer)), hash), nullptr);
    EXPECT_TRUE(put_with_hash(*pool, numbered_key(3), hash)) << "an overwrite needs no space in the index";
    EXPECT_TRUE(pool->erase(bytes_of(numbered_key(3)), hash));
    EXPECT_TRUE(put_with_hash(*pool, numbered_key(buffer), hash));
    for (std::uint64_t i = 0; i <= buffer; ++i)
        EXPECT_EQ(pool->erase(bytes_of(numbered_key(i)), hash), i != 3);
    EXPECT_EQ(pool->usage().free_bytes, free_before);
}

// Whatever their length, and wherever they differ: short keys and long ones are compared in different ways.
TEST(IndexTest, KeysOfOneHashAreToldApart) {
    const std::unique_ptr<Pool> pool = make_pool(16 * mebibyte);
    constexpr std::uint64_t hash = 0xfeed'beef'0123'4567;
    for (std::size_t bytes = 1; bytes <= 80; ++bytes) {
        const std::string key(bytes, 'k');
        ASSERT_TRUE(put_with_hash(*pool, key, hash));
        EXPECT_EQ(pool->find(bytes_of(key + 'k'), hash), nullptr) << bytes;
        for (std::size_t at = 0; at < bytes; ++at) {
            std::string other = key;
            other[at] = 'o';
            EXPECT_EQ(pool->find(bytes_of(other), hash), nullptr) << bytes << ", " << at;
            ASSERT_TRUE(put_with_hash(*pool, other, hash));
            EXPECT_EQ(text_of(pool->find(bytes_of(key), hash)->key()), key);
            EXPECT_EQ(text_of(pool->find(bytes_of(other), hash)->key()), other);
            ASSERT_TRUE(pool->erase(bytes_of(other), hash));
        }
        ASSERT_TRUE(pool->erase(bytes_of(key), hash));
    }
    EXPECT_EQ(pool->size(), 0U);
}

// Hashes that differ late need a deep directory: it gets as deep as the pool has space for, and then says so.
TEST(IndexTest, HashesThatDifferLateEndWithTheSpace) {
    const std::unique_ptr<Pool> pool = make_pool(4 * mebibyte);
    const std::uint64_t free_before = pool->usage().free_bytes;
    const auto hash = [](std::uint64_t i, unsigned first_different_bit) {
        return hash_with_shard_hash((i & 1) << (63 - first_different_bit) | 0xabcd);
    };
    // Twelve bits are alike: splits until the thirteenth tells them apart, 14 of each kind in a window of 28.
    for (std::uint64_t i = 0; i < 40; ++i)
        ASSERT_TRUE(put_with_hash(*pool, numbered_key(i), hash(i, 12))) << i;
    EXPECT_EQ(pool->growth().doublings, 13U);
    for (std::uint64_t i = 0; i < 40; ++i)
        ASSERT_NE(pool->find(bytes_of(numbered_key(i)), hash(i, 12)), nullptr);
    pool->clear();
    EXPECT_EQ(pool->usage().free_bytes, free_before);
    // 22 alike: a directory of 64 MiB would be needed.
    std::uint64_t stored = 0;
    while (put_with_hash(*pool, numbered_key(stored), hash(stored, 22)))
        ++stored;
    EXPECT_EQ(stored, 28U);
    for (std::uint64_t i = 0; i < stored; ++i)
        ASSERT_NE(pool->find(bytes_of(numbered_key(i)), hash(i, 22)), nullptr);
    EXPECT_EQ(pool->inconsistency(), "");
    for (std::uint64_t i = 0; i < stored; ++i)
        ASSERT_TRUE(pool->erase(bytes_of(numbered_key(i)), hash(i, 22)));
    EXPECT_EQ(pool->usage().free_bytes, free_before);
}

// All keys in few buckets, so that windows overlap and wrap round.
TEST(IndexTest, CrowdedBucketsAgreeWithAModel) {
    Chance chance;
    const std::unique_ptr<Pool> pool = make_pool(64 * mebibyte);
    std::set<std::pair<std::uint64_t, std::string>> model;
    const auto random_hash = [&] {
        const std::uint64_t bucket = (254 + chance.below(5)) % buckets_per_segment;
        return hash_with_shard_hash(chance.below(16) << 60 | chance.below(3) << tag_shift |
                                    bucket << bucket_shift);
    };
    for (int step = 0; step < 200'000; ++step) {
        const std::uint64_t hash = random_hash();
        const std::string key = numbered_key(chance.below(4), 8);
        const auto entry = std::pair(hash, key);
        switch (chance.below(3)) {
            case 0:
                if (put_with_hash(*pool, key, hash)) {
                    model.insert(entry);
                } else {
                    ASSERT_FALSE(model.contains(entry));
                }
                break;
            case 1:
                ASSERT_EQ(pool->erase(bytes_of(key), hash), model.erase(entry) == 1);
                break;
            default:
                ASSERT_EQ(pool->find(bytes_of(key), hash) != nullptr, model.contains(entry));
        }
        ASSERT_EQ(pool->size(), model.size());
    }
    EXPECT_GT(pool->growth().splits, 0U);
}

std::vector<std::string> scan_all(const Pool& pool, std::uint64_t per_call) {
    std::vector<std::string> keys;
    std::uint64_t cursor = 0;
    do {
        std::uint64_t in_this_call = 0;
        cursor = pool.scan(cursor, [&](const Block& block) {
            keys.emplace_back(text_of(block.key()));
            return ++in_this_call < per_call;
        });
    } while (cursor != 0);
    return keys;
}

TEST(ScanTest, AnEmptyPoolEndsAtOnce) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    EXPECT_EQ(pool->scan(0, [](const Block&) { return true; }), 0U);
    EXPECT_EQ(pool->scan(~std::uint64_t{0}, [](const Block&) { return true; }), 0U);
}

TEST(ScanTest, VisitsEachKeyOnceInOrderWhateverThePageSize) {
    const std::unique_ptr<Pool> pool = make_pool(16 * mebibyte);
    for (std::uint64_t i = 0; i < 20'000; ++i)
        ASSERT_TRUE(put(*pool, numbered_key(i), ""));
    for (const std::uint64_t per_call : {7U, 1000U, 100'000U}) {
        const std::vector<std::string> keys = scan_all(*pool, per_call);
        EXPECT_EQ(keys.size(), 20'000U);
        for (std::size_t i = 1; i < keys.size(); ++i)
            ASSERT_LT(shard_hash(hash_of(bytes_of(keys[i - 1]))), shard_hash(hash_of(bytes_of(keys[i]))));
    }
}

TEST(ScanTest, EqualHashesAreNeverDivided) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    for (const std::uint64_t hash : {std::uint64_t{0}, hash_with_shard_hash(12345), ~std::uint64_t{0}})
        for (std::uint64_t i = 0; i < 5; ++i)
            ASSERT_TRUE(put_with_hash(*pool, numbered_key(hash % 1000 * 10 + i), hash));
    std::vector<std::uint64_t> visited_per_call;
    std::uint64_t cursor = 0;
    do {
        visited_per_call.push_back(0);
        cursor = pool->scan(cursor, [&](const Block&) {
            ++visited_per_call.back();
            return false;
        });
    } while (cursor != 0);
    EXPECT_EQ(visited_per_call, (std::vector<std::uint64_t>{5, 5, 5}));
}

// Keys that stay are visited exactly once, those that come and go at most once, whatever happens between the
// calls.
TEST(ScanTest, IsStableWhileThePoolChanges) {
    Chance chance;
    for (int round = 0; round < 4; ++round) {
        const std::unique_ptr<Pool> pool = make_pool(64 * mebibyte);
        constexpr std::uint64_t staying = 5000;
        for (std::uint64_t i = 0; i < staying; ++i)
            ASSERT_TRUE(put(*pool, "stays" + std::to_string(i), "x"));
        std::map<std::string, int> visits;
        std::uint64_t next = 0;
        std::uint64_t cursor = 0;
        const std::uint64_t splits_before = pool->growth().splits;
        do {
            std::uint64_t left = 1 + chance.below(300);
            cursor = pool->scan(cursor, [&](const Block& block) {
                ++visits[std::string(text_of(block.key()))];
                return --left > 0;
            });
            for (std::uint64_t change = chance.below(1000); change > 0; --change) {
                switch (chance.below(4)) {
                    case 0:
                        erase(*pool, "goes" + std::to_string(chance.below(next + 1)));
                        break;
                    case 1:
                        ASSERT_TRUE(put(*pool, "stays" + std::to_string(chance.below(staying)), "y"));
                        break;
                    default:
                        ASSERT_TRUE(put(*pool, "goes" + std::to_string(chance.below(++next)), "x"));
                }
            }
        } while (cursor != 0);
        EXPECT_GT(pool->growth().splits, splits_before);
        for (const auto& [key, count] : visits)
            ASSERT_EQ(count, 1) << key;
        for (std::uint64_t i = 0; i < staying; ++i)
            ASSERT_TRUE(visits.contains("stays" + std::to_string(i))) << i;
    }
}

}  // namespace
}  // namespace ddict::shm
