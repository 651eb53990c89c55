// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Requests that come too early: at a checkpoint to which the oldest one does not let the others move yet, or
// of a key that is to come. Each is told so, and then told once more when it is worth coming again.
#include <array>
#include <string>
#include <string_view>

#include "tests/manager/shard_fixture.h"

namespace ddict::manager {
namespace {

using Awaited = wire::AskAgain::Awaited;

class EarlyRequestsTest : public ShardTest {
  protected:
    using ShardTest::ShardTest;

    std::uint64_t put(std::uint64_t session, std::string_view key, std::uint32_t checkpoint,
                      std::uint16_t flags = 0) {
        return send(session, {.verb = Verb::put,
                              .key = key,
                              .value = bytes_of("v"),
                              .flags = flags,
                              .checkpoint = checkpoint});
    }
    std::uint64_t get(std::uint64_t session, std::string_view key, std::uint32_t checkpoint,
                      std::uint16_t flags = 0) {
        return send(session, {.verb = Verb::get, .key = key, .flags = flags, .checkpoint = checkpoint});
    }
    std::uint64_t client(const char* name) {
        say_hello(1, name);
        return last().argument;
    }
    /// Of the last reply.
    void expect_done(std::uint64_t request) {
        EXPECT_EQ(last().request, request);
        EXPECT_EQ(last().flags, 0);
        EXPECT_EQ(last_code(), Errc{});
    }
    void expect_told_to_ask_again(std::uint64_t request, Awaited what, std::uint32_t checkpoint = 0,
                                  std::uint64_t count = 0) {
        EXPECT_EQ(last().request, request);
        EXPECT_EQ(last().flags, wire::ask_again);
        EXPECT_EQ(last_code(), Errc::timeout);
        const auto why = wire::AskAgain::of(last().argument, last().argument2);
        EXPECT_EQ(why.what, what);
        EXPECT_EQ(why.checkpoint, checkpoint);
        EXPECT_EQ(why.count, count);
    }
    /// That it has been told.
    bool is_answered(std::uint64_t request) const {
        for (std::size_t i = 0; i < transport.sent.size(); ++i)
            if (transport.header<ReplyHeader>(static_cast<int>(i)).request == request) return true;
        return false;
    }
    void forget_replies() { transport.sent.clear(); }
    std::uint32_t newest() const { return pool->checkpoints().newest(); }
};

class WaitForKeysTest : public EarlyRequestsTest {
  protected:
    WaitForKeysTest() : EarlyRequestsTest({.size = 2, .waits_for_keys = true}) {}
};

TEST_F(WaitForKeysTest, NoCheckpointIsRetiredBeforeItsKeysAreAtTheNext) {
    const std::uint64_t writer = client("writer");
    const std::uint64_t another = client("another");
    for (const char* key : {"a", "b"})
        put(writer, key, 0);
    expect_done(put(writer, "a", 1));
    expect_told_to_ask_again(put(writer, "a", 2), Awaited::keys, 0, 1);
    EXPECT_EQ(newest(), 1U);
    same_again();
    forget_replies();
    const std::uint64_t early = put(writer, "a", 2, wire::sent_again);
    EXPECT_FALSE(is_answered(early));
    expect_done(put(another, "c", 1));
    EXPECT_FALSE(is_answered(early)) << "'b' is still missing";
    put(another, "b", 1);
    expect_told_to_ask_again(early, Awaited::key);
    EXPECT_EQ(newest(), 1U) << "nothing is done for it until it comes";
    send(writer,
         {.verb = Verb::put, .key = "a", .value = bytes_of("v"), .flags = wire::sent_again, .checkpoint = 2});
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_EQ(newest(), 2U);
    expect_at_rest();
}

TEST_F(WaitForKeysTest, AKeyIsOfItsCheckpointOnlyUnlessItPersists) {
    const std::uint64_t id = client("client");
    put(id, "step", 0);
    put(id, "settings", 0, wire::persistent);
    expect_done(get(id, "step", 0));
    expect_told_to_ask_again(get(id, "step", 1), Awaited::key, 0, 1);
    expect_done(get(id, "settings", 1));
    get(id, "step", 1, wire::at_once);
    EXPECT_EQ(last_code(), Errc::not_found);
    EXPECT_EQ(pool->keys_at(0), 2U);
    EXPECT_EQ(pool->keys_at(1), 1U);
    expect_at_rest();
}

TEST_F(WaitForKeysTest, AGetIsToldWhenItsKeyIsThere) {
    const std::uint64_t reader = client("reader");
    const std::uint64_t writer = client("writer");
    const std::uint64_t early = get(reader, "k", 0, wire::sent_again);
    const std::uint64_t pop =
        send(reader, {.verb = Verb::pop, .key = "k", .flags = wire::sent_again, .checkpoint = 0});
    EXPECT_EQ(statistics().waiting, 2U);
    forget_replies();
    put(writer, "k", 0);
    EXPECT_TRUE(is_answered(early));
    EXPECT_TRUE(is_answered(pop));
    expect_done(get(reader, "k", 0, wire::sent_again));
    EXPECT_EQ(last_value().size(), 1U);
    expect_at_rest();
}

TEST_F(WaitForKeysTest, OfACheckpointThatIsRetiredNothingIsWaitedFor) {
    const std::uint64_t early = get(client("reader"), "k", 0, wire::sent_again);
    const std::uint64_t writer = client("writer");
    put(writer, "any", 1);
    put(writer, "any", 2);
    EXPECT_EQ(newest(), 2U);
    shard.tick(Time(std::chrono::hours(1)));
    EXPECT_EQ(last().request, early);
    EXPECT_EQ(last_code(), Errc::checkpoint_retired);
    EXPECT_EQ(last().flags, 0);
    expect_at_rest();
}

/// It has been there, and is waited for no longer.
TEST_F(WaitForKeysTest, AKeyThatWasTakenAtTheNextIsNotMissingThere) {
    const std::uint64_t id = client("client");
    put(id, "task", 0);
    put(id, "task", 1);
    send(id, {.verb = Verb::pop, .key = "task", .checkpoint = 1});
    EXPECT_EQ(last_code(), Errc{});
    expect_done(put(id, "other", 2));
    EXPECT_EQ(newest(), 2U);
    expect_at_rest();
}

/// Whoever has gone is not waited for, and what is not noticed costs a while.
TEST_F(WaitForKeysTest, ItIsToldNowAndThenInAnyCase) {
    const std::uint64_t id = client("client");
    put(id, "k", 0);
    put(id, "other", 1);
    const std::uint64_t early = put(id, "k", 2, wire::sent_again);
    EXPECT_FALSE(is_answered(early));
    const Time now = Time(std::chrono::hours(1));
    shard.tick(now);
    EXPECT_FALSE(is_answered(early));
    shard.tick(now + std::chrono::seconds(3));
    expect_told_to_ask_again(early, Awaited::keys, 0, 1);
    put(id, "k", 2, wire::sent_again);
    EXPECT_EQ(shard.statistics().waiting, 1U);
    say_hello(2, "client");  // anew: its session ends, and what it waited for
    EXPECT_EQ(shard.statistics().waiting, 0U);
    expect_at_rest();
}

TEST_F(WaitForKeysTest, AFrozenShardRefusesAtOnce) {
    const std::uint64_t id = client("client");
    put(id, "k", 0);
    put(id, "other", 1);
    send(id, {.verb = Verb::freeze, .argument = wire::freeze_on});
    put(id, "k", 2);
    EXPECT_EQ(last_code(), Errc::frozen);
    get(id, "none", 0);
    EXPECT_EQ(last_code(), Errc::not_found);
    expect_at_rest();
}

/// Whose value waits at its client: nothing of it is received.
TEST_F(WaitForKeysTest, ALargePutAndABatchComeTooEarlyAsAWhole) {
    const std::uint64_t id = client("client");
    put(id, "k", 0);
    put(id, "other", 1);
    const std::string value(limits::inline_value_bytes_max + 1, 'x');
    send(id, {.verb = Verb::put, .key = "k", .value = bytes_of(value), .payload_token = 8, .checkpoint = 2});
    EXPECT_EQ(last().flags, wire::ask_again);
    EXPECT_TRUE(transport.received.empty());
    // One that becomes too early while its value is on the way.
    send(id, {.verb = Verb::erase, .key = "k", .checkpoint = 0});
    send(id, {.verb = Verb::put, .key = "k", .value = bytes_of(value), .payload_token = 9, .checkpoint = 2});
    put(id, "k", 0);
    deliver(bytes_of(value));
    EXPECT_EQ(last().flags, wire::ask_again);
    EXPECT_EQ(newest(), 1U);
    expect_at_rest();
}

class WaitForWritersTest : public EarlyRequestsTest {
  protected:
    WaitForWritersTest() : EarlyRequestsTest({.size = 2, .waits_for_writers = true}) {}
};

TEST_F(WaitForWritersTest, NoCheckpointIsRetiredBeforeItsWritersHaveLeftIt) {
    const std::array<std::uint64_t, 2> writers{client("one"), client("two")};
    const std::uint64_t reader = client("reader");
    for (const std::uint64_t writer : writers)
        put(writer, "k", 0);
    get(reader, "k", 0);
    expect_done(put(writers[0], "k", 1));
    expect_told_to_ask_again(put(writers[0], "k", 2), Awaited::writers, 0, 1);
    same_again();
    const std::uint64_t early = put(writers[0], "k", 2, wire::sent_again);
    forget_replies();
    get(writers[1], "k", 1);
    EXPECT_TRUE(is_answered(early)) << "it has come to a later one, if only to read";
    put(writers[0], "k", 2, wire::sent_again);
    EXPECT_EQ(newest(), 2U);
    expect_done(get(reader, "k", 7));  // every key persists
    expect_at_rest();
}

TEST_F(WaitForWritersTest, AWriterThatHasGoneIsNotWaitedFor) {
    const std::uint64_t one = client("one");
    put(client("two"), "k", 0);
    put(one, "k", 1);
    const std::uint64_t early = put(one, "k", 2, wire::sent_again);
    EXPECT_FALSE(is_answered(early));
    introduce(Verb::goodbye, 9, "two", pool->identity().secret);
    shard.tick(Time(std::chrono::hours(1)));
    EXPECT_TRUE(is_answered(early));
    expect_done(put(one, "k", 2, wire::sent_again));
    expect_at_rest();
}

}  // namespace
}  // namespace ddict::manager
