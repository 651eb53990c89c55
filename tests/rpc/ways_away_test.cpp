// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A manager of another host that this process reaches through one of its own host only: the way may be away,
// or a refusal may come over it, and neither says that the manager is lost.
#include "tests/rpc/requester_fixture.h"

namespace ddict {
namespace {

class Ways final : public Whereabouts {
  public:
    std::optional<DirectoryEntry> look_up(ShardId) override { return std::nullopt; }
    void learn(const DirectoryEntry&) override {}
    std::optional<DirectoryEntry> someone_else(ShardId, unsigned) override { return std::nullopt; }
    std::optional<bool> has_node_launcher() override { return true; }
    bool way_is_restarted() override { return is_restarted; }
    bool is_restarted = false;
};

class WaysAwayTest : public RequesterTest {
  protected:
    Requester::OperationId start(std::chrono::milliseconds timeout = 30s) {
        return asking.begin(request_of(Verb::contains), now, now + timeout);
    }
    void go_on_for(std::chrono::milliseconds time) {
        for (; time > 0ms; time -= 100ms)
            asking.tick(now += std::min(time, 100ms));
    }
    /// Answers what was sent last.
    void reply() {
        const auto request = transport.header<RequestHeader>();
        ReplyHeader reply;
        reply.verb_and_reply_bit = static_cast<std::uint8_t>(request.verb) | wire::reply_bit;
        reply.request = request.request;
        reply.argument = request.verb == Verb::hello ? 77 : 0;
        asking.on_message(message_of(reply), {});
    }
    Errc end_of(Requester::OperationId id) {
        EXPECT_TRUE(asking.done(id));
        const Result<Reply> reply = asking.take(id);
        return reply ? Errc{} : reply.error().code;
    }

    const Error away = Error(Errc::manager_lost, "no manager of this node can be reached")
                           .set_state(ManagerState::unreachable);
    Ways ways;
    LostManagers lost;
    Requester asking{transport, {.dictionary_id = 1, .secret = {}, .ucx_version = 1}, &lost, &ways};
};

TEST_F(WaysAwayTest, AManagerIsThereAsSoonAsTheWayIs) {
    asking.add_manager(entry(elsewhere));
    transport.refusal = away;
    const auto cut_off = start();
    go_on_for(limits::silence_until_lost - 100ms);
    EXPECT_FALSE(asking.done(cut_off)) << "the way may come back";
    go_on_for(200ms);
    EXPECT_EQ(end_of(cut_off), Errc::manager_lost);
    EXPECT_FALSE(lost.any()) << "nothing is known against the manager";
    const auto meanwhile = start();
    EXPECT_EQ(end_of(meanwhile), Errc::manager_lost) << "the way was waited for once";
    transport.refusal.reset();
    const auto later = start();
    ASSERT_FALSE(asking.done(later));
    ASSERT_EQ(last_verb(), Verb::hello);
    reply();
    reply();
    EXPECT_EQ(end_of(later), Errc{});
}

TEST_F(WaysAwayTest, AWayThatIsStartedAgainIsWaitedFor) {
    asking.add_manager(entry(elsewhere));
    transport.refusal = away;
    ways.is_restarted = true;
    const auto waits_long = start();
    const auto hasty = start(3s);
    go_on_for(10s);
    EXPECT_EQ(end_of(hasty), Errc::timeout);
    EXPECT_FALSE(asking.done(waits_long));
    transport.refusal.reset();
    go_on_for(limits::reconnect_interval);
    ASSERT_EQ(last_verb(), Verb::hello);
    reply();
    reply();
    EXPECT_EQ(end_of(waits_long), Errc{});
}

TEST_F(WaysAwayTest, AWayThatDoesNotComeBackIsWaitedForNoLonger) {
    asking.add_manager(entry(elsewhere));
    transport.refusal = away;
    ways.is_restarted = true;
    const auto operation = start();
    go_on_for(10s);
    ASSERT_FALSE(asking.done(operation));
    ways.is_restarted = false;
    go_on_for(limits::silence_until_lost + 100ms);
    EXPECT_EQ(end_of(operation), Errc::manager_lost);
}

/// What was known of a manager stays known, and no longer than it would.
TEST_F(WaysAwayTest, AWayThatIsAwayDoesNotProveALossAnew) {
    asking.add_manager(entry(elsewhere));
    const auto silent = start();
    go_on_for(limits::silence_until_lost + 100ms);
    EXPECT_EQ(end_of(silent), Errc::manager_lost);
    ASSERT_TRUE(lost.any());
    transport.refusal = away;
    const Time until = now + limits::lost_remembered + 1s;
    while (now < until) {
        const auto again = start();
        go_on_for(limits::lost_probe_timeout + 100ms);
        EXPECT_EQ(end_of(again), Errc::manager_lost);
    }
    EXPECT_FALSE(lost.is_lost(ShardId{0}, now));
}

/// It comes through a tunnel, whose end has too many: the manager lives, and is on the other host still.
TEST_F(WaysAwayTest, ARefusalByAManagerOfAnotherHostDoesNotMakeItOneOfThisHost) {
    asking.add_manager(entry(elsewhere));
    const auto operation = start();
    for (int i = 0; i < 50; ++i) {
        asking.on_peer_lost(transport.sent.back().peer, Error(Errc::busy, "it has too many tunnels"));
        go_on_for(limits::reconnect_interval);
        ASSERT_EQ(last_verb(), Verb::hello);
    }
    EXPECT_FALSE(asking.done(operation)) << "it lives";
    asking.on_peer_lost(transport.sent.back().peer, Error(Errc::busy, "it has too many tunnels"));
    transport.refusal = away;
    go_on_for(1s);
    EXPECT_FALSE(asking.done(operation)) << "the way may come back";
    transport.refusal.reset();
    go_on_for(limits::reconnect_interval);
    ASSERT_EQ(last_verb(), Verb::hello);
    go_on_for(limits::silence_until_lost + 100ms);
    EXPECT_EQ(end_of(operation), Errc::manager_lost) << "silence of another host is a loss";
}

}  // namespace
}  // namespace ddict
