// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A client that leaves: what is under way, and the goodbye.
#include "tests/rpc/requester_fixture.h"

namespace ddict {
namespace {

TEST_F(RequesterTest, LeavingSaysGoodbyeAndCloses) {
    know(here);
    const auto operation = begin(Verb::contains);
    answer(0, 77);
    answer();
    EXPECT_EQ(outcome(operation), Errc{});
    requester.leave();
    EXPECT_EQ(last_verb(), Verb::goodbye);
    EXPECT_EQ(transport.header<RequestHeader>().session, 77u);
    EXPECT_TRUE(transport.open.empty());
}

TEST_F(RequesterTest, LeavingGivesUpWhatIsUnderWayAndStillSaysGoodbye) {
    know(here);
    const auto put = begin(Verb::put);
    const auto other_put = begin(Verb::put);
    const auto get = begin(Verb::get);
    answer(0, 77);
    requester.leave();
    EXPECT_EQ(last_verb(), Verb::goodbye);
    EXPECT_EQ(transport.header<RequestHeader>().session, 77u);
    EXPECT_TRUE(transport.open.empty());
    EXPECT_EQ(outcome(get), Errc::not_attached);
    EXPECT_FALSE(requester.done(put)) << "the transport may still read the value";
    requester.on_payload_sent(transport.sent[1].tag, false);
    requester.on_payload_sent(transport.sent[2].tag, false);
    EXPECT_EQ(outcome(put), Errc::not_attached);
    const Result<Reply> reply = requester.take(other_put);
    ASSERT_FALSE(reply);
    EXPECT_TRUE(reply.error().in_doubt);
    EXPECT_EQ(last_verb(), Verb::goodbye) << "nothing is sent any more";
}

TEST_F(RequesterTest, LeavingWhileAValueArrivesGivesItUp) {
    know(here);
    const auto get = begin(Verb::get);
    answer(0, 77);
    announce_value(get);
    requester.leave();
    EXPECT_EQ(last_verb(), Verb::goodbye);
    EXPECT_FALSE(requester.done(get)) << "the transport may still write into the sink";
    requester.on_payload_received(transport.received.at(0).tag, false);
    EXPECT_EQ(outcome(get), Errc::not_attached);
}

/// Its session's number is not known: the goodbye says who leaves.
TEST_F(RequesterTest, LeavingBeforeTheHelloIsAnswered) {
    know(here);
    const auto operation = begin(Verb::contains);
    requester.leave();
    ASSERT_EQ(transport.sent.size(), 2u);
    const auto hello = transport.header<RequestHeader>(0);
    const auto goodbye = transport.header<RequestHeader>(1);
    EXPECT_EQ(goodbye.verb, Verb::goodbye);
    EXPECT_EQ(goodbye.session, 0u);
    EXPECT_GT(goodbye.request, hello.request);
    wire::Hello hello_value;
    wire::Hello left;
    ASSERT_TRUE(wire::unpack(Bytes(transport.sent[0].header).subspan(sizeof hello), hello_value));
    ASSERT_TRUE(wire::unpack(Bytes(transport.sent[1].header).subspan(sizeof goodbye), left));
    EXPECT_EQ(left.proof, wire::proof_of({}, goodbye, left)) << "a hello's proof would not do";
    EXPECT_NE(left.proof, hello_value.proof);
    EXPECT_EQ(left.dictionary_id, hello_value.dictionary_id);
    EXPECT_EQ(left.process.host_key, hello_value.process.host_key);
    EXPECT_TRUE(std::ranges::equal(left.address, hello_value.address));
    EXPECT_TRUE(transport.open.empty());
    EXPECT_EQ(outcome(operation), Errc::not_attached);
}

TEST_F(RequesterTest, LeavingWithABrokenConnectionMakesOneForTheGoodbye) {
    know(elsewhere);
    const auto operation = begin(Verb::contains);
    answer(0, 77);
    requester.on_peer_lost(*transport.open.begin(), Error(Errc::manager_lost));
    transport.open.clear();
    requester.leave();
    EXPECT_EQ(last_verb(), Verb::goodbye);
    EXPECT_GT(transport.header<RequestHeader>().value_bytes, 0u);
    EXPECT_NE(transport.sent.back().peer, transport.sent.front().peer);
    EXPECT_TRUE(transport.open.empty());
    EXPECT_EQ(outcome(operation), Errc::not_attached);
    const std::size_t sent = transport.sent.size();
    requester.leave();
    EXPECT_EQ(transport.sent.size(), sent) << "once";
}

}  // namespace
}  // namespace ddict
