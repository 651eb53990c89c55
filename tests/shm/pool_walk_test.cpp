// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/pool_walk.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "cluster/placement.h"
#include "tests/shm/chance.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

class Collector final : public PieceSink {
  public:
    Result<void> begin(const Pair&, std::uint64_t value_bytes) override {
        value.clear();
        bytes = value_bytes;
        return {};
    }
    Result<void> piece(Bytes piece) override {
        value.append(text_of(piece));
        return {};
    }
    Result<void> end(bool is_true) override {
        whole = is_true;
        return {};
    }
    std::string value;
    std::uint64_t bytes = 0;
    bool whole = false;
};

class PoolWalkTest : public testing::Test {
  protected:
    PoolWalkTest() : name_(test_segment_name()) {
        Segment segment = Segment::create(name_, 64 * mebibyte).value();
        Pool::format(segment, test_identity()).value();
        pool_ = Pool::attach(std::move(segment)).value();
        const PoolIdentity identity = test_identity();
        reader_ = PoolReader::open(Segment::open(name_, Access::read_only).value(),
                                   {.dictionary_id = identity.dictionary_id,
                                    .secret = identity.secret,
                                    .manager = identity.manager})
                      .value();
    }
    ~PoolWalkTest() override { Segment::remove(name_); }

    /// Values by key; how often each key was found.
    struct Walked {
        std::map<std::string, std::string> values;
        std::map<std::string, int> times;
        bool in_order = true;
    };
    Result<Walked> walk() const {
        Walked walked;
        PoolWalk walk(reader_);
        std::uint64_t last = 0;
        for (;;) {
            const Result<bool> more = walk.next();
            if (!more.has_value()) return more.error();
            if (!*more) return walked;
            for (const PoolWalk::Found& found : walk.pairs()) {
                walked.in_order = walked.in_order && found.shard_hash >= last;
                last = found.shard_hash;
                EXPECT_EQ(found.pair.hash, hash_of(found.pair.key));
                EXPECT_EQ(found.shard_hash, shard_hash(found.pair.hash));
                const std::string key(text_of(found.pair.key));
                std::string value(text_of(found.pair.value));
                if (!found.value_is_here) {
                    Collector collector;
                    Result<void> outcome;
                    const Read read = walk.read(found, collector, outcome);
                    if (read == Read::absent) continue;
                    EXPECT_EQ(read, Read::value);
                    EXPECT_TRUE(collector.whole);
                    EXPECT_EQ(collector.value.size(), collector.bytes);
                    value = std::move(collector.value);
                }
                walked.values[key] = value;
                ++walked.times[key];
            }
        }
    }

    std::string name_;
    std::unique_ptr<Pool> pool_;
    std::shared_ptr<const PoolReader> reader_;
};

TEST_F(PoolWalkTest, AnEmptyPool) {
    const Result<Walked> walked = walk();
    ASSERT_TRUE(walked) << walked.error().message();
    EXPECT_TRUE(walked->values.empty());
}

TEST_F(PoolWalkTest, FindsEveryPairOnceAndInOrder) {
    std::map<std::string, std::string> expected;
    for (std::uint64_t i = 0; i < 20'000; ++i) {
        const std::string key = numbered_key(i);
        const std::size_t bytes = i % 500 == 0 ? 4096 + i : i % 100;
        expected[key] = std::string(bytes, static_cast<char>('a' + i % 26));
        ASSERT_TRUE(put(*pool_, key, expected[key]));
    }
    ASSERT_GT(pool_->growth().splits, 3u);
    const Result<Walked> walked = walk();
    ASSERT_TRUE(walked) << walked.error().message();
    EXPECT_EQ(walked->values, expected);
    EXPECT_TRUE(walked->in_order);
    for (const auto& [key, times] : walked->times)
        ASSERT_EQ(times, 1) << key;
}

TEST_F(PoolWalkTest, HasAllOfAPair) {
    const std::string key = "by hand";
    const Pair pair{.key = {bytes_of(key), key_type_int64},
                    .hash = hash_of(KeyBytes(bytes_of(key), key_type_int64)),
                    .value_type = 0x1234,
                    .checkpoint = 9,
                    .value = bytes_of("value"),
                    .placement = {.by = PlacedBy::number, .value = 7}};
    pool_->advance(9);
    pool_->put(pair).value();
    PoolWalk walk(reader_);
    ASSERT_TRUE(walk.next().value());
    ASSERT_EQ(walk.pairs().size(), 1u);
    const Pair& found = walk.pairs()[0].pair;
    EXPECT_EQ(found.key, pair.key);
    EXPECT_EQ(found.value_type, pair.value_type);
    EXPECT_EQ(found.checkpoint, pair.checkpoint);
    EXPECT_EQ(text_of(found.value), "value");
    EXPECT_EQ(found.placement, pair.placement);
    EXPECT_FALSE(walk.next().value());
}

/// Keys that stay are found exactly once each, whatever happens around them: others come and go, the index is
/// split, the values of those that stay are replaced.
TEST_F(PoolWalkTest, MissesNothingWhileTheManagerWrites) {
    constexpr std::uint64_t staying = 3000;
    Chance chance;
    const auto value_of = [](std::uint64_t key, std::uint64_t version) {
        const std::size_t bytes = key % 20 == 0 ? 5000 + version % 3000 : 10 + version % 20;
        return std::string(bytes, static_cast<char>('a' + version % 26));
    };
    for (std::uint64_t i = 0; i < staying; ++i)
        ASSERT_TRUE(put(*pool_, "stays" + std::to_string(i), value_of(i, 0)));
    std::atomic<bool> stop = false;
    std::thread writer([&, seed = chance.number()] {
        std::mt19937_64 random(seed);
        for (std::uint64_t step = 0; !stop.load(std::memory_order_relaxed); ++step) {
            const std::uint64_t number = random();
            if (number % 3 == 0) {
                const std::uint64_t key = number / 3 % staying;
                EXPECT_TRUE(put(*pool_, "stays" + std::to_string(key), value_of(key, step)));
            } else if (number % 3 == 1) {
                EXPECT_TRUE(put(*pool_, "comes" + std::to_string(number / 3 % (1000 + step % 20'000)), "x"));
            } else {
                erase(*pool_, "comes" + std::to_string(number / 3 % 20'000));
            }
        }
    });
    int busy = 0;
    for (int round = 0; round < 20; ++round) {
        const Result<Walked> walked = walk();
        if (!walked) {
            ASSERT_EQ(walked.error().code, Errc::busy) << walked.error().message();
            ++busy;
            continue;
        }
        EXPECT_TRUE(walked->in_order);
        for (std::uint64_t i = 0; i < staying; ++i) {
            const auto found = walked->times.find("stays" + std::to_string(i));
            ASSERT_TRUE(found != walked->times.end()) << i;
            ASSERT_EQ(found->second, 1) << i;
            const std::string& value = walked->values.at(found->first);
            ASSERT_EQ(value.find_first_not_of(value[0]), std::string::npos) << "a mixture of two values";
        }
    }
    stop = true;
    writer.join();
    EXPECT_LT(busy, 10);
}

/// Segments are split, and the directory is doubled, while they are read.
TEST_F(PoolWalkTest, MissesNothingWhileTheIndexGrows) {
    constexpr std::uint64_t staying = 1000;
    for (int round = 0; round < 8; ++round) {
        pool_->clear();
        for (std::uint64_t i = 0; i < staying; ++i)
            ASSERT_TRUE(put(*pool_, "stays" + std::to_string(i), "x"));
        std::atomic<bool> ended = false;
        std::thread writer([&] {
            for (std::uint64_t i = 0; i < 40'000; ++i)
                EXPECT_TRUE(put(*pool_, "comes" + std::to_string(i), "x"));
            ended = true;
        });
        while (!ended) {
            const Result<Walked> walked = walk();
            if (!walked && walked.error().code == Errc::busy) continue;
            EXPECT_TRUE(walked) << walked.error().message();
            std::uint64_t missed = 0;
            for (std::uint64_t i = 0; i < staying; ++i) {
                const auto found = walked->times.find("stays" + std::to_string(i));
                missed += found == walked->times.end() || found->second != 1 ? 1U : 0U;
            }
            EXPECT_EQ(missed, 0u);
        }
        writer.join();
    }
}

TEST_F(PoolWalkTest, SaysWhenThePoolIsGone) {
    ASSERT_TRUE(put(*pool_, "k", "v"));
    pool_->mark_gone(PoolEnd::manager);
    PoolWalk walk(reader_);
    const Result<bool> more = walk.next();
    ASSERT_FALSE(more.has_value());
    EXPECT_EQ(more.error().code, Errc::manager_lost);
}

}  // namespace
}  // namespace ddict::shm
