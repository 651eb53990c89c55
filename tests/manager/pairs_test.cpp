// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/manager/shard_fixture.h"

namespace ddict::manager {
namespace {

using PairsTest = ShardTest;

TEST_F(PairsTest, PutSaysWhetherItStored) {
    EXPECT_EQ(ask({.verb = Verb::put, .key = "k", .value = bytes_of("1")}), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(ask({.verb = Verb::put, .key = "k", .value = bytes_of("2"), .flags = wire::put_if_absent}),
              Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(stored("k"), "1");
    EXPECT_EQ(ask({.verb = Verb::put, .key = "k", .value = bytes_of("3"), .flags = wire::put_if_present}),
              Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(stored("k"), "3");
    EXPECT_EQ(ask({.verb = Verb::put, .key = "n", .value = bytes_of("4"), .flags = wire::put_if_present}),
              Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_FALSE(has("n"));
    EXPECT_EQ(ask({.verb = Verb::put, .key = "n", .value = bytes_of("5"), .flags = wire::put_if_absent}),
              Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(stored("n"), "5");
    EXPECT_EQ(statistics().puts, 3u) << "only what was stored counts";
}

TEST_F(PairsTest, AConditionThatCannotHoldIsNoRequest) {
    const std::uint64_t id = session();
    const std::size_t sent = transport.sent.size();
    send(id, {.verb = Verb::put, .key = "k", .flags = wire::put_if_absent | wire::put_if_present});
    send(id, {.verb = Verb::put, .key = "k", .flags = 4});
    EXPECT_EQ(transport.sent.size(), sent);
    EXPECT_EQ(rejected(), 2u);
}

TEST_F(PairsTest, ABodyThatWillNotBeStoredIsNotFetched) {
    store("k", "old");
    EXPECT_EQ(ask({.verb = Verb::put,
                   .key = "k",
                   .value = large,
                   .flags = wire::put_if_absent,
                   .payload_token = 8}),
              Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{8});
    EXPECT_TRUE(transport.received.empty());
    expect_at_rest();
}

TEST_F(PairsTest, TheConditionOfALargePutIsLookedAtAgainWhenItIsThere) {
    const std::uint64_t used = pool->usage().used_bytes;
    const std::uint64_t id = session();
    send(id,
         {.verb = Verb::put, .key = "k", .value = large, .flags = wire::put_if_absent, .payload_token = 8});
    store("k", "came first");
    deliver(large);
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(stored("k"), "came first");
    send(id,
         {.verb = Verb::put, .key = "k", .value = large, .flags = wire::put_if_present, .payload_token = 9});
    clear_store();
    deliver(large);
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(pool->usage().used_bytes, used);
    expect_at_rest();
}

TEST_F(PairsTest, PopTakesTheValueAway) {
    store("k", "value", 7);
    EXPECT_EQ(ask({.verb = Verb::pop, .key = "k"}), Errc{});
    EXPECT_EQ(text_of(last_value()), "value");
    EXPECT_EQ(last().value_type, 7);
    EXPECT_FALSE(has("k"));
    EXPECT_EQ(ask({.verb = Verb::pop, .key = "k"}), Errc::not_found);
}

TEST_F(PairsTest, ALargeValueThatIsPoppedLeavesWhenItsClientHasIt) {
    const std::uint64_t used = pool->usage().used_bytes;
    EXPECT_EQ(ask({.verb = Verb::put, .key = "k", .value = large}), Errc{});
    EXPECT_EQ(ask({.verb = Verb::pop, .key = "k"}), Errc{});
    EXPECT_FALSE(has("k"));
    const RecordingTransport::Sent pop = transport.sent.back();
    ASSERT_EQ(pop.payload.size(), large.size());
    EXPECT_TRUE(std::equal(pop.payload.begin(), pop.payload.end(), large.begin()));
    EXPECT_GT(pool->usage().used_bytes, used);
    shard.on_payload_sent(pop.tag, true);
    EXPECT_EQ(shard_store.replies().values(), 1u) << "it may not have arrived";
    EXPECT_GT(pool->usage().used_bytes, used);
    next_in_slot();
    EXPECT_EQ(ask({.verb = Verb::ping}), Errc{});
    EXPECT_EQ(shard_store.replies().values(), 0u);
    EXPECT_EQ(pool->usage().used_bytes, used);
    expect_at_rest();
}

TEST_F(PairsTest, WhatCannotBeSentIsNotPopped) {
    const std::uint64_t id = session();
    ask({.verb = Verb::put, .key = "k", .value = large});
    for (std::size_t i = 0; i < limits::payloads_in_flight_max; ++i)
        ask(Verb::get, id, "k");
    EXPECT_EQ(shard.statistics().payloads_in_flight, limits::payloads_in_flight_max);
    ask(Verb::pop, id, "k");
    EXPECT_EQ(last_code(), Errc::busy);
    EXPECT_TRUE(has("k"));
}

// ---- values that cannot be received or sent ----

/// The put of a value that failed, and once more: then it is stored.
class ValueFailureTest : public PairsTest {
  protected:
    void SetUp() override { client = session(); }
    void expect_failed(wire::ValueFailure why, std::uint64_t request) {
        EXPECT_EQ(last_code(), Errc::system);
        EXPECT_EQ(last().argument, static_cast<std::uint64_t>(why));
        EXPECT_EQ(last().request, request);
        EXPECT_EQ(pool->usage().used_bytes, used) << "what was reserved is given back";
    }
    void expect_stored_when_repeated() {
        same_again();
        send(client, {.verb = Verb::put, .key = "key", .value = value, .payload_token = 8});
        ASSERT_FALSE(transport.received.empty());
        deliver(value);
        EXPECT_EQ(last_code(), Errc{});
    }

    const std::vector<std::byte> value = std::vector<std::byte>(9'000, std::byte{7});
    const std::uint64_t used = pool->usage().used_bytes;
    std::uint64_t client = 0;
};

TEST_F(ValueFailureTest, WhatTheTransportHasRefusedIsAnswered) {
    for (const Verb verb : {Verb::put, Verb::batch_put, Verb::append, Verb::wait_for}) {
        RequestHeader header;
        header.verb = verb;
        header.session = client;
        header.request = std::uint64_t{1} << 40 | static_cast<std::uint64_t>(verb) << 20;
        header.key_bytes = verb == Verb::batch_put ? 0 : 3;
        header.value_bytes = value.size();
        header.argument = verb == Verb::batch_put || verb == Verb::wait_for ? 1 : 0;
        if (verb == Verb::wait_for) header.flags = wire::wait_for_value;
        const std::string_view key = verb == Verb::batch_put ? "" : "key";
        shard.on_message(message_of(header, bytes_of(key)),
                         {.in_memory = {}, .token = 0, .bytes = value.size()});
        SCOPED_TRACE(static_cast<int>(verb));
        expect_failed(wire::ValueFailure::no_memory_to_receive, header.request);
    }
    EXPECT_TRUE(transport.received.empty());
}

TEST_F(ValueFailureTest, OneOfTooManyIsBusy) {
    RequestHeader header;
    header.verb = Verb::put;
    header.session = client;
    header.request = std::uint64_t{1} << 40;
    header.key_bytes = 3;
    header.value_bytes = value.size();
    shard.on_message(message_of(header, bytes_of("key")),
                     {.in_memory = {}, .token = 0, .bytes = value.size(), .too_many = true});
    EXPECT_EQ(last_code(), Errc::busy);
    EXPECT_EQ(last().request, header.request);
    EXPECT_EQ(pool->usage().used_bytes, used);
    EXPECT_TRUE(transport.received.empty());
}

TEST_F(ValueFailureTest, WhatBeginsWithoutMemoryIsAnswered) {
    transport.has_no_memory = true;
    const std::uint64_t request =
        send(client, {.verb = Verb::put, .key = "key", .value = value, .payload_token = 7});
    expect_failed(wire::ValueFailure::no_memory_to_receive, request);
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{7});
    transport.has_no_memory = false;
    expect_stored_when_repeated();
}

TEST_F(ValueFailureTest, WhatDoesNotArriveOverAConnectionThatStandsIsAnswered) {
    const std::uint64_t request =
        send(client, {.verb = Verb::put, .key = "key", .value = value, .payload_token = 7});
    shard.on_payload_received(transport.received.back().tag, false);
    expect_failed(wire::ValueFailure::cannot_be_received, request);
    expect_stored_when_repeated();
}

TEST_F(ValueFailureTest, AnAnswerThatThereIsNoMemoryToSendIsToldAndThePairStays) {
    send(client, {.verb = Verb::put, .key = "key", .value = value});
    ASSERT_EQ(last_code(), Errc{});
    transport.has_no_memory = true;
    const std::uint64_t request = send(client, {.verb = Verb::get, .key = "key"});
    EXPECT_EQ(last_code(), Errc::system);
    EXPECT_EQ(last().argument, static_cast<std::uint64_t>(wire::ValueFailure::no_memory_to_send));
    EXPECT_EQ(last().request, request);
    transport.has_no_memory = false;
    send(client, {.verb = Verb::get, .key = "key"});
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_EQ(last_value().size(), value.size());
}

TEST_F(PairsTest, WhileFrozenNothingChanges) {
    const std::uint64_t id = session();
    store("k", "value");
    send(id, {.verb = Verb::put, .key = "on its way", .value = large, .payload_token = 8});
    EXPECT_EQ(ask({.verb = Verb::freeze, .argument = 1}), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_TRUE(pool->frozen());
    const std::uint64_t hash = hash_of(bytes_of("k"));
    const std::uint64_t one = 1;
    const Bytes number = std::as_bytes(std::span(&one, 1));
    for (const Ask& change : {Ask{.verb = Verb::put, .key = "k"},
                              {.verb = Verb::put, .key = "k", .value = large, .payload_token = 9},
                              {.verb = Verb::erase, .key = "k"},
                              {.verb = Verb::clear},
                              {.verb = Verb::pop, .key = "k"},
                              {.verb = Verb::compare_and_swap, .key = "k", .flags = wire::swap_if_absent},
                              {.verb = Verb::fetch_add, .key = "k", .value = number, .value_type = 0x0113},
                              {.verb = Verb::append, .key = "k", .value = number}}) {
        EXPECT_EQ(ask(change), Errc::frozen) << static_cast<int>(change.verb);
    }
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{9});
    deliver(large);
    EXPECT_EQ(last_code(), Errc::frozen);
    EXPECT_FALSE(has("on its way"));
    EXPECT_EQ(text_of(pool->find(bytes_of("k"), hash)->value()), "value");
    EXPECT_EQ(ask({.verb = Verb::get, .key = "k"}), Errc{});
    EXPECT_EQ(ask({.verb = Verb::scan}), Errc{});
    EXPECT_EQ(ask({.verb = Verb::freeze, .argument = 2}), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(ask({.verb = Verb::freeze, .argument = 0}), Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_FALSE(pool->frozen());
    EXPECT_EQ(ask({.verb = Verb::erase, .key = "k"}), Errc{});
    expect_at_rest();
}

class SparsePairsTest : public ShardTest {
  protected:
    static constexpr std::uint64_t pool_bytes = std::uint64_t{160} << 20;
    SparsePairsTest() : ShardTest({}, steady_nanoseconds, pool_bytes) {}

    std::uint64_t there() const { return pool->memory().reserved_bytes(); }
    void tick() {
        ASSERT_TRUE(shard.needs_tick());
        shard.tick(std::chrono::steady_clock::now());
    }
    std::vector<std::byte> much = std::vector<std::byte>(std::size_t{90} << 20, std::byte{7});
};

TEST_F(SparsePairsTest, OthersAreServedWhileTheMemoryOfALargeValueIsTaken) {
    store("other", "value");
    const std::uint64_t id = session();
    const std::uint64_t before = there();
    send(id, {.verb = Verb::put, .key = "k", .value = much, .payload_token = 8});
    EXPECT_EQ(there(), before) << "nothing is taken in the request itself";
    int ticks = 0;
    for (; transport.received.empty() && ticks < 100; ++ticks) {
        const std::uint64_t now_there = there();
        tick();
        EXPECT_LE(there(), now_there + (std::uint64_t{8} << 20));
        EXPECT_EQ(ask({.verb = Verb::get, .key = "other"}), Errc{});
    }
    EXPECT_GE(ticks, 4);
    ASSERT_FALSE(transport.received.empty());
    deliver(much);
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_EQ(find("k")->value_bytes(), much.size());
    expect_at_rest();
}

TEST_F(SparsePairsTest, WhoseClientGoesMeanwhileHasNothing) {
    const std::uint64_t id = session();
    send(id, {.verb = Verb::put, .key = "k", .value = much, .payload_token = 8});
    tick();
    const std::uint64_t now_there = there();
    EXPECT_LT(now_there, much.size());
    ask(Verb::goodbye, id);
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{8});
    if (shard.needs_tick()) tick();
    EXPECT_EQ(there(), now_there);
    EXPECT_FALSE(has("k"));
    expect_at_rest();
}

}  // namespace
}  // namespace ddict::manager
