// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/codec.h>

#include <bit>
#include <limits>

#include "tests/manager/shard_fixture.h"

namespace ddict::manager {
namespace {

class AtomicsTest : public ShardTest {
  protected:
    Errc swap(std::string_view key, std::string_view expected, std::string_view desired,
              std::uint16_t flags = 0, std::uint16_t type = 0) {
        const std::string both = std::string(expected) + std::string(desired);
        return ask({.verb = Verb::compare_and_swap,
                    .key = key,
                    .value = bytes_of(both),
                    .value_type = type,
                    .flags = flags,
                    .argument = expected.size()});
    }
    template <class T>
    Errc add(std::string_view key, T addend, std::optional<T> initially = {}) {
        const T number = initially.value_or(T{});
        Ask request{.verb = Verb::fetch_add,
                    .key = key,
                    .value_type = Codec<T>::type,
                    .argument = std::bit_cast<std::uint64_t>(addend)};
        if (initially) request.value = std::as_bytes(std::span(&number, 1));
        return ask(request);
    }
    template <class T>
    T before() const {
        return std::bit_cast<T>(last().argument);
    }
    template <class T>
    T number(std::string_view key) const {
        T out{};
        const Bytes value = find(key)->value();
        EXPECT_EQ(value.size(), sizeof out);
        EXPECT_EQ(find(key)->value_type(), Codec<T>::type);
        std::memcpy(&out, value.data(), sizeof out);
        return out;
    }
};

TEST_F(AtomicsTest, SwapsWhatIsAsExpected) {
    store("k", "old");
    EXPECT_EQ(swap("k", "other", "new"), Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(stored("k"), "old");
    EXPECT_EQ(swap("k", "old", "new"), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(stored("k"), "new");
    EXPECT_EQ(swap("k", "new", ""), Errc{});
    EXPECT_EQ(stored("k"), "");
    EXPECT_EQ(swap("k", "", "again"), Errc{});
    EXPECT_EQ(stored("k"), "again");
    EXPECT_EQ(swap("none", "", "again"), Errc{});
    EXPECT_EQ(last().argument, 0u) << "a key that is not there has no empty value";
}

TEST_F(AtomicsTest, SwapsOnlyTheSameType) {
    store("k", "old", 7);
    EXPECT_EQ(swap("k", "old", "new", 0, 8), Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(swap("k", "old", "new", 0, 7), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(find("k")->value_type(), 7);
    EXPECT_EQ(swap("k", "new", "plain", 0, 0), Errc{});
    EXPECT_EQ(last().argument, 1u) << "anything can be read as plain bytes";
    EXPECT_EQ(swap("k", "plain", "typed", 0, 9), Errc{});
    EXPECT_EQ(last().argument, 1u) << "and plain bytes as anything";
    EXPECT_EQ(find("k")->value_type(), 9);
}

TEST_F(AtomicsTest, SwapsWhatIsNotThere) {
    EXPECT_EQ(swap("k", "", "first", wire::swap_if_absent), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(swap("k", "", "second", wire::swap_if_absent), Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(stored("k"), "first");
}

TEST_F(AtomicsTest, SwapErases) {
    store("k", "old");
    EXPECT_EQ(swap("k", "other", "", wire::swap_erases), Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_TRUE(has("k"));
    EXPECT_EQ(swap("k", "old", "", wire::swap_erases), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_FALSE(has("k"));
}

TEST_F(AtomicsTest, SwapsThatMakeNoSenseAreNoRequests) {
    const std::uint64_t id = session();
    const std::size_t sent = transport.sent.size();
    const Bytes value = bytes_of("value");
    const auto send_swap = [&](std::uint16_t flags, std::uint64_t expected) {
        send(id, {.verb = Verb::compare_and_swap,
                  .key = "k",
                  .value = value,
                  .flags = flags,
                  .argument = expected});
    };
    send_swap(0, value.size() + 1);
    send_swap(0, ~std::uint64_t{0});
    send_swap(wire::swap_if_absent, 1);
    send_swap(wire::swap_erases, value.size() - 1);
    send_swap(wire::swap_if_absent | wire::swap_erases, 0);
    EXPECT_EQ(transport.sent.size(), sent);
    EXPECT_EQ(rejected(), 5u);
}

TEST_F(AtomicsTest, LargeOperandsComeIntoPrivateMemory) {
    const std::uint64_t id = session();
    store("k", "old");
    std::vector<std::byte> both(8000, std::byte{'n'});
    std::memcpy(both.data(), "old", 3);
    const Ask large_swap{
        .verb = Verb::compare_and_swap, .key = "k", .value = both, .argument = 3, .payload_token = 8};
    send(id, large_swap);
    EXPECT_EQ(shard.statistics().payloads_in_flight, 1u);
    EXPECT_GE(private_bytes(), both.size());
    EXPECT_EQ(stored("k"), "old");
    deliver(both);
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_EQ(last().argument, 1u);
    EXPECT_EQ(find("k")->value().size(), both.size() - 3);
    expect_at_rest();

    store("k", "old");
    EXPECT_EQ(ask({.verb = Verb::compare_and_swap, .key = "k", .value = both, .argument = 3}), Errc{});
    EXPECT_EQ(last().argument, 1u) << "a payload that came in memory takes effect at once";
    expect_at_rest();
}

TEST_F(AtomicsTest, AnOperandThatBreaksOffLeavesNothing) {
    const std::uint64_t id = session();
    const Ask request{.verb = Verb::append, .key = "k", .value = large, .payload_token = 8};
    send(id, request);
    shard.on_payload_received(transport.received.back().tag, false);
    expect_at_rest();
    send(id, request);
    ask(Verb::goodbye, id);
    const std::size_t sent = transport.sent.size();
    deliver(large);
    EXPECT_EQ(transport.sent.size(), sent) << "nobody is there to be told";
    expect_at_rest();
    EXPECT_FALSE(has("k"));
}

TEST_F(AtomicsTest, OperandsAreBounded) {
    const std::uint64_t id = session();
    const std::vector<std::byte> too_large(limits::operand_bytes_max + 1);
    for (const Verb verb : {Verb::compare_and_swap, Verb::append}) {
        transport.discarded.clear();
        EXPECT_EQ(ask({.verb = verb, .key = "k", .value = too_large, .payload_token = 8}), Errc::too_large);
        EXPECT_EQ(last().argument, too_large.size());
        EXPECT_EQ(last().argument2, limits::operand_bytes_max);
        EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{8});
    }
    const std::vector<std::byte> largest(limits::operand_bytes_max);
    const std::size_t sent = transport.sent.size();
    unsigned under_way = 0;
    for (; transport.sent.size() == sent && under_way < 2 * limits::payloads_in_flight_max; ++under_way)
        send(id, {.verb = Verb::append, .key = "k", .value = largest, .payload_token = 100 + under_way});
    EXPECT_EQ(last_code(), Errc::busy);
    EXPECT_LE(private_bytes(), limits::private_bytes_max);
    EXPECT_GT(under_way, 100u);
    for (const RecordingTransport::Received& received : transport.received)
        shard.on_payload_received(received.tag, false);
    expect_at_rest();
}

TEST_F(AtomicsTest, AddsSignedNumbers) {
    EXPECT_EQ(add<std::int64_t>("k", 5), Errc::not_found);
    EXPECT_FALSE(has("k"));
    EXPECT_EQ((add<std::int64_t>("k", 5, 10)), Errc{});
    EXPECT_EQ(before<std::int64_t>(), 10);
    EXPECT_EQ(number<std::int64_t>("k"), 15);
    EXPECT_EQ((add<std::int64_t>("k", -20, 1000)), Errc{});
    EXPECT_EQ(before<std::int64_t>(), 15);
    EXPECT_EQ(number<std::int64_t>("k"), -5);
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ((add<std::int64_t>("wraps", 1, most)), Errc{});
    EXPECT_EQ(number<std::int64_t>("wraps"), std::numeric_limits<std::int64_t>::min());
}

TEST_F(AtomicsTest, AddsUnsignedNumbers) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ((add<std::uint64_t>("k", 2, most)), Errc{});
    EXPECT_EQ(before<std::uint64_t>(), most);
    EXPECT_EQ(number<std::uint64_t>("k"), 1u);
}

TEST_F(AtomicsTest, AddsFloatingNumbers) {
    EXPECT_EQ((add<double>("k", 0.5, 1.25)), Errc{});
    EXPECT_EQ(before<double>(), 1.25);
    EXPECT_EQ(number<double>("k"), 1.75);
    EXPECT_EQ(add<double>("k", -2), Errc{});
    EXPECT_EQ(number<double>("k"), -0.25);
}

TEST_F(AtomicsTest, AddsToWhateverIsTheSameNumber) {
    store("text", "12345678", type_text);
    store("bytes", "12345678", type_bytes);
    store("short", "1234", Codec<std::int64_t>::type);
    EXPECT_EQ((add<std::int64_t>("text", 1, 0)), Errc::wrong_type);
    EXPECT_EQ((add<std::int64_t>("bytes", 1, 0)), Errc::wrong_type);
    EXPECT_EQ((add<std::int64_t>("short", 1, 0)), Errc::wrong_type);
    EXPECT_EQ((add<std::uint64_t>("number", 1, 0)), Errc{});
    EXPECT_EQ(add<std::int64_t>("number", 1), Errc{});
    EXPECT_EQ(number<std::int64_t>("number"), 2);
    EXPECT_EQ(add<double>("number", 0.5), Errc{});
    EXPECT_EQ(number<double>("number"), 2.5);
    EXPECT_EQ(add<std::int64_t>("number", 1), Errc::wrong_type) << "a float is no integer counter";
    EXPECT_EQ(ask({.verb = Verb::fetch_add, .key = "number", .value_type = 0}), Errc::wrong_type);
    EXPECT_EQ(ask({.verb = Verb::fetch_add, .key = "number", .value_type = Codec<int>::type}),
              Errc::wrong_type);
    EXPECT_EQ(number<double>("number"), 2.5);
    store("least", std::string(8, '\xff'), Codec<std::int64_t>::type);
    EXPECT_EQ(add<std::uint64_t>("least", 1), Errc::wrong_type) << "-1 is no uint64";
    store("narrow", std::string("\x05\0", 2), Codec<std::uint16_t>::type);
    EXPECT_EQ(add<std::uint64_t>("narrow", 1), Errc{});
    EXPECT_EQ(number<std::uint64_t>("narrow"), 6u);
}

TEST_F(AtomicsTest, ANumberHasEightBytes) {
    const std::uint64_t id = session();
    send(id, {.verb = Verb::fetch_add, .key = "k", .value = bytes_of("1234"), .value_type = 0x0113});
    send(id, {.verb = Verb::fetch_add, .key = "k", .value = bytes_of("123456789"), .value_type = 0x0113});
    EXPECT_EQ(rejected(), 2u);
}

TEST_F(AtomicsTest, Appends) {
    EXPECT_EQ(ask({.verb = Verb::append, .key = "k", .value = bytes_of("one"), .value_type = 0x0213}),
              Errc{});
    EXPECT_EQ(last().argument, 3u);
    EXPECT_EQ(ask({.verb = Verb::append, .key = "k", .value = bytes_of(", two"), .value_type = 0x0213}),
              Errc{});
    EXPECT_EQ(last().argument, 8u);
    EXPECT_EQ(ask({.verb = Verb::append, .key = "k", .value_type = 0x0213}), Errc{});
    EXPECT_EQ(last().argument, 8u);
    EXPECT_EQ(stored("k"), "one, two");
    EXPECT_EQ(find("k")->value_type(), 0x0213);
    EXPECT_EQ(ask({.verb = Verb::append, .key = "k", .value = bytes_of("!"), .value_type = 0x0223}),
              Errc::wrong_type);
    EXPECT_EQ(ask({.verb = Verb::append, .key = "k", .value = bytes_of("!")}), Errc::wrong_type);
    EXPECT_EQ(stored("k"), "one, two");
}

TEST_F(AtomicsTest, AppendsUntilThereIsNoSpace) {
    const std::vector<std::byte> piece(100'000, std::byte{7});
    std::uint64_t bytes = 0;
    while (ask({.verb = Verb::append, .key = "k", .value = piece}) == Errc{}) {
        bytes += piece.size();
        ASSERT_EQ(last().argument, bytes);
        ASSERT_LT(bytes, 2 * limits::pool_bytes_min);
    }
    EXPECT_EQ(last_code(), Errc::no_space);
    EXPECT_EQ(last().argument, bytes + piece.size() + 1);
    EXPECT_LT(last().argument2, last().argument);
    EXPECT_EQ(find("k")->value().size(), bytes);
    expect_at_rest();
}

}  // namespace
}  // namespace ddict::manager
