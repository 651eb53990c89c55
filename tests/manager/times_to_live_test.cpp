// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Pairs that have a time to live, by a clock of the test's own.
#include <chrono>
#include <span>
#include <string>

#include "tests/manager/shard_fixture.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

using namespace std::chrono_literals;

std::uint64_t now_ns = 0;
std::uint64_t test_clock() {
    return now_ns;
}

class TimesToLiveTest : public ShardTest {
  protected:
    explicit TimesToLiveTest(const WorkingSetSettings& working_set = {})
        : ShardTest(working_set, test_clock) {
        now_ns = 5'000'000'000;
    }

    void put(std::string_view key, std::uint64_t ttl_us, std::string_view value = "v",
             std::uint32_t checkpoint = 0) {
        ASSERT_EQ(ask({.verb = Verb::put,
                       .key = key,
                       .value = bytes_of(value),
                       .checkpoint = checkpoint,
                       .ttl = ttl_us}),
                  Errc{});
    }
    /// Time passes, and the shard is called as its server calls it.
    void pass(std::chrono::microseconds time) {
        now_ns += static_cast<std::uint64_t>(time.count()) * 1000;
        while (shard.needs_tick() &&
               shard.tick(Time(std::chrono::nanoseconds(now_ns))) <= Time(std::chrono::nanoseconds(now_ns))) {
        }
    }
    /// Microseconds; 0: none.
    std::uint64_t left(std::string_view key) {
        EXPECT_EQ(ask({.verb = Verb::contains, .key = key}), Errc{});
        EXPECT_EQ(last().argument & 1, 1u);
        return last().argument >> 1;
    }
    void expect_sound() { EXPECT_EQ(shard.inconsistency(), ""); }
};

TEST_F(TimesToLiveTest, APairIsErasedWhenItsTimeIsOverAndNotBefore) {
    put("short", 2000);
    put("long", 50'000);
    put("for good", 0);
    pass(1999us);
    EXPECT_TRUE(has("short"));
    EXPECT_EQ(left("short"), 1u);
    pass(1us);
    EXPECT_FALSE(has("short"));
    EXPECT_TRUE(has("long"));
    pass(1h);
    EXPECT_FALSE(has("long"));
    EXPECT_TRUE(has("for good"));
    EXPECT_EQ(shard.statistics().expired, 2u);
    EXPECT_FALSE(shard.needs_tick());
    expect_sound();
}

TEST_F(TimesToLiveTest, TheShardSaysWhenItWantsToBeCalled) {
    EXPECT_FALSE(shard.needs_tick());
    put("k", 3000);
    EXPECT_TRUE(shard.needs_tick());
    const Time now{std::chrono::nanoseconds(now_ns)};
    EXPECT_EQ(shard.tick(now), now + 3ms);
    EXPECT_TRUE(has("k"));
}

TEST_F(TimesToLiveTest, EachStoreBeginsAnewAndOneWithoutTakesItAway) {
    put("k", 1000);
    pass(900us);
    put("k", 1000);
    pass(900us);
    EXPECT_TRUE(has("k"));
    put("k", 0);
    EXPECT_EQ(left("k"), 0u);
    pass(1h);
    EXPECT_TRUE(has("k"));
    put("gone", 1000);
    EXPECT_EQ(ask({.verb = Verb::erase, .key = "gone"}), Errc{});
    put("gone", 0);
    pass(1h);
    EXPECT_TRUE(has("gone"));
    expect_sound();
}

TEST_F(TimesToLiveTest, WhatChangesAValueLeavesThePairItsTimeUnlessItHasAnother) {
    const std::int64_t one = 1;
    const Bytes number = std::as_bytes(std::span(&one, 1));
    ASSERT_EQ(ask({.verb = Verb::put, .key = "n", .value = number, .value_type = 0x0113, .ttl = 1000}),
              Errc{});
    ASSERT_EQ(ask({.verb = Verb::fetch_add, .key = "n", .value_type = 0x0113, .argument = 1}), Errc{});
    EXPECT_EQ(left("n"), 1000u);
    put("t", 1000);
    ASSERT_EQ(ask({.verb = Verb::append, .key = "t", .value = bytes_of("w")}), Errc{});
    EXPECT_EQ(stored("t"), "vw");
    EXPECT_EQ(left("t"), 1000u);
    ASSERT_EQ(ask({.verb = Verb::compare_and_swap, .key = "t", .value = bytes_of("vwx"), .argument = 2}),
              Errc{});
    EXPECT_EQ(stored("t"), "x");
    EXPECT_EQ(left("t"), 1000u);
    ASSERT_EQ(ask({.verb = Verb::append, .key = "t", .value = bytes_of("y"), .ttl = 7000}), Errc{});
    EXPECT_EQ(left("t"), 7000u);
    ASSERT_EQ(ask({.verb = Verb::compare_and_swap,
                   .key = "new",
                   .value = bytes_of("z"),
                   .flags = wire::swap_if_absent,
                   .ttl = 500}),
              Errc{});
    EXPECT_EQ(left("new"), 500u);
    pass(1ms);
    EXPECT_FALSE(has("n") || has("new"));
    EXPECT_TRUE(has("t"));
    expect_sound();
}

TEST_F(TimesToLiveTest, TouchGivesAnotherTimeTakesItAwayOrMakesACopyThatHasOne) {
    ASSERT_EQ(ask({.verb = Verb::touch, .key = "none", .argument = 1000}), Errc{});
    EXPECT_EQ(last().argument, 0u);
    put("k", 1000);
    const shm::Block* before = find("k");
    ASSERT_EQ(ask({.verb = Verb::touch, .key = "k", .argument = 9000}), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(find("k"), before) << "it was not copied";
    pass(8999us);
    EXPECT_TRUE(has("k"));
    ASSERT_EQ(ask({.verb = Verb::touch, .key = "k"}), Errc{});
    EXPECT_EQ(left("k"), 0u);
    pass(1h);
    EXPECT_TRUE(has("k"));
    ASSERT_EQ(ask({.verb = Verb::touch, .key = "k", .argument = 10}), Errc{});
    put("good", 0, "for good");
    ASSERT_EQ(ask({.verb = Verb::touch, .key = "good"}), Errc{});
    EXPECT_EQ(last().argument, 1u);
    ASSERT_EQ(ask({.verb = Verb::touch, .key = "good", .argument = 10}), Errc{});
    EXPECT_EQ(stored("good"), "for good");
    expect_sound();
    pass(10us);
    EXPECT_FALSE(has("k") || has("good"));
}

TEST_F(TimesToLiveTest, NothingEndsWhileFrozenAndThenAllThatIsOver) {
    put("k", 1000);
    ASSERT_EQ(ask({.verb = Verb::freeze, .argument = wire::freeze_on}), Errc{});
    EXPECT_FALSE(shard.needs_tick()) << "it would be called for nothing, again and again";
    pass(1h);
    EXPECT_TRUE(has("k"));
    EXPECT_EQ(ask({.verb = Verb::touch, .key = "k", .argument = 5}), Errc::frozen);
    ASSERT_EQ(ask({.verb = Verb::freeze, .argument = wire::freeze_off}), Errc{});
    pass(0us);
    EXPECT_FALSE(has("k"));
}

TEST_F(TimesToLiveTest, LargeValuesPlacedOnesAndBatchesHaveOne) {
    ASSERT_EQ(ask({.verb = Verb::put, .key = "large", .value = large, .ttl = 1000}), Errc{});
    send(session(), {.verb = Verb::put, .key = "slow", .value = large, .payload_token = 4, .ttl = 1000});
    deliver(large);
    EXPECT_EQ(last_code(), Errc{});
    ASSERT_EQ(ask({.verb = Verb::put,
                   .key = "placed",
                   .value = bytes_of("v"),
                   .placed_by = PlacedBy::hash,
                   .placement = 77,
                   .ttl = 1000}),
              Errc{});
    EXPECT_EQ(find("placed")->placement(), (KeyPlacement{.by = PlacedBy::hash, .value = 77}));
    std::vector<std::byte> packed(100);
    wire::ItemWriter items(packed);
    items.pair(bytes_of("a"), 0, bytes_of("1"));
    items.pair(bytes_of("b"), 0, bytes_of("2"));
    ASSERT_EQ(ask({.verb = Verb::batch_put, .value = items.written(), .argument = 2, .ttl = 1000}), Errc{});
    for (const char* key : {"large", "slow", "placed", "a", "b"})
        EXPECT_EQ(left(key), 1000u) << key;
    expect_sound();
    pass(1ms);
    EXPECT_EQ(pool->size(), 0u);
}

TEST_F(TimesToLiveTest, ManyThatAreOverAtOnceGoAFewAtATime) {
    for (int i = 0; i < 1000; ++i)
        put(std::to_string(i), 1000);
    now_ns += 1'000'000;
    const Time now{std::chrono::nanoseconds(now_ns)};
    EXPECT_LE(shard.tick(now), now);
    EXPECT_GT(pool->size(), 500u);
    pass(0us);
    EXPECT_EQ(pool->size(), 0u);
}

TEST_F(TimesToLiveTest, WhatIsNotToHaveOneIsMalformed) {
    const std::uint64_t client = session();
    const std::uint64_t before = shard.statistics().rejected_messages;
    for (const Verb verb : {Verb::get, Verb::erase, Verb::touch, Verb::broadcast_put}) {
        const std::size_t sent = transport.sent.size();
        send(client, {.verb = verb, .key = "k", .ttl = 5});
        EXPECT_EQ(transport.sent.size(), sent) << static_cast<int>(verb);
    }
    EXPECT_EQ(shard.statistics().rejected_messages, before + 4);
}

class TimesToLiveAtCheckpointsTest : public TimesToLiveTest {
  protected:
    TimesToLiveAtCheckpointsTest() : TimesToLiveTest({.size = 2}) {}
    bool has_at(std::string_view key, std::uint32_t checkpoint) {
        return pool->find(bytes_of(key), hash_of(bytes_of(key)), checkpoint) != nullptr;
    }
};

TEST_F(TimesToLiveAtCheckpointsTest, WhatIsOverGoesAtTheNewestAndOlderOnesKeepWhatTheyHad) {
    put("k", 1000, "v", 1);
    put("again", 1000, "v", 1);
    put("other", 0, "v", 2);
    put("again", 0, "w", 2);
    pass(1ms);
    EXPECT_TRUE(has_at("k", 1));
    EXPECT_FALSE(has_at("k", 2));
    EXPECT_TRUE(has_at("again", 1));
    EXPECT_TRUE(has_at("again", 2)) << "it was stored again, without a time to live";
    EXPECT_FALSE(shard.needs_tick() && pool->next_end() != shm::no_end);
    expect_sound();
}

}  // namespace
}  // namespace ddict::manager
