// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/rpc/requester_fixture.h"

#include <algorithm>
#include <new>

namespace ddict {
namespace {

class ThrowingSink final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t, std::uint16_t) override { throw std::bad_alloc(); }
};

TEST_F(RequesterTest, AnOlderEntryDoesNotReplaceANewerOne) {
    DirectoryEntry newer = entry(here);
    newer.epoch = Epoch{3};
    newer.address.assign(8, std::byte{3});
    know(here);
    requester.add_manager(newer);
    EXPECT_EQ(requester.known_manager(ShardId{0})->epoch, Epoch{3});
    for (const std::uint32_t epoch : {0u, 1u, 2u}) {
        DirectoryEntry older = entry(here);
        older.epoch = Epoch{epoch};
        requester.add_manager(older);
        EXPECT_EQ(requester.known_manager(ShardId{0})->epoch, Epoch{3});
        EXPECT_EQ(requester.known_manager(ShardId{0})->address, newer.address);
    }
    const auto get = begin(Verb::get);
    newer.epoch = Epoch{4};
    requester.add_manager(newer);
    EXPECT_FALSE(requester.done(get)) << "the same address: what waits goes on";
    newer.epoch = Epoch{5};
    newer.address.assign(8, std::byte{5});
    requester.add_manager(newer);
    EXPECT_FALSE(requester.done(get)) << "it goes on where the manager is now";
}

TEST_F(RequesterTest, AMessageSaysTheTypeOfItsKeyAndWhatItWasPlacedBy) {
    know(here);
    Request put = request_of(Verb::put);
    put.key = {bytes_of("k"), user_type(5)};
    put.value = bytes_of("value");
    put.flags = wire::put_if_absent;
    put.stored_as.placement = {.by = PlacedBy::number, .value = 9};
    requester.begin(put, now, now + 1s);
    answer(0, 77);
    const auto header = transport.header<RequestHeader>();
    EXPECT_EQ(header.key_type, user_type(5));
    EXPECT_EQ(header.flags, wire::put_if_absent);
    EXPECT_EQ(header.placed_by, PlacedBy::number);
    Unpacker in(Bytes(transport.sent.back().header).subspan(sizeof header));
    EXPECT_EQ(in.take<std::uint64_t>(), 9u);
    EXPECT_EQ(text_of(in.rest()), "kvalue");
    put.value = large;
    put.stored_as.placement = {.by = PlacedBy::hash, .value = 10};
    requester.begin(put, now, now + 1s);
    EXPECT_EQ(transport.header<RequestHeader>().placed_by, PlacedBy::hash);
    in = Unpacker(Bytes(transport.sent.back().header).subspan(sizeof header));
    EXPECT_EQ(in.take<std::uint64_t>(), 10u);
    EXPECT_EQ(text_of(in.rest()), "k");
    EXPECT_EQ(transport.sent.back().payload.size(), large.size());
    put.stored_as.ttl = 5'000'000;
    requester.begin(put, now, now + 1s);
    EXPECT_EQ(transport.header<RequestHeader>().has_ttl, 1);
    in = Unpacker(Bytes(transport.sent.back().header).subspan(sizeof header));
    EXPECT_EQ(in.take<std::uint64_t>(), 10u);
    EXPECT_EQ(in.take<std::uint64_t>(), 5'000'000u);
    EXPECT_EQ(text_of(in.rest()), "k");
    put.key = bytes_of("k");
    put.value = {};
    put.stored_as = {};
    requester.begin(put, now, now + 1s);
    EXPECT_EQ(transport.header<RequestHeader>().key_type, type_text);
    EXPECT_EQ(transport.header<RequestHeader>().placed_by, PlacedBy::own_hash);
    EXPECT_EQ(transport.header<RequestHeader>().has_ttl, 0);
    EXPECT_EQ(transport.sent.back().header.size(), sizeof header + 1);
}

TEST_F(RequesterTest, SaysHelloOnFirstUseAndThenNoMore) {
    know(here);
    const auto first = begin(Verb::contains);
    const auto second = begin(Verb::contains);
    ASSERT_EQ(transport.sent.size(), 1u);
    EXPECT_EQ(last_verb(), Verb::hello);
    answer(0, 77);
    ASSERT_EQ(transport.sent.size(), 3u);
    EXPECT_EQ(transport.header<RequestHeader>(1).session, 77u);
    answer(1, 1);
    answer(2);
    EXPECT_EQ(outcome(first), Errc{});
    EXPECT_EQ(outcome(second), Errc{});
    begin(Verb::contains);
    EXPECT_EQ(last_verb(), Verb::contains);
}

/// So that who does not see the requests cannot answer them.
TEST_F(RequesterTest, NumbersOfRequestsBeginWhereTheyAreTold) {
    constexpr std::uint64_t start = 0x2fed'cba9'8765;
    Requester hidden(transport,
                     {.dictionary_id = 1, .secret = {}, .ucx_version = 1, .sequence_start = start});
    hidden.add_manager(entry(here));
    Request request;
    request.verb = Verb::contains;
    request.key = bytes_of("k");
    const auto operation = hidden.begin(request, now, now + 1h);
    const auto hello = transport.header<RequestHeader>();
    EXPECT_EQ(hello.request & ~(std::uint64_t{1} << 63), (start + 2) << 16);
    ReplyHeader reply;
    reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::hello) | wire::reply_bit;
    reply.request = hello.request;
    reply.argument = 77;
    hidden.on_message(message_of(reply), {});
    EXPECT_EQ(transport.header<RequestHeader>().request >> wire::slot_bits, start + 1);
    for (std::uint64_t number = 1; number < 5000; ++number) {
        reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::contains) | wire::reply_bit;
        reply.request = number;
        hidden.on_message(message_of(reply), {});
    }
    EXPECT_FALSE(hidden.done(operation));
    reply.request = operation;
    hidden.on_message(message_of(reply), {});
    EXPECT_TRUE(hidden.done(operation));
}

TEST_F(RequesterTest, AHelloOutlivesTheDeadlineOfItsOperation) {
    know(here);
    const auto hasty = begin(Verb::contains, 10ms);
    const auto waiting = begin(Verb::contains);
    now += 10ms;
    requester.tick(now);
    EXPECT_EQ(outcome(hasty), Errc::timeout);
    EXPECT_FALSE(requester.done(waiting));
    answer(0, 77);
    ASSERT_EQ(transport.sent.size(), 2u) << "only the one that still waits is sent";
    answer(1);
    EXPECT_EQ(outcome(waiting), Errc{});
}

TEST_F(RequesterTest, AsksASilentManagerBeforeItIsLost) {
    know(elsewhere);
    const auto operation = begin(Verb::contains);
    answer(0, 77);
    EXPECT_EQ(requester.tick(now), now + limits::silence_before_ping);
    now += limits::silence_before_ping;
    EXPECT_EQ(requester.tick(now), now + limits::silence_before_reconnect);
    EXPECT_EQ(last_verb(), Verb::ping);
    answer();
    now += limits::silence_before_ping;
    requester.tick(now);
    EXPECT_EQ(last_verb(), Verb::ping) << "it asks again";
    now += limits::silence_until_lost - limits::silence_before_ping;
    requester.tick(now);
    EXPECT_EQ(outcome(operation), Errc::manager_lost);
    EXPECT_TRUE(transport.open.empty());
}

TEST_F(RequesterTest, AProgramThatWasAwayAsksFirst) {
    know(elsewhere);
    const auto operation = begin(Verb::contains);
    answer(0, 77);
    now += 10s;  // between begin and wait the program did something else
    requester.tick(now);
    EXPECT_FALSE(requester.done(operation));
    EXPECT_EQ(last_verb(), Verb::ping);
}

TEST_F(RequesterTest, AManagerOfTheSameHostIsNeverCalledSilent) {
    know(here);
    const auto operation = begin(Verb::contains);
    answer(0, 77);
    now += 20s;
    requester.tick(now);
    EXPECT_FALSE(requester.done(operation));
    EXPECT_EQ(transport.sent.size(), 2u);
}

TEST_F(RequesterTest, ABodyOnItsWayStillCountsAsWaiting) {
    know(elsewhere);
    const auto operation = begin(Verb::get);
    answer(0, 77);
    announce_value(operation);
    ASSERT_EQ(transport.received.size(), 1u);
    now += limits::silence_before_ping;
    requester.tick(now);
    EXPECT_EQ(last_verb(), Verb::ping);
    now += limits::silence_until_lost;
    requester.tick(now);
    EXPECT_TRUE(transport.open.empty());
    EXPECT_FALSE(requester.done(operation)) << "the transport may still write into the sink";
    requester.on_payload_received(transport.received[0].tag, false);
    EXPECT_EQ(outcome(operation), Errc::manager_lost);
}

TEST_F(RequesterTest, ThePayloadsOfAnOldConnectionDoNotEndANewOne) {
    know(here);
    const auto put = begin(Verb::put, 10ms);
    answer(0, 77);
    now += 10ms;
    requester.tick(now);
    EXPECT_FALSE(requester.done(put)) << "the transport may still read the value";
    EXPECT_EQ(last_verb(), Verb::goodbye);
    EXPECT_TRUE(transport.open.empty());
    const auto next = begin(Verb::contains);
    EXPECT_EQ(last_verb(), Verb::hello);
    requester.tick(now + 1ms);
    EXPECT_EQ(transport.open.size(), 1u);
    answer(-1, 78);
    answer();
    EXPECT_EQ(outcome(next), Errc{});
    requester.on_payload_sent(transport.sent[1].tag, false);
    EXPECT_EQ(outcome(put), Errc::timeout);
}

/// The manager lives, and has the session: all that was not answered goes out again, as it was.
TEST_F(RequesterTest, AConnectionThatBreaksIsMadeAnewAndRequestsAreRepeated) {
    know(elsewhere);
    const auto pop = begin(Verb::pop);
    const auto get = begin(Verb::get);
    answer(0, 77);
    ASSERT_EQ(transport.sent.size(), 3u);
    requester.on_peer_lost(*transport.open.begin(), Error(Errc::manager_lost));
    requester.tick(now += limits::reconnect_interval);
    ASSERT_EQ(transport.sent.size(), 4u);
    EXPECT_EQ(last_verb(), Verb::hello);
    EXPECT_EQ(transport.header<RequestHeader>().session, 77u);
    answer(3, 77);
    ASSERT_EQ(transport.sent.size(), 6u);
    EXPECT_EQ(transport.sent[4].header, transport.sent[1].header);
    EXPECT_EQ(transport.sent[5].header, transport.sent[2].header);
    answer(4);
    answer(5);
    EXPECT_EQ(outcome(pop), Errc{});
    EXPECT_EQ(outcome(get), Errc{});
}

TEST_F(RequesterTest, AManagerThatHasForgottenTheSessionIsAskedOnlyWhatDoesNoHarm) {
    know(elsewhere);
    const auto pop = begin(Verb::pop);
    const auto get = begin(Verb::get);
    answer(0, 77);
    requester.on_peer_lost(*transport.open.begin(), Error(Errc::manager_lost));
    const auto late = begin(Verb::pop);
    requester.tick(now += limits::reconnect_interval);
    answer(-1, 78);
    EXPECT_EQ(outcome(pop), Errc::manager_lost) << "it may have been executed";
    ASSERT_EQ(transport.sent.size(), 6u);
    EXPECT_EQ(transport.header<RequestHeader>(4).request, get);
    EXPECT_EQ(transport.header<RequestHeader>(5).request, late) << "it was never sent before";
    answer(4);
    answer(5);
    EXPECT_EQ(outcome(get), Errc{});
    EXPECT_EQ(outcome(late), Errc{});
}

/// Whatever ends it and whatever the code: what was sent and not answered is in doubt, and nothing else.
TEST_F(RequesterTest, EveryChangeThatWasSentIsInDoubtWithEveryCode) {
    for (std::uint8_t number = 1; number <= wire::verb_last; ++number) {
        const auto verb = static_cast<Verb>(number);
        if (verb == Verb::hello || verb == Verb::goodbye) continue;
        for (const Errc code : {Errc::manager_lost, Errc::system, Errc::busy, Errc::not_attached}) {
            RecordingTransport wires;
            Requester asking(wires, {.dictionary_id = 1, .secret = {}, .ucx_version = 1});
            asking.add_manager(entry(here));
            const Request request = request_of(verb);
            const auto operation = asking.begin(request, now, now + 30s);
            const auto hello = wires.header<RequestHeader>(0);
            ReplyHeader welcome;
            welcome.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::hello) | wire::reply_bit;
            welcome.request = hello.request;
            welcome.argument = 77;
            asking.on_message(message_of(welcome), {});
            wires.refusal = Error(code, "refused");  // it cannot be made anew
            const auto unsent = [&] {
                asking.on_peer_lost(*wires.open.begin(), Error(Errc::manager_lost));
                return asking.begin(request, now, now + 30s);
            }();
            // One that is busy is asked again until the deadline.
            const auto until = now + (code == Errc::busy ? 31s : 1s);
            while (code != Errc::not_attached && now < until)
                asking.tick(now += 500ms);
            if (code == Errc::not_attached) asking.leave();
            const Result<Reply> sent_reply = asking.take(operation);
            const Result<Reply> unsent_reply = asking.take(unsent);
            ASSERT_TRUE(!sent_reply && !unsent_reply);
            EXPECT_EQ(sent_reply.error().code, code == Errc::busy ? Errc::timeout : code)
                << sent_reply.error().message();
            EXPECT_EQ(sent_reply.error().in_doubt, wire::is_change(verb)) << sent_reply.error().message();
            EXPECT_FALSE(unsent_reply.error().in_doubt) << unsent_reply.error().message();
        }
    }
}

class PopTest : public RequesterTest {
  protected:
    /// A pop, and its value, which cannot be received.
    void SetUp() override {
        know(here);
        ThrowingSink throwing;
        Request request = request_of(Verb::pop);
        request.sink = &throwing;
        operation = requester.begin(request, now, now + 30s);
        answer(0, 77);
        bring_value();
    }
    void bring_value() {
        ReplyHeader reply;
        reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::pop) | wire::reply_bit;
        reply.request = operation;
        reply.value_bytes = 1;
        requester.on_message(message_of(reply, bytes_of("x")), {});
    }
    void expect_out_of_memory(bool in_doubt) {
        ASSERT_TRUE(requester.done(operation));
        const Result<Reply> popped = requester.take(operation);
        ASSERT_FALSE(popped);
        EXPECT_EQ(popped.error().code, Errc::system);
        EXPECT_NE(popped.error().message().find("no memory"), std::string::npos) << popped.error().message();
        EXPECT_EQ(popped.error().in_doubt, in_doubt);
    }
    Requester::OperationId operation = 0;
};

TEST_F(PopTest, WithoutMemoryForTheValueHasItPutBack) {
    EXPECT_FALSE(requester.done(operation));
    const auto request = transport.header<RequestHeader>();
    EXPECT_EQ(request.verb, Verb::pop);
    EXPECT_EQ(request.flags, wire::pop_put_back);
    EXPECT_EQ(request.request, operation) << "its own slot still has the pair";
    bring_value();
    EXPECT_FALSE(requester.done(operation)) << "a second copy of the value is no answer";
    answer();
    expect_out_of_memory(false);
}

TEST_F(PopTest, IsInDoubtIfTheValueCannotBePutBack) {
    answer(-1, 0, static_cast<std::uint16_t>(Errc::not_found));
    expect_out_of_memory(true);
}

TEST_F(PopTest, IsInDoubtIfNobodySaysWhetherTheValueWasPutBack) {
    pass(40s);
    expect_out_of_memory(true);
}

TEST_F(RequesterTest, WhatAnOldConnectionCouldNotMoveIsAskedForAgain) {
    know(elsewhere);
    const auto operation = begin(Verb::get);
    answer(0, 77);
    const std::uint16_t untaken = static_cast<std::uint16_t>(Errc::system);
    requester.on_peer_lost(transport.sent.back().peer, Error(Errc::manager_lost));
    answer(1, 0, untaken);
    EXPECT_FALSE(requester.done(operation)) << "there is no connection now";
    pass(200ms);
    ASSERT_EQ(last_verb(), Verb::hello);
    answer(-1, 77);
    ASSERT_EQ(last_verb(), Verb::get);
    const std::size_t sent = transport.sent.size();
    answer(-1, 0, untaken);
    EXPECT_FALSE(requester.done(operation)) << "this may be of the old connection";
    EXPECT_EQ(transport.sent.size(), sent + 1);
    answer(-1, 0, untaken);
    EXPECT_EQ(outcome(operation), Errc::system);
}

/// At the root nothing has happened then, anywhere; elsewhere some have it.
TEST_F(RequesterTest, ABroadcastThatFailsElsewhereIsInDoubt) {
    know(here);
    for (const std::uint32_t failed : {0u, 5u}) {
        const Request request = request_of(Verb::broadcast_put);
        const auto operation = requester.begin(request, now, now + 30s);
        if (failed == 0) answer(0, 77);
        ReplyHeader reply;
        reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::broadcast_put) | wire::reply_bit;
        reply.request = operation;
        reply.status = static_cast<std::uint16_t>(Errc::no_space);
        reply.argument2 = failed;
        requester.on_message(message_of(reply), {});
        const Result<Reply> stored = requester.take(operation);
        ASSERT_FALSE(stored);
        EXPECT_EQ(stored.error().manager, failed);
        EXPECT_EQ(stored.error().in_doubt, failed != 0) << stored.error().message();
    }
}

TEST_F(RequesterTest, AWaitSaysWhetherItsManagerAnswered) {
    know(here);
    const auto wait = [&] {
        Request request = request_of(Verb::wait_for);
        request.argument = 100'000;
        return requester.begin(request, now, now + 100ms);
    };
    const auto answered = wait();
    answer(0, 77);
    now += 100ms;
    requester.tick(now);
    EXPECT_FALSE(requester.done(answered)) << "its answer may be on its way";
    answer(-1, 0, static_cast<std::uint16_t>(Errc::timeout));
    const Error no_key = requester.take(answered).error();
    EXPECT_EQ(no_key.code, Errc::timeout);
    EXPECT_EQ(no_key.manager_state, ManagerState::answered);
    EXPECT_NE(no_key.message().find("the key did not appear"), std::string::npos) << no_key.message();

    const auto silent = wait();
    now += 100ms;
    for (const Time until = now + limits::wait_grace_min; now <= until; now += 1ms)
        requester.tick(now);
    const Error no_word = requester.take(silent).error();
    EXPECT_EQ(no_word.code, Errc::timeout);
    EXPECT_EQ(no_word.manager_state, ManagerState::silent);
    EXPECT_NE(no_word.message().find("is not known"), std::string::npos) << no_word.message();
}

/// What is scheduled late may take another for silent that has had no processor either.
TEST_F(RequesterTest, TimeInWhichTheProcessWasAwayDoesNotMakeAManagerSilent) {
    know(here);
    const auto first = begin(Verb::contains);
    answer(0, 77);
    answer();
    ASSERT_EQ(outcome(first), Errc{});
    Request request = request_of(Verb::wait_for);
    request.argument = 100'000;
    const auto wait = requester.begin(request, now, now + 100ms);
    now += 100ms;
    for (int look = 0; look < 4; ++look) {
        now += 2 * limits::wait_grace_max;
        EXPECT_GT(requester.tick(now), now);
        ASSERT_FALSE(requester.done(wait)) << "look " << look;
    }
    answer(-1, 0, static_cast<std::uint16_t>(Errc::timeout));
    EXPECT_EQ(requester.take(wait).error().manager_state, ManagerState::answered);

    const auto silent = requester.begin(request, now, now + 100ms);
    for (int look = 0; look < 10 && !requester.done(silent); ++look)
        requester.tick(now += 2 * limits::wait_grace_max);
    ASSERT_TRUE(requester.done(silent)) << "bounded, however late it is looked at";
    EXPECT_EQ(requester.take(silent).error().manager_state, ManagerState::silent);
}

/// What stood in the way last is said, and what is this process's own trouble is not called the manager's.
TEST_F(RequesterTest, TheLastReasonIsNotThrownAway) {
    for (const Errc code : {Errc::manager_lost, Errc::system}) {
        RecordingTransport wires;
        Requester asking(wires, {.dictionary_id = 1, .secret = {}, .ucx_version = 1});
        asking.add_manager(entry(elsewhere));
        const auto operation = asking.begin(request_of(Verb::put), now, now + 30s);
        ReplyHeader welcome;
        welcome.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::hello) | wire::reply_bit;
        welcome.request = wires.header<RequestHeader>(0).request;
        welcome.argument = 77;
        asking.on_message(message_of(welcome), {});
        wires.refusal = Error(code, "no route to anywhere");
        asking.on_peer_lost(*wires.open.begin(), Error(Errc::manager_lost, "broken"));
        for (const Time until = now + 3s; !asking.done(operation) && now < until; now += 50ms)
            asking.tick(now);
        const Error error = asking.take(operation).error();
        EXPECT_EQ(error.code, code);
        EXPECT_NE(error.message().find("no route to anywhere"), std::string::npos) << error.message();
        EXPECT_TRUE(error.in_doubt);
    }
}

TEST_F(RequesterTest, AManagerThatDoesNotComeBackIsLostInTime) {
    know(elsewhere);
    const auto operation = begin(Verb::pop);
    answer(0, 77);
    const Time broke = now;
    requester.on_peer_lost(*transport.open.begin(), Error(Errc::manager_lost));
    Time next = requester.tick(now);
    for (; !requester.done(operation) && now < broke + 5s; next = requester.tick(now)) {
        ASSERT_GT(next, now);
        now = next;
    }
    EXPECT_EQ(outcome(operation), Errc::manager_lost);
    EXPECT_EQ(now, broke + limits::silence_until_lost);
    EXPECT_GT(transport.sent.size(), 5u) << "it has tried again and again";
}

TEST_F(RequesterTest, AValueThatComesTooLateIsATimeout) {
    know(here);
    const auto operation = begin(Verb::get, 10ms);
    answer(0, 77);
    announce_value(operation);
    now += 10ms;
    requester.tick(now);
    requester.on_payload_received(operation, false);
    EXPECT_EQ(outcome(operation), Errc::timeout);
}

TEST_F(RequesterTest, AHelloThatWasLostIsSentAgain) {
    know(elsewhere);
    const auto hasty = begin(Verb::contains, 10ms);
    now += 10ms;
    requester.tick(now);
    EXPECT_EQ(outcome(hasty), Errc::timeout);
    now += limits::silence_until_lost;
    begin(Verb::contains);
    EXPECT_EQ(transport.sent.size(), 2u);
    EXPECT_EQ(last_verb(), Verb::hello);
    EXPECT_EQ(transport.open.size(), 1u);
    EXPECT_GT(transport.header<RequestHeader>(1).request, transport.header<RequestHeader>(0).request);
}

TEST_F(RequesterTest, RejectsWhatIsNoReply) {
    know(here);
    const auto operation = begin(Verb::contains);
    answer(0, 77);
    ReplyHeader good;
    good.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::contains) | wire::reply_bit;
    good.request = operation;
    std::vector<ReplyHeader> bad(6, good);
    ++bad[0].version;
    bad[1].verb_and_reply_bit = static_cast<std::uint8_t>(Verb::contains);
    bad[2].verb_and_reply_bit = static_cast<std::uint8_t>(Verb::get) | wire::reply_bit;
    bad[3].flags = 1;
    bad[4].status = errc_last + 1;
    bad[5].value_bytes = limits::value_bytes_max + 1;
    for (const ReplyHeader& header : bad)
        requester.on_message(message_of(header), {.in_memory = {}, .token = 9, .bytes = 5000});
    EXPECT_EQ(requester.rejected_messages(), bad.size());
    EXPECT_EQ(transport.discarded.size(), bad.size());
    EXPECT_FALSE(requester.done(operation));
    requester.on_message(message_of(good), {});
    EXPECT_EQ(outcome(operation), Errc{});
}

TEST_F(RequesterTest, ASinkThatThrowsFailsItsOwnCallAndNothingElse) {
    know(here);
    ThrowingSink throwing;
    Request request;
    request.verb = Verb::get;
    request.key = bytes_of("k");
    request.sink = &throwing;
    const auto operation = requester.begin(request, now, now + 30s);
    answer(0, 77);
    ReplyHeader reply;
    reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::get) | wire::reply_bit;
    reply.request = transport.header<RequestHeader>(1).request;
    reply.value_bytes = 1 << 20;
    requester.on_message(message_of(reply), {.in_memory = {}, .token = 5, .bytes = 1 << 20});
    EXPECT_EQ(outcome(operation), Errc::system);
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{5});
    requester.leave();
    EXPECT_TRUE(transport.open.empty());
}

}  // namespace
}  // namespace ddict
