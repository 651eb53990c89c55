// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A requester in a process whose memory is used up for a while: what it cannot do it says, and it stays
// whole.
#include "tests/rpc/failing_memory.h"
#include "tests/rpc/requester_fixture.h"

namespace ddict {
namespace {

class OutOfMemoryTest : public RequesterTest, public testing::WithParamInterface<Verb> {
  protected:
    /// Begins operations of which one meets the end of memory at its `allocations`th allocation, and takes
    /// all of them. False if none met it.
    bool survives(long allocations, std::size_t operations) {
        std::vector<Requester::OperationId> begun;
        begun.reserve(operations);
        bool met = false;
        allocations_left = allocations;
        for (std::size_t i = 0; i < operations; ++i) {
            try {
                begun.push_back(begin(GetParam()));
            } catch (const std::bad_alloc&) {
                met = true;  // nothing has begun
            }
        }
        met = met || allocations_left < 0;
        allocations_left = -1;
        for (const Requester::OperationId id : begun) {
            if (!requester.done(id)) requester.give_up(id);
            if (!requester.done(id)) requester.on_payload_sent(id, false);
            EXPECT_TRUE(requester.done(id));
            const Result<Reply> reply = requester.take(id);
            EXPECT_FALSE(reply);
            if (!reply && reply.error().code == Errc::system) {
                EXPECT_EQ(reply.error().message().find("no memory"),
                          reply.error().message().rfind("no memory"));
                EXPECT_FALSE(reply.error().in_doubt) << reply.error().message();
            }
        }
        return met;
    }
};

TEST_P(OutOfMemoryTest, LosesNothingWhileItConnects) {
    bool met = true;
    long allocations = 0;
    for (; met && allocations < 1'000; ++allocations) {
        know(elsewhere);
        met = survives(allocations, 3);
    }
    EXPECT_FALSE(met) << "allocations never succeeded";
    EXPECT_GT(allocations, 3);
}

TEST_P(OutOfMemoryTest, LosesNothingOnceItIsConnected) {
    know(elsewhere);
    const auto first = begin(Verb::contains);
    answer(0, 77);
    answer();
    ASSERT_EQ(outcome(first), Errc{});
    for (long allocations = 0; allocations < 200; ++allocations)
        survives(allocations, 40);
    know(elsewhere);
    const auto last = begin(Verb::contains);
    answer(-1, 77);
    answer();
    EXPECT_EQ(outcome(last), Errc{}) << "it works on";
}

TEST_F(RequesterTest, WithoutMemoryForATransferTheValueIsRefusedAndNothingElse) {
    know(here);
    const auto get = begin(Verb::get);
    answer(0, 77);
    sink.buffer.reserve(8192);
    allocations_left = 1;  // of the message
    announce_value(get);
    allocations_left = -1;
    ASSERT_TRUE(requester.done(get));
    const Result<Reply> reply = requester.take(get);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, Errc::system);
    EXPECT_NE(reply.error().message().find("no memory"), std::string::npos) << reply.error().message();
    EXPECT_TRUE(transport.received.empty());
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{9});
    const auto next = begin(Verb::contains);
    answer();
    EXPECT_EQ(outcome(next), Errc{});
}

/// The transport has had no memory for it, and says so with the message.
TEST_F(RequesterTest, AValueThatTheTransportHasRefusedEndsItsCallAtOnce) {
    know(here);
    const auto get = begin(Verb::get);
    answer(0, 77);
    ReplyHeader reply;
    reply.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::get) | wire::reply_bit;
    reply.request = get;
    reply.value_bytes = 5000;
    requester.on_message(message_of(reply), {.in_memory = {}, .token = 0, .bytes = 5000});
    ASSERT_TRUE(requester.done(get));
    const Result<Reply> outcome = requester.take(get);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::system);
    EXPECT_NE(outcome.error().message().find("no memory is left to receive the value of 5000 bytes"),
              std::string::npos)
        << outcome.error().message();
}

TEST_F(RequesterTest, WhatTheManagerCannotReceiveFailsInWordsAndIsNotInDoubt) {
    const std::pair<wire::ValueFailure, const char*> cases[] = {
        {wire::ValueFailure::no_memory_to_receive, "the manager's process has no memory left to receive"},
        {wire::ValueFailure::cannot_be_received, "the manager could not copy the value"},
        {wire::ValueFailure::no_memory_to_send, "the manager's process has no memory left to send"},
        {wire::ValueFailure::not_taken, "no memory is left to receive its answer"}};
    know(here);
    const auto first = begin(Verb::contains);
    answer(0, 77);
    answer();
    ASSERT_EQ(outcome(first), Errc{});
    for (const auto& [why, words] : cases) {
        const auto put = begin(Verb::put);
        answer(-1, static_cast<std::uint64_t>(why), static_cast<std::uint16_t>(Errc::system));
        requester.on_payload_sent(put, false);
        ASSERT_TRUE(requester.done(put)) << words;
        const Result<Reply> outcome = requester.take(put);
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().code, Errc::system);
        EXPECT_NE(outcome.error().message().find(words), std::string::npos) << outcome.error().message();
        const bool was_made =
            why == wire::ValueFailure::no_memory_to_send || why == wire::ValueFailure::not_taken;
        EXPECT_EQ(outcome.error().in_doubt, was_made) << words;
    }
}

INSTANTIATE_TEST_SUITE_P(Verbs, OutOfMemoryTest, testing::Values(Verb::contains, Verb::put));

}  // namespace
}  // namespace ddict
