// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Requests that come again.
#include "tests/manager/shard_fixture.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

class RepeatedRequestsTest : public ShardTest {
  protected:
    /// Sends the last request once more; expects the same reply to it.
    void expect_same_answer_again(std::uint64_t id, const Ask& ask) {
        const ReplyHeader first = last();
        const std::vector<std::byte> value(last_value().begin(), last_value().end());
        same_again();
        send(id, ask);
        EXPECT_EQ(last().request, first.request);
        EXPECT_EQ(last().status, first.status);
        EXPECT_EQ(last().argument, first.argument);
        EXPECT_EQ(last().argument2, first.argument2);
        EXPECT_TRUE(std::equal(value.begin(), value.end(), last_value().begin(), last_value().end()));
    }
    void execute_twice(std::uint64_t id, const Ask& ask) {
        send(id, ask);
        expect_same_answer_again(id, ask);
    }
    std::uint64_t hello(std::uint64_t number, std::uint64_t session) {
        RequestHeader header;
        header.verb = Verb::hello;
        header.session = session;
        header.request = number;
        const std::vector<std::byte> value =
            wire::pack_proven(pool->identity().secret, header, hello_from("client"));
        shard.on_message(message_of(header, value), {});
        return transport.sent.empty() ? 0 : last().argument;
    }
};

TEST_F(RepeatedRequestsTest, EachWriteIsExecutedOnce) {
    const std::uint64_t id = hello(1, 0);
    const std::uint64_t zero = 0;
    const Bytes number = std::as_bytes(std::span(&zero, 1));
    execute_twice(
        id, {.verb = Verb::fetch_add, .key = "n", .value = number, .value_type = 0x0123, .argument = 5});
    send(id, {.verb = Verb::fetch_add, .key = "n", .value_type = 0x0123, .argument = 1});
    EXPECT_EQ(last().argument, 5u);
    execute_twice(id, {.verb = Verb::append, .key = "list", .value = bytes_of("ab")});
    EXPECT_EQ(stored("list"), "ab");
    execute_twice(id, {.verb = Verb::put, .key = "k", .value = bytes_of("v"), .flags = wire::put_if_absent});
    EXPECT_EQ(last().argument, 1u);
    execute_twice(id, {.verb = Verb::compare_and_swap, .key = "k", .value = bytes_of("vw"), .argument = 1});
    EXPECT_EQ(last().argument, 1u);
    execute_twice(id, {.verb = Verb::pop, .key = "k"});
    EXPECT_EQ(text_of(last_value()), "w");
    store("k", "new");
    execute_twice(id, {.verb = Verb::erase, .key = "k"});
    EXPECT_EQ(last_code(), Errc{});
    execute_twice(id, {.verb = Verb::erase, .key = "k"});
    EXPECT_EQ(last_code(), Errc::not_found);
    EXPECT_EQ(shard.statistics().repeated_requests, 7u);
}

TEST_F(RepeatedRequestsTest, APartOfAnErasedPrefixIsToldAgain) {
    const std::uint64_t id = hello(1, 0);
    store("ka", "x");
    store("kb", "x");
    const Ask erase{.verb = Verb::erase_prefix, .key = "k"};
    send(id, erase);
    EXPECT_EQ(last().argument2, 2u);
    store("kc", "new");
    expect_same_answer_again(id, erase);
    EXPECT_TRUE(has("kc")) << "it was executed twice";
    EXPECT_EQ(shard.statistics().repeated_requests, 1u);
}

TEST_F(RepeatedRequestsTest, ABatchKeepsItsStatuses) {
    const std::uint64_t id = hello(1, 0);
    store("a", "x");
    std::vector<std::byte> packed(100);
    wire::ItemWriter keys(packed);
    keys.key(bytes_of("a"));
    keys.key(bytes_of("b"));
    packed.resize(keys.written().size());
    execute_twice(id, {.verb = Verb::batch_erase, .value = packed, .argument = 2});
    ASSERT_EQ(last_value().size(), 4u);
    EXPECT_EQ(last_value()[2], static_cast<std::byte>(Errc::not_found));
    EXPECT_GT(shard_store.replies().status_bytes(), 0u);
    next_in_slot();
    send(id, {.verb = Verb::contains, .key = "a"});
    EXPECT_EQ(shard_store.replies().status_bytes(), 0u);
}

TEST_F(RepeatedRequestsTest, ALateCopyOfAnOlderRequestIsIgnored) {
    const std::uint64_t id = hello(1, 0);
    send(id, {.verb = Verb::put, .key = "k", .value = bytes_of("old")});
    next_in_slot();
    send(id, {.verb = Verb::put, .key = "k", .value = bytes_of("new")});
    const std::size_t sent = transport.sent.size();
    for (std::uint32_t i = 0; i <= 1u << wire::slot_bits; ++i)
        same_again();
    send(id, {.verb = Verb::put, .key = "k", .value = bytes_of("old")});
    EXPECT_EQ(stored("k"), "new");
    EXPECT_EQ(transport.sent.size(), sent);
}

/// Both copies were on their way when the first was executed.
TEST_F(RepeatedRequestsTest, TwoCopiesWithPayloadsAreExecutedOnce) {
    const std::uint64_t id = hello(1, 0);
    const Ask put{.verb = Verb::put, .key = "k", .value = large, .payload_token = 8};
    send(id, put);
    same_again();
    send(id, put);
    ASSERT_EQ(transport.received.size(), 2u);
    shard.on_payload_received(transport.received[0].tag, true);
    EXPECT_TRUE(has("k"));
    ask(Verb::erase, id, "k");
    shard.on_payload_received(transport.received[1].tag, true);
    EXPECT_FALSE(has("k")) << "the second copy has brought it back";
    expect_at_rest();
}

/// Whose client has no memory for it.
TEST_F(RepeatedRequestsTest, APoppedPairIsPutBackOnce) {
    const std::uint64_t id = hello(1, 0);
    ASSERT_TRUE(put_in_store("k", 1, large));
    ASSERT_TRUE(put_in_store("other", 1, large));
    const Ask wait{.verb = Verb::wait_for, .key = "k", .argument = 1'000'000};
    const Ask pop{.verb = Verb::pop, .key = "k"};
    Ask put_back = pop;
    put_back.flags = wire::pop_put_back;
    send(id, pop);
    EXPECT_FALSE(has("k"));
    const std::uint64_t tag = transport.sent.back().tag;
    const std::uint64_t popped = last().request;
    const std::uint64_t other = other_session();
    send(other, wait);
    same_again();
    same_again();
    const std::size_t sent = transport.sent.size();
    EXPECT_EQ(send(id, put_back), popped);
    ASSERT_EQ(transport.sent.size(), sent + 2) << "to who popped it, and to who waits for it";
    EXPECT_EQ(transport.header<ReplyHeader>(-2).request, popped);
    EXPECT_EQ(transport.header<ReplyHeader>(-2).status, 0);
    EXPECT_EQ(last().value_bytes, large.size());
    EXPECT_TRUE(std::ranges::equal(find("k")->value(), large));
    EXPECT_EQ(find("k")->value_type(), 1);
    EXPECT_EQ(shard_store.replies().values(), 0u);
    shard.on_payload_sent(transport.sent.back().tag, true);
    shard.on_payload_sent(tag, true);

    ASSERT_TRUE(shard_store
                    .apply({.kind = store::ChangeKind::erase,
                            .pair = {bytes_of("k"), hash_of(bytes_of("k")), 0, 0, {}}})
                    .succeeded());
    same_again();
    send(id, put_back);
    EXPECT_EQ(last_code(), Errc{}) << "the same answer";
    EXPECT_FALSE(has("k"));
    expect_at_rest();
}

TEST_F(RepeatedRequestsTest, APoppedPairIsNotPutBackInTheWayOfOthers) {
    const std::uint64_t id = hello(1, 0);
    Ask put_back{.verb = Verb::pop, .key = "k", .flags = wire::pop_put_back};
    store("k", "never popped");
    send(id, put_back);
    EXPECT_EQ(last_code(), Errc::not_found);
    send(id, {.verb = Verb::pop, .key = "k"});
    store("k", "newer");
    same_again();
    send(id, put_back);
    EXPECT_EQ(last_code(), Errc::not_found);
    EXPECT_EQ(stored("k"), "newer");
    send(id, {.verb = Verb::pop, .key = "k"});
    send(other_session(), {.verb = Verb::freeze, .argument = wire::freeze_on});
    same_again();
    same_again();
    send(id, put_back);
    EXPECT_EQ(last_code(), Errc::frozen);
    EXPECT_FALSE(has("k"));
    EXPECT_EQ(shard_store.replies().values(), 0u);
    expect_at_rest();
}

/// Its client lives, and could not take it.
TEST_F(RepeatedRequestsTest, AValueThatIsNotTakenIsAnsweredWithAnError) {
    const std::uint64_t id = hello(1, 0);
    ASSERT_TRUE(put_in_store("k", 0, large));
    const std::uint64_t request = send(id, {.verb = Verb::get, .key = "k"});
    const RecordingTransport::Sent payload = transport.sent.back();
    shard.on_payload_sent(payload.tag, false);
    EXPECT_EQ(last().request, request);
    EXPECT_EQ(last_code(), Errc::system);
    EXPECT_EQ(transport.sent.back().peer, payload.peer);
    expect_at_rest();

    send(id, {.verb = Verb::get, .key = "k"});
    const std::uint64_t tag = transport.sent.back().tag;
    EXPECT_EQ(hello(2, id), id) << "over a new connection";
    const std::size_t sent = transport.sent.size();
    shard.on_payload_sent(tag, false);
    EXPECT_EQ(transport.sent.size(), sent) << "the client will ask again";
    expect_at_rest();
}

TEST_F(RepeatedRequestsTest, PoppedValuesGiveWayWhenThePoolIsFull) {
    const std::uint64_t id = hello(1, 0);
    const std::vector<std::byte> half(pool->usage().largest_free_bytes * 2 / 3);
    ASSERT_TRUE(put_in_store("k", 0, half));
    send(id, {.verb = Verb::pop, .key = "k"});
    shard.on_payload_sent(transport.sent.back().tag, true);
    EXPECT_EQ(shard_store.replies().values(), 1u);
    send(other_session(), {.verb = Verb::put, .key = "other", .value = half});
    EXPECT_EQ(last_code(), Errc{}) << "what nobody can see takes space";
    EXPECT_EQ(shard_store.replies().values(), 0u);
    same_again();
    same_again();
    send(id, {.verb = Verb::pop, .key = "k"});
    EXPECT_EQ(last_code(), Errc::manager_lost);
}

TEST_F(RepeatedRequestsTest, AClientThatComesBackGoesOnWithItsSession) {
    const std::uint64_t id = hello(1, 0);
    const PeerId old = transport.sent.back().peer;
    store("k", "v");
    send(id, {.verb = Verb::pop, .key = "k"});
    shard.on_peer_lost(old, Error(Errc::manager_lost));
    EXPECT_EQ(hello(2, id), id);
    EXPECT_NE(transport.sent.back().peer, old);
    same_again();
    send(id, {.verb = Verb::pop, .key = "k"});
    EXPECT_EQ(text_of(last_value()), "v");
    EXPECT_NE(transport.sent.back().peer, old);
    // Without its name it has gone, and so it has when the client begins anew.
    EXPECT_NE(hello(3, id + 1), id);
    EXPECT_EQ(shard.sessions().size(), 1u);
}

TEST_F(RepeatedRequestsTest, AClientThatCannotBeAnsweredIsCounted) {
    transport.refusal = Error(Errc::system, "pidfd_open: Too many open files");
    hello(1, 0);
    EXPECT_EQ(shard.gate().unreachable_clients(), 1u);
    EXPECT_EQ(shard.gate().why_unreachable().code, Errc::system);
    transport.refusal.reset();
    EXPECT_NE(hello(2, 0), 0u);
    EXPECT_EQ(shard.sessions().connected(), 1u);
}

}  // namespace
}  // namespace ddict::manager
