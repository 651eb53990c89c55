// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A requester and a manager that is slow to answer.
#include "tests/rpc/requester_fixture.h"

namespace ddict {
namespace {

/// Each attempt costs the manager, and the next one throws its result away.
TEST_F(RequesterTest, AManagerThatIsSlowToSayHelloGetsMoreAndMoreTime) {
    know(elsewhere);
    const auto operation = begin(Verb::contains);
    requester.tick(now);
    for (const auto hello_timeout : {300ms, 600ms}) {
        const std::size_t sent = transport.sent.size();
        pass(hello_timeout - 1ms);
        EXPECT_EQ(transport.sent.size(), sent) << hello_timeout.count();
        pass(1ms);
        EXPECT_EQ(transport.sent.size(), sent + 1) << hello_timeout.count();
        EXPECT_EQ(last_verb(), Verb::hello);
    }
    pass(800ms);
    answer(-1, 77);
    answer();
    EXPECT_EQ(outcome(operation), Errc{});
}

TEST_F(RequesterTest, AManagerThatWasHeardIsNotLost) {
    know(elsewhere);
    const auto operation = begin(Verb::contains);
    requester.tick(now);
    pass(300ms);
    pass(600ms);
    ASSERT_EQ(transport.sent.size(), 3U);
    pass(800ms);
    answer(0, 76);  // the hello that was given up first
    pass(1'000ms);
    EXPECT_FALSE(requester.done(operation));
    answer(-1, 77);
    answer();
    EXPECT_EQ(outcome(operation), Errc{});
}

/// It was stopped, and answers a ping through the connection that was given up meanwhile.
TEST_F(RequesterTest, AManagerThatAnswersAPingTooLateIsNotLost) {
    know(elsewhere);
    const auto operation = begin(Verb::contains);
    answer(0, 77);
    pass(limits::silence_before_ping);
    ASSERT_EQ(last_verb(), Verb::ping);
    const auto ping = static_cast<int>(transport.sent.size()) - 1;
    pass(limits::silence_before_reconnect);
    pass(100ms);
    ASSERT_EQ(last_verb(), Verb::hello);
    answer(ping);
    pass(1'000ms);
    EXPECT_FALSE(requester.done(operation));
    answer(-1, 77);
    answer();
    EXPECT_EQ(outcome(operation), Errc{});
}

TEST_F(RequesterTest, AnAnswerToWhatWasNeverAskedIsNoSignOfLife) {
    know(elsewhere);
    const auto operation = begin(Verb::contains);
    requester.tick(now);
    pass(1'000ms);
    ReplyHeader reply;
    reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::hello) | wire::reply_bit;
    reply.request = transport.header<RequestHeader>().request + (std::uint64_t{1} << 30);
    requester.on_message(message_of(reply), {});
    reply.request = transport.header<RequestHeader>(0).request - (std::uint64_t{1} << 30);
    requester.on_message(message_of(reply), {});
    pass(900ms);
    EXPECT_EQ(outcome(operation), Errc::manager_lost);
}

/// Without descriptors for more clients, say.
TEST_F(RequesterTest, AManagerThatLivesAndRefusesIsAskedAgainUntilTheDeadline) {
    know(here);
    const Error refusal(Errc::busy, "it takes no more connections");
    const auto operation = begin(Verb::put, 10s);
    const auto later = begin(Verb::contains, 30s);
    unsigned refusals = 0;
    for (int i = 0; i < 20; ++i) {
        requester.tick(now);
        if (const PeerId peer = transport.sent.back().peer; transport.open.erase(peer) != 0) {
            ++refusals;
            requester.on_peer_lost(peer, refusal);
        }
        pass(500ms);
    }
    ASSERT_TRUE(requester.done(operation));
    const Result<Reply> reply = requester.take(operation);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Errc::busy);
    EXPECT_FALSE(reply.error().in_doubt);
    EXPECT_NE(std::string(reply.error().detail.data()).find("it takes no more connections"),
              std::string::npos)
        << reply.error().message();
    EXPECT_EQ(refusals, 20U);
    EXPECT_FALSE(requester.done(later));
    requester.tick(now);
    answer();  // to the hello
    answer();
    EXPECT_EQ(outcome(later), Errc{});
}

/// The same, where connecting says so at once.
TEST_F(RequesterTest, AManagerThatCannotBeConnectedToForNowIsNotLost) {
    know(here);
    transport.refusal = Error(Errc::busy, "too many are connecting");
    const auto operation = begin(Verb::contains);
    pass(5s);
    EXPECT_FALSE(requester.done(operation));
    transport.refusal.reset();
    pass(500ms);
    answer();
    answer();
    EXPECT_EQ(outcome(operation), Errc{});
}

/// Of several networks the wrong one may have been taken.
TEST_F(RequesterTest, AManagerThatNeverAnswersIsSaidToBeLostOverWhichNetwork) {
    know(elsewhere);
    const auto operation = begin(Verb::contains);
    pass(limits::silence_until_lost + 100ms);
    ASSERT_TRUE(requester.done(operation));
    const Result<Reply> reply = requester.take(operation);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Errc::manager_lost);
    const std::string why = reply.error().detail.data();
    EXPECT_NE(why.find("over record: "), std::string::npos) << why;
    EXPECT_NE(why.find("UCX_NET_DEVICES"), std::string::npos) << why;
    EXPECT_EQ(why.find("..."), std::string::npos) << why;
}

}  // namespace
}  // namespace ddict
