// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/manager/shard_fixture.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t a_second = 1'000'000;

class WaitsTest : public ShardTest {
  protected:
    WaitsTest() : waiter(session()) {}

    std::uint64_t wait(std::string_view key, std::uint64_t microseconds = a_second) {
        return send(waiter, {.verb = Verb::wait_for, .key = key, .argument = microseconds});
    }
    std::uint64_t wait_for_value(std::string_view key, Bytes value, std::uint16_t type = 0) {
        return send(waiter, {.verb = Verb::wait_for,
                             .key = key,
                             .value = value,
                             .value_type = type,
                             .flags = wire::wait_for_value,
                             .argument = a_second});
    }
    /// The answer to a request, if it was given.
    std::optional<ReplyHeader> answer(std::uint64_t request) const {
        for (std::size_t i = 0; i < transport.sent.size(); ++i) {
            const auto header = transport.header<ReplyHeader>(static_cast<int>(i));
            if (header.request == request &&
                header.verb_and_reply_bit == (static_cast<std::uint8_t>(Verb::wait_for) | wire::reply_bit))
                return header;
        }
        return std::nullopt;
    }
    /// Makes the request, expects that it ends the wait for `key`, and clears up.
    void expect_wakes(const Ask& write, const char* what) {
        const std::uint64_t request = wait(write.key.empty() ? "k" : write.key);
        EXPECT_FALSE(answer(request)) << what;
        const std::size_t replies = transport.sent.size();
        send(waiter, write);
        if (write.payload_token != 0) deliver(write.value);
        const std::optional<ReplyHeader> header = answer(request);
        ASSERT_TRUE(header) << what;
        EXPECT_EQ(header->status, 0) << what;
        EXPECT_EQ(transport.sent.size(), replies + 2) << what;
        for (const RecordingTransport::Sent& sent : transport.sent) {
            if (!sent.payload.empty()) shard.on_payload_sent(sent.tag, true);
        }
        transport.sent.clear();
        clear_store();
        expect_at_rest();
    }

    std::uint64_t waiter;
    const Time start = Time(1h);
};

TEST_F(WaitsTest, WhatIsThereNeedsNoWaiting) {
    store("k", "value", 7);
    const std::uint64_t request = wait("k", 0);
    ASSERT_TRUE(answer(request));
    EXPECT_EQ(text_of(last_value()), "value");
    EXPECT_EQ(last().value_type, 7);
    EXPECT_FALSE(shard.needs_tick());
    expect_at_rest();
}

TEST_F(WaitsTest, EveryWriteEndsAWait) {
    const std::uint64_t number = 5;
    const Bytes eight = std::as_bytes(std::span(&number, 1));
    std::vector<std::byte> buffer(100);
    wire::ItemWriter pair(buffer);
    pair.pair(bytes_of("k"), 0, bytes_of("value"));
    expect_wakes({.verb = Verb::put, .key = "k", .value = bytes_of("value")}, "put");
    expect_wakes({.verb = Verb::put, .key = "k", .value = large}, "put of a payload in memory");
    expect_wakes({.verb = Verb::put, .key = "k", .value = large, .payload_token = 8}, "put of a payload");
    expect_wakes({.verb = Verb::put, .key = "k", .flags = wire::put_if_absent}, "put_if_absent");
    expect_wakes({.verb = Verb::batch_put, .value = pair.written(), .argument = 1}, "batch_put");
    expect_wakes({.verb = Verb::fetch_add, .key = "k", .value = eight, .value_type = 0x0113}, "fetch_add");
    expect_wakes({.verb = Verb::append, .key = "k", .value = bytes_of("value")}, "append");
    expect_wakes({.verb = Verb::compare_and_swap, .key = "k", .flags = wire::swap_if_absent}, "swap");
}

TEST_F(WaitsTest, OneWriteEndsAllWaitsForItsKey) {
    std::vector<std::uint64_t> requests;
    for (int i = 0; i < 1000; ++i)
        requests.push_back(wait("k"));
    const std::uint64_t other = wait("other");
    EXPECT_EQ(statistics().waiting, 1001u);
    ask({.verb = Verb::put, .key = "k", .value = bytes_of("value")});
    for (const std::uint64_t request : requests)
        EXPECT_TRUE(answer(request));
    EXPECT_FALSE(answer(other));
    EXPECT_EQ(statistics().waiting, 1u);
}

TEST_F(WaitsTest, EachValueIsLookedAt) {
    const std::uint64_t request = wait_for_value("k", bytes_of("third"), 7);
    ask({.verb = Verb::put, .key = "k", .value = bytes_of("first"), .value_type = 7});
    ask({.verb = Verb::append, .key = "k", .value = bytes_of("..."), .value_type = 7});
    ask({.verb = Verb::put, .key = "k", .value = bytes_of("third"), .value_type = 8});
    EXPECT_FALSE(answer(request));
    ask({.verb = Verb::put, .key = "k", .value = bytes_of("third"), .value_type = 7});
    ASSERT_TRUE(answer(request));
    EXPECT_EQ(answer(request)->value_bytes, 0u) << "who asks for a value has it";
    expect_at_rest();
    EXPECT_TRUE(answer(wait_for_value("k", bytes_of("third"), 7))) << "it is there already";
    expect_at_rest();
}

TEST_F(WaitsTest, ALargeValueMayBeWaitedFor) {
    const std::uint64_t request = send(waiter, {.verb = Verb::wait_for,
                                                .key = "k",
                                                .value = large,
                                                .flags = wire::wait_for_value,
                                                .argument = a_second,
                                                .payload_token = 8});
    deliver(large);
    EXPECT_EQ(shard.statistics().payloads_in_flight, 0u);
    EXPECT_EQ(private_bytes(), large.size());
    std::vector<std::byte> other = large;
    other.back() = std::byte{9};
    ask({.verb = Verb::put, .key = "k", .value = other});
    EXPECT_FALSE(answer(request));
    ask({.verb = Verb::put, .key = "k", .value = large});
    EXPECT_TRUE(answer(request));
    expect_at_rest();
}

TEST_F(WaitsTest, TheDeadlineEndsAWait) {
    const std::uint64_t request = wait("k", 1000);
    const std::uint64_t at_once = wait("k", 0);
    ASSERT_TRUE(answer(at_once));
    EXPECT_EQ(static_cast<Errc>(answer(at_once)->status), Errc::timeout);
    EXPECT_TRUE(shard.needs_tick());
    EXPECT_EQ(shard.tick(start), start + 1ms);
    EXPECT_FALSE(answer(request));
    EXPECT_EQ(shard.tick(start + 1ms), Time::max());
    ASSERT_TRUE(answer(request));
    EXPECT_EQ(static_cast<Errc>(answer(request)->status), Errc::timeout);
    EXPECT_FALSE(shard.needs_tick());
    const std::size_t sent = transport.sent.size();
    ask({.verb = Verb::put, .key = "k", .value = bytes_of("late")});
    EXPECT_EQ(transport.sent.size(), sent + 2)
        << "the answers to a hello and to the put: nobody waits any more";
    EXPECT_EQ(statistics().waiting, 0u);
    expect_at_rest();
}

/// Who waits for a value learns what is there instead, as contains tells it.
TEST_F(WaitsTest, TheEndOfAWaitForAValueTellsWhatIsThere) {
    const auto end_of = [&](std::uint64_t request) {
        shard.tick(start);
        shard.tick(start + 2s);
        return answer(request).value();
    };
    const ReplyHeader absent = end_of(wait_for_value("k", bytes_of("value"), 7));
    EXPECT_EQ(static_cast<Errc>(absent.status), Errc::timeout);
    EXPECT_EQ(absent.argument, 0u);
    store("k", "another", 8);
    const ReplyHeader there = end_of(wait_for_value("k", bytes_of("value"), 7));
    EXPECT_EQ(static_cast<Errc>(there.status), Errc::timeout);
    EXPECT_EQ(there.argument, 1u);
    EXPECT_EQ(there.value_type, 8);
    EXPECT_EQ(there.argument2, 7u);
    EXPECT_EQ(there.value_bytes, 0u);
    expect_at_rest();
}

TEST_F(WaitsTest, TheEndOfASessionEndsItsWaits) {
    wait("k");
    wait_for_value("k", bytes_of("value"));
    ask(Verb::goodbye, waiter);
    expect_at_rest();
    const std::size_t sent = transport.sent.size();
    ask({.verb = Verb::put, .key = "k", .value = bytes_of("value")});
    EXPECT_EQ(transport.sent.size(), sent + 2) << "the answers to a hello and to the put";
}

TEST_F(WaitsTest, AWaitIsCancelledByItsNumber) {
    const std::uint64_t first = wait("k");
    const std::uint64_t second = wait("k");
    const std::uint64_t with_value = wait_for_value("k", large);
    const std::uint64_t other = other_session();
    const auto cancel = [&](std::uint64_t session, std::uint64_t request) {
        send(session, {.verb = Verb::cancel_wait, .argument = request});
        EXPECT_EQ(last_code(), Errc{});
        return last().argument;
    };
    EXPECT_EQ(cancel(other, first), 0u) << "it is another session's";
    EXPECT_EQ(cancel(waiter, first), 1u);
    ASSERT_TRUE(answer(first));
    EXPECT_EQ(static_cast<Errc>(answer(first)->status), Errc::timeout);
    EXPECT_EQ(cancel(waiter, first), 0u);
    EXPECT_EQ(cancel(waiter, 12345), 0u);
    EXPECT_FALSE(answer(second));
    EXPECT_EQ(cancel(waiter, with_value), 1u);
    EXPECT_EQ(shard.statistics().waiting, 1u);
    store("other", "value");
    EXPECT_EQ(ask({.verb = Verb::put, .key = "k", .value = bytes_of("value")}), Errc{});
    ASSERT_TRUE(answer(second));
    EXPECT_EQ(answer(second)->status, 0);
    EXPECT_EQ(cancel(waiter, second), 0u);
    expect_at_rest();
}

TEST_F(WaitsTest, ErasingWakesNobody) {
    store("k", "first");
    const std::uint64_t request = wait_for_value("k", bytes_of("second"));
    ask({.verb = Verb::erase, .key = "k"});
    ask({.verb = Verb::clear});
    EXPECT_FALSE(answer(request));
    EXPECT_EQ(shard.statistics().waiting, 1u);
}

TEST_F(WaitsTest, WaitingGoesOnWhileFrozen) {
    const std::uint64_t request = wait("k");
    ask({.verb = Verb::freeze, .argument = 1});
    const std::uint64_t other = wait("k");
    ask({.verb = Verb::put, .key = "k"});
    EXPECT_FALSE(answer(request) || answer(other));
    ask({.verb = Verb::freeze, .argument = 0});
    ask({.verb = Verb::put, .key = "k"});
    EXPECT_TRUE(answer(request) && answer(other));
    expect_at_rest();
}

TEST_F(WaitsTest, AValueNobodyAskedForIsNoRequest) {
    send(waiter, {.verb = Verb::wait_for, .key = "k", .value = bytes_of("value"), .argument = a_second});
    EXPECT_EQ(rejected(), 1u);
    expect_at_rest();
}

/// More waits for values than half of the private memory: the others are refused, and requests that need some
/// of it for a moment still get it.
TEST_F(WaitsTest, AreBoundedInMemory) {
    const std::vector<std::byte> value(limits::operand_bytes_max);
    unsigned waits = 0;
    while (!answer(wait_for_value("k", value)) && waits <= limits::private_bytes_max / value.size())
        ++waits;
    EXPECT_EQ(last_code(), Errc::busy);
    EXPECT_EQ(waits, limits::private_bytes_max / 2 / value.size());
    EXPECT_EQ(ask({.verb = Verb::stats}), Errc{});
    shard.tick(start);
    shard.tick(start + 2s);
    expect_at_rest();
}

}  // namespace
}  // namespace ddict::manager
