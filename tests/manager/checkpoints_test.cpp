// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Requests at checkpoints that are retired while their values are on the way, or their answers.
#include <string>

#include "tests/manager/shard_fixture.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

class CheckpointsTest : public ShardTest {
  protected:
    /// The pool keeps one checkpoint: what is written at a newer one retires all before.
    void write_at(std::uint32_t checkpoint) {
        EXPECT_EQ(ask({.verb = Verb::put, .key = "any", .value = bytes_of("v"), .checkpoint = checkpoint}),
                  Errc{});
    }
    const std::string large_ = std::string(limits::inline_value_bytes_max + 1, 'x');
};

TEST_F(CheckpointsTest, ALargePutThatComesTooLateIsRefused) {
    const std::uint64_t used = pool->usage().used_bytes;
    const std::uint64_t id = session();
    send(id, {.verb = Verb::put, .key = "k", .value = bytes_of(large_), .payload_token = 8, .checkpoint = 2});
    write_at(5);
    deliver(bytes_of(large_));
    EXPECT_EQ(last_code(), Errc::checkpoint_retired);
    EXPECT_EQ(pool->find(bytes_of("k"), hash_of(bytes_of("k"))), nullptr);
    EXPECT_EQ(ask({.verb = Verb::erase, .key = "any", .checkpoint = 5}), Errc{});
    EXPECT_EQ(pool->usage().used_bytes, used);
    expect_at_rest();
}

class TwoCheckpointsTest : public ShardTest {
  protected:
    TwoCheckpointsTest() : ShardTest({.size = 2}) {}
};

/// All that a clear() has hidden, and nobody can see any more, makes way for one large value.
TEST_F(TwoCheckpointsTest, ALargePutWaitsForTheSpaceOfWhatIsRetired) {
    const std::string small(100, 's');
    std::uint64_t pairs = 0;
    while (ask({.verb = Verb::put, .key = "key " + std::to_string(pairs), .value = bytes_of(small)}) ==
           Errc{})
        ++pairs;
    ASSERT_GT(pairs, 4'000U);
    const std::vector<std::byte> most(pool->pool_bytes() / 4 * 3, std::byte{5});
    const std::uint64_t id = session();
    ASSERT_EQ(ask({.verb = Verb::clear, .checkpoint = 1}), Errc{});
    for (const std::uint32_t checkpoint : {2U, 3U})
        ASSERT_EQ(ask({.verb = Verb::put, .key = "any", .value = bytes_of("v"), .checkpoint = checkpoint}),
                  Errc{});
    send(id, {.verb = Verb::put, .key = "k", .value = most, .payload_token = 8, .checkpoint = 3});
    int ticks = 0;
    for (; transport.received.empty() && ticks < 10'000 && shard.needs_tick(); ++ticks)
        shard.tick(std::chrono::steady_clock::now());
    EXPECT_GT(ticks, 0) << "others are served in between";
    ASSERT_FALSE(transport.received.empty()) << last().status;
    deliver(most);
    EXPECT_EQ(last_code(), Errc{});
    expect_at_rest();
}

TEST_F(CheckpointsTest, ABatchOfGetsThatComesTooLateFindsNothingMissing) {
    write_at(2);
    std::vector<std::byte> keys(limits::batch_bytes_max);
    wire::ItemWriter writer(keys);
    std::uint64_t count = 0;
    while (writer.written().size() <= limits::inline_value_bytes_max) {
        ASSERT_TRUE(writer.key(KeyBytes(bytes_of("any"))));
        ++count;
    }
    const Bytes packed = writer.written();
    send(session(),
         {.verb = Verb::batch_get, .value = packed, .argument = count, .payload_token = 8, .checkpoint = 2});
    write_at(5);
    deliver(packed);
    EXPECT_EQ(last_code(), Errc::checkpoint_retired);
    expect_at_rest();
}

TEST_F(CheckpointsTest, AWaitForALargeValueThatComesTooLateDoesNotWait) {
    send(session(), {.verb = Verb::wait_for,
                     .key = "k",
                     .value = bytes_of(large_),
                     .flags = wire::wait_for_value,
                     .argument = 60'000'000,
                     .payload_token = 8,
                     .checkpoint = 2});
    write_at(5);
    deliver(bytes_of(large_));
    EXPECT_EQ(last_code(), Errc::checkpoint_retired);
    expect_at_rest();
}

/// A client that cannot take the value has it put back, also where nobody can read any more: it is seen at
/// what is kept.
TEST_F(CheckpointsTest, WhatWasPoppedIsPutBackAfterItsCheckpointWasRetired) {
    const std::uint64_t id = session();
    write_at(2);
    send(id, {.verb = Verb::put, .key = "k", .value = bytes_of("value"), .checkpoint = 2});
    send(id, {.verb = Verb::pop, .key = "k", .checkpoint = 2});
    EXPECT_EQ(last_code(), Errc{});
    write_at(5);
    same_again();
    same_again();
    send(id, {.verb = Verb::pop, .key = "k", .flags = wire::pop_put_back, .checkpoint = 2});
    EXPECT_EQ(last_code(), Errc{});
    const shm::Block* back = pool->find(bytes_of("k"), hash_of(bytes_of("k")), 5);
    ASSERT_NE(back, nullptr);
    EXPECT_EQ(text_of(back->value()), "value");
}

TEST_F(CheckpointsTest, AnIdThatMakesNoSenseIsIgnored) {
    const std::size_t sent = transport.sent.size();
    const std::uint64_t id = session();
    send(id, {.verb = Verb::get, .key = "k", .checkpoint = limits::newest_checkpoint + 1});
    EXPECT_EQ(transport.sent.size(), sent + 1) << "only the hello is answered";
    EXPECT_EQ(shard.statistics().rejected_messages, 1u);
    EXPECT_EQ(
        ask({.verb = Verb::put, .key = "k", .value = bytes_of("v"), .checkpoint = limits::newest_checkpoint}),
        Errc{});
    EXPECT_EQ(shard.statistics().keys, 1u);
}

}  // namespace
}  // namespace ddict::manager
