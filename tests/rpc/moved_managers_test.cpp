// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Another process takes the place of a manager, or nobody does: what a requester does then.
#include <algorithm>

#include "tests/rpc/requester_fixture.h"

namespace ddict {
namespace {

TEST_F(RequesterTest, WhatWaitsForAManagerThatMovedGoesOnThere) {
    know(here);
    const auto operation = begin(Verb::fetch_add);
    answer(0, 77);
    ASSERT_EQ(last_verb(), Verb::fetch_add);
    DirectoryEntry moved = entry(here);
    moved.address.assign(8, std::byte{2});
    requester.add_manager(moved);
    EXPECT_EQ(last_verb(), Verb::fetch_add) << "of the same epoch, which is nothing new";
    moved.epoch = Epoch{2};
    requester.add_manager(moved);
    EXPECT_EQ(last_verb(), Verb::hello);
    EXPECT_EQ(transport.header<RequestHeader>().session, 77u) << "it names its session";
    answer(-1, 77);
    EXPECT_EQ(last_verb(), Verb::fetch_add);
    EXPECT_EQ(transport.header<RequestHeader>().request, operation) << "sent again, with its number";
    answer();
    EXPECT_EQ(outcome(operation), Errc{});
}

TEST_F(RequesterTest, WhatIsInDoubtIsSaidWhenTheNewProcessKnowsNoSession) {
    know(here);
    const auto operation = begin(Verb::fetch_add);
    answer(0, 77);
    DirectoryEntry moved = entry(here);
    moved.address.assign(8, std::byte{2});
    moved.epoch = Epoch{2};
    requester.add_manager(moved);
    answer(-1, 78);
    ASSERT_TRUE(requester.done(operation));
    const Result<Reply> reply = requester.take(operation);
    EXPECT_EQ(reply.error().code, Errc::manager_lost);
    EXPECT_TRUE(reply.error().in_doubt);
}

/// What the test lets the process know.
class Knowing final : public Whereabouts {
  public:
    std::optional<DirectoryEntry> look_up(ShardId) override { return here; }
    void learn(const DirectoryEntry& entry) override { learned.push_back(entry); }
    std::optional<DirectoryEntry> someone_else(ShardId, unsigned) override { return other; }
    std::optional<bool> has_node_launcher() override { return node_launcher; }
    std::optional<DirectoryEntry> here;
    std::optional<DirectoryEntry> other;
    std::optional<bool> node_launcher = true;
    std::vector<DirectoryEntry> learned;
};

class AskingTest : public RequesterTest {
  protected:
    Requester::OperationId start(std::uint32_t shard = 0) {
        Request request = request_of(Verb::contains);
        request.shard = ShardId{shard};
        return asking.begin(request, now, now + 30s);
    }
    void hello_answered(std::uint64_t session) {
        const auto request = transport.header<RequestHeader>();
        ASSERT_EQ(request.verb, Verb::hello);
        ReplyHeader reply;
        reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::hello) | wire::reply_bit;
        reply.request = request.request;
        reply.argument = session;
        asking.on_message(message_of(reply), {});
    }
    Knowing knowing;
    Requester asking{transport, {.dictionary_id = 1, .secret = {}, .ucx_version = 1}, nullptr, &knowing};
};

TEST_F(AskingTest, ARestartIsWaitedForAndALossIsTold) {
    DirectoryEntry entry_now = entry(here);
    asking.add_manager(entry_now);
    const auto operation = start();
    hello_answered(77);
    entry_now.epoch = Epoch{2};
    entry_now.state = ServingState::restarting;
    knowing.here = entry_now;
    const std::size_t sent = transport.sent.size();
    asking.on_peer_lost(transport.sent.back().peer, Error(Errc::manager_lost, "it has ended"));
    for (int i = 0; i < 1000; ++i)
        asking.tick(now += 5ms);
    EXPECT_FALSE(asking.done(operation));
    EXPECT_EQ(transport.sent.size(), sent) << "there is nobody to talk to";
    entry_now.epoch = Epoch{3};
    entry_now.state = ServingState::lost;
    entry_now.reason = "was killed three times";
    knowing.here = entry_now;
    asking.tick(now += 5ms);
    ASSERT_TRUE(asking.done(operation));
    const Result<Reply> reply = asking.take(operation);
    EXPECT_EQ(reply.error().code, Errc::manager_lost);
    EXPECT_NE(reply.error().message().find("killed three times"), std::string::npos);
}

TEST_F(AskingTest, ARestartIsNotWaitedForForEver) {
    DirectoryEntry restarting = entry(here);
    restarting.epoch = Epoch{2};
    restarting.state = ServingState::restarting;
    asking.add_manager(restarting);
    Request request = request_of(Verb::contains);
    const auto operation = asking.begin(request, now, now + 1h);
    for (const Time end = now + limits::restart_time_max; now < end;) {
        EXPECT_FALSE(asking.done(operation));
        asking.tick(now += 100ms);
    }
    asking.tick(now += 100ms);
    ASSERT_TRUE(asking.done(operation));
    EXPECT_EQ(asking.take(operation).error().code, Errc::manager_lost);
    const auto next = asking.begin(request, now, now + 1h);
    EXPECT_TRUE(asking.done(next)) << "the next call does not wait for the same again";
    EXPECT_EQ(asking.take(next).error().code, Errc::manager_lost);
}

/// Another process may be about to take its place; but only the kernel or the directory knows of an end.
TEST_F(AskingTest, WhatIsNotKnownToHaveEndedIsAwaitedAndNotCalledSo) {
    knowing.node_launcher = std::nullopt;
    DirectoryEntry restartable = entry(here);
    restartable.is_restartable = true;
    asking.add_manager(restartable);
    const auto operation = start();
    hello_answered(77);
    transport.refusal = Error(Errc::manager_lost, "hung up");
    asking.on_peer_lost(transport.sent.back().peer, Error(Errc::manager_lost, "hung up"));
    const Time broke = now;
    for (const Time until = now + 10s; now < until && !asking.done(operation); now += 50ms)
        asking.tick(now);
    ASSERT_TRUE(asking.done(operation));
    EXPECT_GE(now, broke + limits::restart_announced_max);
    const Error error = asking.take(operation).error();
    EXPECT_EQ(error.code, Errc::manager_lost);
    EXPECT_NE(error.manager_state, ManagerState::ended) << error.message();
    EXPECT_NE(error.message().find("hung up"), std::string::npos) << error.message();
}

/// One that is held up says later what becomes of its manager. Only of one that has ended nothing comes.
TEST_F(AskingTest, ANodeLauncherThatLivesIsWaitedFor) {
    DirectoryEntry ended = entry(here);
    ended.is_restartable = true;
    asking.add_manager(ended);
    transport.refusal = Error(Errc::manager_lost, "nobody listens").set_state(ManagerState::ended);
    const auto waits = [&](Requester::OperationId operation, std::chrono::milliseconds time) {
        for (const Time until = now + time; now < until && !asking.done(operation); now += 50ms)
            asking.tick(now);
        return !asking.done(operation);
    };
    const auto overdue = asking.begin(request_of(Verb::contains), now, now + 3s);
    EXPECT_TRUE(waits(overdue, 2900ms));
    EXPECT_FALSE(waits(overdue, 200ms));
    const Error late = asking.take(overdue).error();
    EXPECT_EQ(late.code, Errc::timeout);
    EXPECT_NE(late.message().find("has not said yet"), std::string::npos) << late.message();

    const auto back = asking.begin(request_of(Verb::contains), now, now + 30s);
    EXPECT_TRUE(waits(back, 5s));
    DirectoryEntry restarted = ended;
    restarted.epoch = Epoch{3};
    knowing.here = restarted;
    transport.refusal.reset();
    EXPECT_TRUE(waits(back, 100ms));
    hello_answered(77);
    ReplyHeader reply;
    reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::contains) | wire::reply_bit;
    reply.request = back;
    asking.on_message(message_of(reply), {});
    EXPECT_TRUE(asking.done(back));

    restarted.epoch = Epoch{4};
    restarted.address.assign(8, std::byte{4});
    knowing.here = restarted;
    transport.refusal = Error(Errc::manager_lost, "nobody listens").set_state(ManagerState::ended);
    asking.add_manager(restarted);
    const auto gone = asking.begin(request_of(Verb::contains), now, now + 30s);
    EXPECT_TRUE(waits(gone, 3s));
    knowing.node_launcher = false;
    EXPECT_FALSE(waits(gone, 1100ms)) << "there is nobody left who could start another";
    EXPECT_EQ(asking.take(gone).error().manager_state, ManagerState::ended);
}

/// But not for ever.
TEST_F(AskingTest, ANodeLauncherThatSaysNothingIsNotCalledAnEnd) {
    DirectoryEntry ended = entry(here);
    ended.is_restartable = true;
    asking.add_manager(ended);
    transport.refusal = Error(Errc::manager_lost, "nobody listens").set_state(ManagerState::ended);
    const auto operation = asking.begin(request_of(Verb::contains), now, now + 1h);
    for (const Time until = now + limits::restart_time_max + 2s; now < until && !asking.done(operation);
         now += 50ms)
        asking.tick(now);
    ASSERT_TRUE(asking.done(operation));
    const Error error = asking.take(operation).error();
    EXPECT_EQ(error.code, Errc::manager_lost);
    EXPECT_EQ(error.manager_state, ManagerState::silent) << error.message();
    const auto next = asking.begin(request_of(Verb::contains), now, now + 1h);
    EXPECT_TRUE(asking.done(next)) << "the next call does not wait for the same again";
}

/// Of a manager on another host others are asked; only the answer to a question counts.
TEST_F(AskingTest, OthersAreAskedWhereAManagerIs) {
    DirectoryEntry restartable = entry(elsewhere);
    restartable.is_restartable = true;
    asking.add_manager(restartable);
    const auto operation = start();
    hello_answered(77);
    knowing.other = entry(elsewhere);
    knowing.other->shard = ShardId{1};
    knowing.other->address.assign(8, std::byte{9});
    asking.on_peer_lost(transport.sent.back().peer, Error(Errc::manager_lost, "it has ended"));
    const auto sent_directory = [&] {
        for (const auto& sent : transport.sent) {
            RequestHeader header;
            std::memcpy(&header, sent.header.data(), sizeof header);
            if (header.verb == Verb::directory) return std::optional(header);
        }
        return std::optional<RequestHeader>();
    };
    for (int i = 0; i < 8 && !sent_directory(); ++i) {
        asking.tick(now += 25ms);
        const auto last = transport.header<RequestHeader>();
        // The manager of shard 1, by the lowest bits of the number.
        if (last.verb == Verb::hello && (last.request & 0xffff) == 1) hello_answered(88);
    }
    const std::optional<RequestHeader> question = sent_directory();
    ASSERT_TRUE(question);
    EXPECT_EQ(question->argument, 0u);
    EXPECT_EQ(question->flags, wire::directory_of_one);
    EXPECT_EQ(question->session, 88u);
    DirectoryEntry moved = entry(elsewhere);
    moved.epoch = Epoch{2};
    moved.address.assign(8, std::byte{2});
    std::vector<std::byte> packed;
    pack(moved, packed);
    ReplyHeader reply;
    reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::directory) | wire::reply_bit;
    reply.value_bytes = packed.size();
    const auto answer_with = [&](std::uint64_t number) {
        reply.request = number;
        std::vector<std::byte> message = message_of(reply);
        message.insert(message.end(), packed.begin(), packed.end());
        asking.on_message(message, {});
    };
    answer_with(question->request + (std::uint64_t{1} << 16));
    EXPECT_TRUE(knowing.learned.empty()) << "nobody has asked that";
    answer_with(question->request);
    ASSERT_EQ(knowing.learned.size(), 1u);
    EXPECT_EQ(asking.known_manager(ShardId{0})->address, moved.address);
    EXPECT_EQ(last_verb(), Verb::hello);
    EXPECT_EQ(transport.header<RequestHeader>().session, 77u);
    EXPECT_FALSE(asking.done(operation));
}

/// As one that has begun while its cable was out, and has made way for another since: whatever the transport
/// says of it. Each call gives others the time to tell, or one now and then does.
TEST_F(AskingTest, OneToWhichNoConnectionCanBeMadeMayBeElsewhere) {
    knowing.other = entry(elsewhere);
    knowing.other->shard = ShardId{1};
    knowing.other->address.assign(8, std::byte{9});
    asking.add_manager(*knowing.other);
    ReplyHeader reply;
    reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::contains) | wire::reply_bit;
    reply.request = start(1);
    hello_answered(88);
    asking.on_message(message_of(reply), {});
    DirectoryEntry unreachable = entry(elsewhere);
    unreachable.is_restartable = true;
    asking.add_manager(unreachable);
    transport.refusal = Error(Errc::manager_lost, "Destination is unreachable");
    for (int calls = 0; calls < 5; ++calls, now += limits::lost_probe_interval) {
        const std::size_t before = transport.sent.size();
        const auto operation = start();
        EXPECT_FALSE(asking.done(operation)) << calls;
        for (const Time until = now + 2s; now < until && !asking.done(operation); now += 20ms)
            asking.tick(now);
        EXPECT_EQ(asking.take(operation).error().code, Errc::manager_lost);
        EXPECT_GT(transport.sent.size(), before) << "nobody was asked by call " << calls;
        EXPECT_EQ(last_verb(), Verb::directory);
        const auto hasty = start();
        asking.tick(now += 20ms);
        ASSERT_TRUE(asking.done(hasty)) << "only now and then";
        EXPECT_EQ(asking.take(hasty).error().code, Errc::manager_lost);
    }
}

}  // namespace
}  // namespace ddict
