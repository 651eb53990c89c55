// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"
#include "tests/manager/shard_fixture.h"

namespace ddict::manager {
namespace {

TEST_F(ShardTest, AClientThatSaysHelloAgainHasOneSession) {
    const std::uint64_t first = session();
    const std::uint64_t second = session();
    EXPECT_NE(first, second);
    EXPECT_EQ(shard.sessions().connected(), 1u);
    EXPECT_EQ(transport.open.size(), 1u);
    const std::size_t sent = transport.sent.size();
    ask(Verb::ping, first);
    EXPECT_EQ(transport.sent.size(), sent) << "the older session is over";
    ask(Verb::ping, second);
    EXPECT_EQ(transport.sent.size(), sent + 1);
}

TEST_F(ShardTest, AHelloThatWasOvertakenIsIgnored) {
    say_hello(5);
    const std::uint64_t newer = last().argument;
    const std::size_t sent = transport.sent.size();
    say_hello(4);
    say_hello(5);
    EXPECT_EQ(transport.sent.size(), sent);
    EXPECT_EQ(shard.sessions().connected(), 1u);
    ask(Verb::ping, newer);
    EXPECT_EQ(transport.sent.size(), sent + 1);
}

TEST_F(ShardTest, AGoodbyeWithoutASessionEndsTheOneOfItsClient) {
    const std::uint64_t used = pool->usage().used_bytes;
    other_session();
    say_hello(5);
    const std::uint64_t id = last().argument;
    ask(Verb::put, id, "k", {}, {.in_memory = {}, .token = 8, .bytes = large.size()});
    const std::size_t sent = transport.sent.size();
    goodbye(4);
    EXPECT_EQ(shard.sessions().connected(), 2u) << "it was overtaken by a newer hello";
    goodbye(6);
    EXPECT_EQ(shard.sessions().connected(), 1u);
    EXPECT_EQ(transport.open.size(), 1u);
    shard.on_payload_received(transport.received.at(0).tag, true);
    EXPECT_FALSE(has("k"));
    EXPECT_EQ(pool->usage().used_bytes, used);
    expect_at_rest();
    say_hello(5);
    EXPECT_EQ(shard.sessions().connected(), 1u) << "it was overtaken by the goodbye";
    EXPECT_EQ(transport.sent.size(), sent) << "nobody waits for an answer";
    say_hello(7);
    EXPECT_EQ(shard.sessions().connected(), 2u);
    goodbye(8);
    shard.tick(Time{});
    shard.tick(Time{} + limits::session_kept);
    EXPECT_EQ(shard.sessions().size(), 1u);
}

TEST_F(ShardTest, AGoodbyeMayOvertakeTheOnlyHello) {
    goodbye(2);
    say_hello(1);
    EXPECT_EQ(shard.sessions().connected(), 0u);
    EXPECT_TRUE(transport.sent.empty());
    shard.tick(Time{});
    shard.tick(Time{} + limits::session_kept);
    EXPECT_EQ(shard.sessions().size(), 0u);
    EXPECT_FALSE(shard.needs_tick());
}

/// The connection is closed instead, and its client asks again over another one.
TEST_F(ShardTest, AReplyThatThereIsNoMemoryToSendIsAskedForAgain) {
    const std::uint64_t id = session();
    const std::size_t sent = transport.sent.size();
    transport.cannot_send = true;
    const Ask append{.verb = Verb::append, .key = "k", .value = bytes_of("x")};
    const std::uint64_t request = send(id, append);
    ASSERT_TRUE(shard.needs_tick());
    shard.tick(Time{});
    EXPECT_EQ(shard.sessions().connected(), 0u);
    EXPECT_TRUE(transport.open.empty());
    EXPECT_EQ(transport.sent.size(), sent);
    transport.cannot_send = false;

    say_hello(2, "client", id);
    ASSERT_EQ(last().argument, id);
    same_again();
    EXPECT_EQ(send(id, append), request);
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_EQ(last().request, request);
    EXPECT_EQ(stored("k"), "x") << "it took effect once";
    EXPECT_EQ(shard.sessions().connected(), 1u);
}

/// UCX can lose a payload of a connection over which small messages still come through. The client asks
/// whether this manager lives, and would be told so for ever.
TEST_F(ShardTest, APayloadThatDoesNotArriveEndsItsConnection) {
    std::uint64_t pings = 0;
    const std::uint64_t id = session();
    transport.on_same_host.clear();
    send(id, {.verb = Verb::put, .key = "k", .value = large});
    const auto ping = [&] {
        RequestHeader header;
        header.verb = Verb::ping;
        header.session = id;
        header.request = wire::connection_request_bit | ++pings;
        shard.on_message(message_of(header), {});
        shard.tick(Time{});
        return shard.sessions().connected() != 0;
    };
    const auto pings_until_closed = [&] {
        const std::uint64_t before = pings;
        while (pings - before < 100 && ping())
            continue;
        return pings - before;
    };
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(ping()) << "nothing is under way";
    const std::uint64_t get = send(id, {.verb = Verb::get, .key = "k"});
    const RecordingTransport::Sent value = transport.sent.back();
    ASSERT_EQ(value.payload.size(), large.size());
    EXPECT_EQ(pings_until_closed(), 5U);
    EXPECT_TRUE(transport.open.empty());
    shard.on_payload_sent(value.tag, false);

    say_hello(2, "client", id);
    same_again();
    EXPECT_EQ(send(id, {.verb = Verb::get, .key = "k"}), get);
    EXPECT_EQ(transport.sent.back().payload.size(), large.size());

    // Within the node nothing is lost, and a client that is held up takes its time.
    transport.on_same_host.insert(transport.sent.back().peer);
    EXPECT_EQ(pings_until_closed(), 100U);
}

/// What reads is not cached; and who is lost meanwhile is left alone.
TEST_F(ShardTest, NeitherReadsNorLostClientsEndAManagerWithoutMemory) {
    const std::uint64_t id = session();
    const std::uint64_t other = other_session();
    transport.cannot_send = true;
    send(id, {.verb = Verb::get, .key = "nobody"});
    send(id, {.verb = Verb::ping});
    send(other, {.verb = Verb::stats});
    shard.on_peer_lost(*transport.open.begin(), Error(Errc::manager_lost));
    say_hello(7, "somebody new");
    shard.tick(Time{});
    EXPECT_EQ(shard.sessions().connected(), 0u);
    EXPECT_LE(transport.open.size(), 1u) << "the one that was lost is closed by the transport";
    transport.cannot_send = false;
    say_hello(8, "client", id);
    EXPECT_EQ(last().argument, id);
    send(id, {.verb = Verb::ping});
    EXPECT_EQ(last_code(), Errc{});
}

TEST_F(ShardTest, AGoodbyeProvesTheSecret) {
    const std::uint64_t id = session();
    Secret wrong = pool->identity().secret;
    wrong[3] ^= std::byte{1};
    introduce(Verb::goodbye, 9, "client", wrong);
    ask(Verb::goodbye, 0);                     // says nothing
    ask(Verb::goodbye, id, {}, bytes_of(""));  // well formed
    EXPECT_EQ(shard.sessions().connected(), 0u);
    EXPECT_EQ(rejected(), 2u);
}

TEST_F(ShardTest, StrangersGetNoAnswerAndCostNothing) {
    const std::uint64_t id = session();
    const std::size_t sent = transport.sent.size();
    const std::size_t connections = transport.open.size();
    const PeerId next = transport.connect({}, {}).value();  // numbers rise with each connection
    transport.close(next);
    Secret wrong = pool->identity().secret;
    wrong[3] ^= std::byte{1};
    constexpr std::uint64_t strangers = 100'000;
    for (std::uint64_t i = 0; i < strangers; ++i) {
        const std::string address = "stranger" + std::to_string(i);
        introduce(i % 2 == 0 ? Verb::hello : Verb::goodbye, i + 1, address.c_str(), wrong);
    }
    EXPECT_EQ(transport.connect({}, {}).value(), next + 1) << "it connected to a stranger";
    transport.close(next + 1);
    EXPECT_EQ(transport.sent.size(), sent);
    EXPECT_EQ(transport.open.size(), connections);
    EXPECT_EQ(shard.sessions().size(), 1u);
    EXPECT_EQ(rejected(), strangers);
    EXPECT_EQ(shard.gate().unproven(), strangers);
    EXPECT_FALSE(shard.needs_tick());
    ask(Verb::ping, id);
    EXPECT_EQ(last().status, 0);
}

TEST_F(ShardTest, NothingOfAHelloCanBeChanged) {
    RequestHeader header;
    header.verb = Verb::hello;
    header.request = 1;
    const std::vector<std::byte> hello =
        wire::pack_proven(pool->identity().secret, header, hello_from("client"));
    for (std::size_t bit = 0; bit < 8 * hello.size(); ++bit) {
        std::vector<std::byte> changed = hello;
        changed[bit / 8] ^= std::byte{1} << (bit % 8);
        shard.on_message(message_of(header, changed), {});
        ASSERT_TRUE(transport.open.empty()) << "bit " << bit;
    }
    EXPECT_EQ(shard.sessions().size(), 0u);
    shard.on_message(message_of(header, hello), {});
    EXPECT_EQ(shard.sessions().connected(), 1u);
    EXPECT_EQ(rejected(), 8 * hello.size());
}

/// Who has no session cannot try all numbers.
TEST_F(ShardTest, SessionsAreNotGuessed) {
    const std::uint64_t one = session();
    const std::uint64_t other = other_session();
    EXPECT_GT(one ^ other, std::uint64_t{1} << 32) << "all but 20 bits are random";
    const std::uint64_t before = rejected();
    for (std::uint64_t bit = 0; bit < 64; ++bit)
        ask(Verb::clear, one ^ std::uint64_t{1} << bit);
    EXPECT_EQ(rejected(), before + 64);
}

TEST_F(ShardTest, TwoClientsHaveTwoSessions) {
    const std::uint64_t one = session();
    const std::uint64_t other = other_session();
    EXPECT_NE(one, other);
    EXPECT_EQ(shard.sessions().connected(), 2u);
    ask(Verb::goodbye, one);
    EXPECT_EQ(shard.sessions().connected(), 1u);
    ask(Verb::ping, other);
    EXPECT_EQ(last().status, 0);
}

TEST_F(ShardTest, TheSessionOfALostPeerIsForgottenAfterAWhile) {
    const std::uint64_t id = session();
    shard.on_peer_lost(transport.sent.back().peer, Error(Errc::manager_lost));
    EXPECT_EQ(shard.sessions().connected(), 0u);
    EXPECT_EQ(shard.sessions().size(), 1u);
    const std::size_t sent = transport.sent.size();
    ask(Verb::ping, id);
    EXPECT_EQ(transport.sent.size(), sent) << "there is no connection to answer through";
    ASSERT_TRUE(shard.needs_tick());
    const Time now{};
    EXPECT_EQ(shard.tick(now), now + limits::session_kept);
    shard.tick(now + limits::session_kept - std::chrono::milliseconds(1));
    EXPECT_EQ(shard.sessions().size(), 1u);
    shard.tick(now + limits::session_kept);
    EXPECT_EQ(shard.sessions().size(), 0u);
    EXPECT_FALSE(shard.needs_tick());
    const std::uint64_t before = rejected();
    ask(Verb::ping, id);
    EXPECT_EQ(rejected(), before + 1);
}

TEST_F(ShardTest, ALargePutIsVisibleWhenItIsWhole) {
    const std::uint64_t id = session();
    ask(Verb::put, id, "k", {}, {.in_memory = {}, .token = 8, .bytes = large.size()});
    ASSERT_EQ(transport.received.size(), 1u);
    EXPECT_FALSE(has("k"));
    std::copy(large.begin(), large.end(), transport.received[0].into.begin());
    const std::size_t sent = transport.sent.size();
    shard.on_payload_received(transport.received[0].tag, true);
    EXPECT_TRUE(has("k"));
    ASSERT_EQ(transport.sent.size(), sent + 1);
    EXPECT_EQ(last().status, 0);
}

TEST_F(ShardTest, ALargePutThatBreaksOffLeavesNothing) {
    const std::uint64_t used = pool->usage().used_bytes;
    const std::uint64_t id = session();
    ask(Verb::put, id, "k", {}, {.in_memory = {}, .token = 8, .bytes = large.size()});
    shard.on_payload_received(transport.received.at(0).tag, false);
    EXPECT_FALSE(has("k"));
    EXPECT_EQ(pool->usage().used_bytes, used);
    EXPECT_EQ(shard.statistics().payloads_in_flight, 0u);
}

TEST_F(ShardTest, ALargePutThatArrivedInMemoryIsStoredAtOnce) {
    const std::uint64_t id = session();
    ask(Verb::put, id, "k", {}, {.in_memory = large, .token = 0, .bytes = large.size()});
    EXPECT_TRUE(has("k"));
    EXPECT_EQ(last().status, 0);
}

TEST_F(ShardTest, AValueOnItsWayStaysWhateverHappensToItsKey) {
    const std::uint64_t used = pool->usage().used_bytes;
    const std::uint64_t id = session();
    ask(Verb::put, id, "k", {}, {.in_memory = large, .token = 0, .bytes = large.size()});
    ask(Verb::get, id, "k");
    const RecordingTransport::Sent get = transport.sent.back();
    ASSERT_EQ(get.payload.size(), large.size());
    ask(Verb::erase, id, "k");
    const std::vector<std::byte> other(large.size(), std::byte{9});
    for (int i = 0; i < 300; ++i)  // more than the pool holds, if space that is in use were given away
        ask(Verb::put, id, "k" + std::to_string(i % 100), {},
            {.in_memory = other, .token = 0, .bytes = other.size()});
    EXPECT_TRUE(std::equal(get.payload.begin(), get.payload.end(), large.begin(), large.end()));
    ask(Verb::goodbye, id);
    EXPECT_EQ(shard.statistics().payloads_in_flight, 1u);
    shard.on_payload_sent(get.tag, false);
    EXPECT_EQ(shard.statistics().payloads_in_flight, 0u);
    clear_store();
    EXPECT_EQ(pool->usage().used_bytes, used);
}

TEST_F(ShardTest, ACursorThatIsNoneIsHarmless) {
    const std::uint64_t id = session();
    ask(Verb::put, id, "k", large);  // not a valid message: too long to be inline
    for (const std::uint64_t cursor : {std::uint64_t{1}, ~std::uint64_t{0}, std::uint64_t{1} << 63})
        ask(Verb::scan, id, {}, {}, {}, cursor);
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(rejected(), 1u);
}

class ManyEntries final : public DirectoryView {
  public:
    std::uint32_t manager_count() const override { return 1000; }
    Result<DirectoryEntry> entry(ShardId shard) const override {
        const std::uint32_t manager = number_of(shard);
        DirectoryEntry entry;
        entry.shard = shard;
        entry.node = "node" + std::to_string(manager);
        entry.address.assign(200, static_cast<std::byte>(manager));
        return entry;
    }
};

TEST_F(ShardTest, TheDirectoryComesInPages) {
    const ManyEntries directory;
    shard.set_directory(&directory);
    const std::uint64_t id = session();
    std::uint64_t next = 0;
    unsigned pages = 0;
    while (next < directory.manager_count()) {
        ask(Verb::directory, id, {}, {}, {}, next);
        ASSERT_EQ(last().status, 0);
        const RecordingTransport::Sent sent = transport.sent.back();
        Unpacker in(sent.payload.empty() ? Bytes(sent.header).subspan(sizeof(ReplyHeader)) : sent.payload);
        for (; !in.at_end() && in.good(); ++next)
            EXPECT_EQ(unpack_directory_entry(in).node, "node" + std::to_string(next));
        ASSERT_TRUE(in.good());
        EXPECT_EQ(last().argument, next);
        if (!sent.payload.empty()) shard.on_payload_sent(sent.tag, true);
        ASSERT_LT(++pages, 100u);
    }
    EXPECT_GT(pages, 2u);
    ask(Verb::directory, id, {}, {}, {}, ~std::uint64_t{0});
    EXPECT_EQ(last().status, 0) << "beyond the end there is nothing";
    EXPECT_EQ(last().value_bytes, 0u);
    EXPECT_EQ(shard.statistics().payloads_in_flight, 0u);
}

TEST_F(ShardTest, ANewerEntryReplacesAnOlderOne) {
    const ManyEntries directory;
    shard.set_directory(&directory);
    const std::uint64_t id = session();
    const auto tell = [&](std::uint32_t epoch, std::uint32_t number, const std::string& node) {
        DirectoryEntry entry;
        entry.shard = ShardId{number};
        entry.epoch = Epoch{epoch};
        entry.node = node;
        std::vector<std::byte> packed;
        pack(entry, packed);
        send(id, {.verb = Verb::directory, .value = packed, .flags = wire::directory_newer});
    };
    const auto node_of = [&](std::uint32_t number) {
        send(id, {.verb = Verb::directory, .flags = wire::directory_of_one, .argument = number});
        Unpacker in(Bytes(transport.sent.back().header).subspan(sizeof(ReplyHeader)));
        const DirectoryEntry entry = unpack_directory_entry(in);
        EXPECT_TRUE(in.good() && in.at_end()) << "it is of one shard";
        return entry.node;
    };
    tell(3, 5, "new");
    EXPECT_EQ(last().status, 0);
    EXPECT_EQ(last().argument, 3u);
    EXPECT_EQ(node_of(5), "new");
    for (const std::uint32_t epoch : {1u, 2u, 3u}) {
        tell(epoch, 5, "old");
        EXPECT_EQ(last().argument, 3u) << "the epoch that is known";
        EXPECT_EQ(node_of(5), "new");
    }
    tell(4, 5, "newest");
    EXPECT_EQ(node_of(5), "newest");
    EXPECT_EQ(node_of(6), "node6");
    const std::vector<DirectoryEntry> newer = shard.take_newer_entries();
    ASSERT_EQ(newer.size(), 2u) << "the node launcher hears of those that were news";
    EXPECT_EQ(newer[1].node, "newest");
    EXPECT_FALSE(shard.has_newer_entries());
    tell(2, 1000, "nobody");
    EXPECT_EQ(last_code(), Errc::invalid_argument);
    send(id, {.verb = Verb::directory, .value = bytes_of("nonsense"), .flags = wire::directory_newer});
    EXPECT_EQ(last_code(), Errc::invalid_argument);
    const std::uint64_t rejected_before = rejected();
    send(id, {.verb = Verb::directory, .value = bytes_of("nonsense")});
    send(id, {.verb = Verb::directory, .flags = wire::directory_newer});
    EXPECT_EQ(rejected(), rejected_before + 2) << "a value with the flag, and only with it";
}

/// A ping's number has no slot, though its lowest bits may be those of one.
TEST_F(ShardTest, AMessageOfAConnectionReleasesNoCachedReply) {
    const std::uint64_t id = session();
    store("k", "value", 7);
    const std::uint64_t pop = send(id, {.verb = Verb::pop, .key = "k"});
    EXPECT_EQ(text_of(last_value()), "value");
    RequestHeader ping;
    ping.session = id;
    ping.request = wire::connection_request_bit | std::uint64_t{9} << wire::manager_bits | wire::slot_of(pop);
    shard.on_message(message_of(ping), {});
    EXPECT_EQ(last().request, ping.request);
    same_again();
    send(id, {.verb = Verb::pop, .key = "k"});
    EXPECT_EQ(last_code(), Errc{}) << "the first answer may have been lost";
    EXPECT_EQ(text_of(last_value()), "value");
}

TEST_F(ShardTest, WithoutADirectorySaysSo) {
    ask(Verb::directory, session());
    EXPECT_EQ(last_code(), Errc::system);
}

TEST_F(ShardTest, ShutdownIsAnsweredAndRemembered) {
    EXPECT_FALSE(shard.shutdown_requested());
    ask(Verb::shutdown, 12345);
    EXPECT_FALSE(shard.shutdown_requested()) << "not without a session";
    EXPECT_FALSE(pool->gone());
    ask(Verb::shutdown, session());
    EXPECT_TRUE(shard.shutdown_requested());
    EXPECT_EQ(last().status, 0);
    EXPECT_TRUE(pool->gone()) << "whoever has the answer must not read a value here";
    EXPECT_FALSE(shard.keep_requested());
}

TEST_F(ShardTest, ShutdownSaysWhetherThePoolIsToBeKept) {
    send(session(), {.verb = Verb::shutdown, .flags = wire::shutdown_keeps});
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_TRUE(shard.shutdown_requested() && shard.keep_requested());
}

TEST_F(ShardTest, ContainsTellsTypeAndSizeWithoutTheValue) {
    const std::uint64_t id = session();
    store("k", "value", 7);
    store("empty", "", 8);
    ASSERT_TRUE(put_in_store("large", 9, large));
    struct Expected {
        std::string_view key;
        std::uint16_t type;
        std::uint64_t bytes;
    };
    for (const Expected& expected : {Expected{"k", 7, 5}, {"empty", 8, 0}, {"large", 9, large.size()}}) {
        ask(Verb::contains, id, expected.key);
        EXPECT_EQ(last().argument, 1u) << expected.key;
        EXPECT_EQ(last().value_type, expected.type) << expected.key;
        EXPECT_EQ(last().argument2, expected.bytes) << expected.key;
        EXPECT_EQ(last().value_bytes, 0u) << expected.key;
        EXPECT_TRUE(last_value().empty()) << expected.key;
    }
    ask(Verb::contains, id, "none");
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_EQ(last().argument, 0u);
    EXPECT_EQ(last().value_type, 0u);
    EXPECT_EQ(last().argument2, 0u);
    expect_at_rest();
}

TEST_F(ShardTest, StatisticsCount) {
    const std::uint64_t id = session();
    ask(Verb::put, id, "k", bytes_of("value"));
    ask(Verb::get, id, "k");
    ask(Verb::get, id, "none");
    ask(Verb::contains, id, "k");
    ask(Verb::erase, id, "k");
    ask(Verb::stats, id);
    ManagerStats stats;
    ASSERT_TRUE(unpack(Bytes(transport.sent.back().header).subspan(sizeof(ReplyHeader)), stats));
    EXPECT_EQ(stats.manager, 3u);
    EXPECT_EQ(stats.node, "n1");
    EXPECT_EQ(stats.pid, 5);
    EXPECT_EQ(stats.puts, 1u);
    EXPECT_EQ(stats.gets, 2u);
    EXPECT_EQ(stats.hits, 1u);
    EXPECT_EQ(stats.contains, 1u);
    EXPECT_EQ(stats.erases, 1u);
    EXPECT_EQ(stats.keys, 0u);
    EXPECT_EQ(stats.sessions, 1u);
    EXPECT_EQ(stats.transport, "record");
    ASSERT_EQ(stats.operations.size(), 5u);
    EXPECT_EQ(stats.operations[1].operation, Operation::get);
    EXPECT_EQ(stats.operations[1].count, 2u);
}

}  // namespace
}  // namespace ddict::manager
