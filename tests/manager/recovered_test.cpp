// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A shard that takes over what a killed manager has left: its sessions go on, and what kills each manager
// that executes it is not executed again. docs/testing.md says where kills at any instruction are tested.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "base/hash.h"
#include "base/hex.h"
#include "cluster/placement.h"
#include "manager/shard.h"
#include "tests/rpc/recording_transport.h"
#include "tests/shm/test_pool.h"

namespace ddict::manager {
namespace {

using wire::ReplyHeader;
using wire::RequestHeader;
using wire::Verb;

class OtherManagers final : public DirectoryView {
  public:
    std::uint32_t manager_count() const override { return 20; }
    Result<DirectoryEntry> entry(ShardId) const override { return Error(Errc::system); }
};

/// The other managers never answer.
class Unanswered final : public Relay {
  public:
    void relay(const Request&, std::chrono::nanoseconds, std::uint64_t) override {}
};

/// One process that serves the shard.
struct Life {
    explicit Life(std::unique_ptr<store::Store> taken) : store(std::move(taken)) {
        shard.set_directory(&managers, &relay);
    }

    OtherManagers managers;
    Unanswered relay;

    std::unique_ptr<store::Store> store;
    RecordingTransport transport;
    Shard shard{*store, transport, {.ucx_version = 1, .session_seed = 1, .pid = 5}};
};

class RecoveredTest : public testing::Test {
  protected:
    RecoveredTest() {
        shm::Segment pool = shm::Segment::create(name_, limits::pool_bytes_min).value();
        shm::Pool::format(pool, shm::test_identity(), {.size = 2, .waits_for_writers = true}).value();
        store::ReplyMemory::create_segment(shm::reply_segment_name(name_)).value();
        life_ = std::make_unique<Life>(
            std::make_unique<store::Store>(shm::Pool::attach(std::move(pool)).value(), replies()));
    }
    ~RecoveredTest() override {
        shm::Segment::remove(name_);
        shm::Segment::remove(shm::reply_segment_name(name_));
    }

    Shard& shard() { return life_->shard; }
    const shm::Pool& pool() { return life_->store->pool(); }

    /// As it is between two requests, unless execution has begun.
    void kill_and_recover() {
        life_.reset();
        shm::RecoveryReport report;
        life_ = std::make_unique<Life>(
            store::Store::recover(shm::Segment::open(name_, shm::Access::read_write).value(), replies(),
                                  report)
                .value());
    }
    /// It ends with its dictionary, and another one goes on with the pool.
    void keep_and_resume() {
        life_->store->mark_gone(shm::PoolEnd::dictionary);
        life_.reset();
        shm::Segment segment = shm::Segment::open(name_, shm::Access::read_write).value();
        shm::PoolIdentity next = shm::test_identity();
        next.dictionary_id = 99;
        shm::Pool::hand_over(segment, next).value();
        shm::RecoveryReport report;
        auto store = store::Store::recover(std::move(segment), replies(), report).value();
        store->forget_sessions();
        life_ = std::make_unique<Life>(std::move(store));
    }
    /// The process dies while it executes this request.
    void die_over(std::uint64_t session, std::uint64_t request) {
        replies().begin_request({session, request});
        kill_and_recover();
    }

    void damage_replies(const std::function<void(store::CachedReply&)>& damage) {
        life_->store->replies().for_each_session([&](store::SessionReplies& session) {
            for (store::CachedReply& reply : session.slots)
                damage(reply);
        });
    }
    void expect_sound() {
        EXPECT_EQ(life_->store->replies().inconsistency(), "");
        EXPECT_EQ(pool().inconsistency(), "");
    }

    /// Returns the session.
    std::uint64_t say_hello(std::uint64_t number, std::uint64_t session = 0,
                            std::string_view address = "client") {
        RequestHeader header;
        header.verb = Verb::hello;
        header.session = session;
        header.request = number;
        const wire::Hello hello{.dictionary_id = pool().identity().dictionary_id,
                                .proof = {},
                                .ucx_version = 1,
                                .process = {.host_key = 1, .pid = 9, .pid_namespace = 0, .start_time = 1},
                                .address = bytes_of(address)};
        shard().on_message(message_of(header, wire::pack_proven(pool().identity().secret, header, hello)),
                           {});
        return last().argument;
    }
    void add_one(std::uint64_t session, std::uint64_t request, std::string_view key = "n") {
        RequestHeader header;
        header.verb = Verb::fetch_add;
        header.session = session;
        header.request = request;
        header.key_bytes = static_cast<std::uint16_t>(key.size());
        header.value_bytes = 8;
        header.value_type = 0x0123;
        header.argument = 1;
        shard().on_message(message_of(header, bytes_of(key), std::vector<std::byte>(8)), {});
    }
    void broadcast(std::uint64_t session, std::uint64_t request, std::string_view key,
                   std::string_view value) {
        RequestHeader header;
        header.verb = Verb::broadcast_put;
        header.session = session;
        header.request = request;
        header.key_bytes = static_cast<std::uint16_t>(key.size());
        header.value_bytes = value.size();
        shard().on_message(message_of(header, bytes_of(key), bytes_of(value)), {});
    }
    std::size_t sent() const { return life_->transport.sent.size(); }
    ReplyHeader last() const { return life_->transport.header<ReplyHeader>(); }
    Errc last_code() const { return static_cast<Errc>(last().status); }

  private:
    store::ReplyMemory replies() const {
        return store::ReplyMemory::in(
                   shm::Segment::open(shm::reply_segment_name(name_), shm::Access::read_write).value())
            .value();
    }

    const std::string name_ = shm::test_segment_name();
    std::unique_ptr<Life> life_;
};

TEST_F(RecoveredTest, ASessionGoesOn) {
    const std::uint64_t session = say_hello(1);
    for (std::uint64_t request = 100; request < 110; ++request)
        add_one(session, request);
    EXPECT_EQ(last().argument, 9u);
    kill_and_recover();
    add_one(session, 109);
    EXPECT_EQ(sent(), 0u) << "its client has no connection yet";
    EXPECT_EQ(say_hello(2, session), session);
    add_one(session, 109);
    EXPECT_EQ(last().argument, 9u) << "the answer of the first time";
    add_one(session, 110);
    EXPECT_EQ(last().argument, 10u) << "it was executed twice";
    EXPECT_EQ(shard().statistics().restarts, 1u);
    EXPECT_EQ(shard().inconsistency(), "");
}

/// A pair that a pop has taken is held for as long as its client may ask for it again.
TEST_F(RecoveredTest, InTheNextDictionarySessionsAndWhatTheyHoldAreForgotten) {
    const std::uint64_t session = say_hello(1);
    add_one(session, 100);
    add_one(session, 101, "popped");
    RequestHeader pop;
    pop.verb = Verb::pop;
    pop.session = session;
    pop.request = 102;
    pop.key_bytes = 6;
    shard().on_message(message_of(pop, bytes_of("popped")), {});
    ASSERT_EQ(last_code(), Errc{});
    keep_and_resume();
    EXPECT_EQ(shard().sessions().size(), 0u);
    EXPECT_EQ(pool().size(), 1u);
    EXPECT_EQ(pool().recoveries(), 0u);
    expect_sound();
    add_one(session, 103);
    EXPECT_EQ(sent(), 0u) << "the session is of the dictionary before";
    const std::uint64_t next = say_hello(1);
    EXPECT_NE(next, 0u);
    add_one(next, 103);
    EXPECT_EQ(last().argument, 1u) << "the counter goes on";
    expect_sound();
    EXPECT_EQ(shard().inconsistency(), "");
}

TEST_F(RecoveredTest, AClientThatDoesNotComeBackIsForgotten) {
    say_hello(1);
    kill_and_recover();
    EXPECT_EQ(shard().sessions().size(), 1u);
    EXPECT_EQ(shard().sessions().connected(), 0u);
    const Time now = Time(std::chrono::hours(1));
    shard().tick(now);
    shard().tick(now + limits::session_kept - std::chrono::milliseconds(1));
    EXPECT_EQ(shard().sessions().size(), 1u);
    shard().tick(now + limits::session_kept);
    EXPECT_EQ(shard().sessions().size(), 0u);
    kill_and_recover();
    EXPECT_EQ(shard().sessions().size(), 0u) << "also in what the manager leaves";
}

TEST_F(RecoveredTest, ARequestThatKillsAgainAndAgainIsRefused) {
    const std::uint64_t session = say_hello(1);
    die_over(session, 100);
    say_hello(2, session);
    EXPECT_EQ(shard().deadly_requests(), 0u);
    die_over(session, 100);
    say_hello(3, session);
    add_one(session, 100, "culprit");
    EXPECT_EQ(last_code(), Errc::protocol);
    EXPECT_EQ(last().request, 100u);
    EXPECT_EQ(pool().size(), 0u);
    EXPECT_EQ(shard().deadly_requests(), 1u);
    const std::string told = shard().last_deadly().message();
    EXPECT_NE(told.find("fetch_add of key 'culprit'"), std::string::npos) << told;
    EXPECT_NE(told.find("process 9 of this host (record, session " + hex(session) + ")"), std::string::npos)
        << told;
    add_one(session, 101);
    EXPECT_EQ(last_code(), Errc{}) << "others are executed";
    kill_and_recover();
    say_hello(4, session);
    add_one(session, 100);
    EXPECT_EQ(last_code(), Errc::protocol) << "a kill between requests changes nothing";
}

TEST_F(RecoveredTest, KillsOverDifferentRequestsAreNoReason) {
    const std::uint64_t session = say_hello(1);
    for (std::uint64_t request = 100; request < 110; ++request) {
        die_over(session, request);
        EXPECT_EQ(say_hello(request, session), session);
        add_one(session, request);
        EXPECT_EQ(last_code(), Errc{});
    }
    EXPECT_EQ(last().argument, 9u);
    // One that was executed since counts anew.
    die_over(session, 200);
    die_over(session, 201);
    die_over(session, 200);
    say_hello(200, session);
    add_one(session, 200);
    EXPECT_EQ(last_code(), Errc{});
}

/// Of one key, by one client: the oldest goes on after a kill, the next waits for it, and is killed again.
TEST_F(RecoveredTest, ABroadcastThatWaitsForANewerOneIsNotExecutedAgain) {
    std::string key = "k0";
    for (int i = 1; shard_of(hash_of(bytes_of(key)), 20) != ShardId{pool().identity().manager}; ++i)
        key = "k" + std::to_string(i);
    const std::uint64_t session = say_hello(1);
    for (std::uint64_t i = 0; i < 3; ++i)
        broadcast(session, 100 + i, key, "v" + std::to_string(i));
    for (std::uint64_t hello = 2; hello < 5; ++hello) {
        kill_and_recover();
        EXPECT_EQ(say_hello(hello, session), session);
        for (std::uint64_t i = 0; i < 2; ++i) {
            broadcast(session, 100 + i, key, "v" + std::to_string(i));
            EXPECT_EQ(text_of(shm::find(pool(), key)->value()), "v2") << "after kill " << hello - 1;
        }
    }
    expect_sound();
}

/// Where its clients have written is remembered with their sessions.
TEST_F(RecoveredTest, AWriterIsStillWaitedFor) {
    const auto put_at = [&](std::uint64_t session, std::uint64_t request, std::uint32_t checkpoint) {
        RequestHeader header;
        header.verb = Verb::put;
        header.session = session;
        header.request = request;
        header.key_bytes = 1;
        header.value_bytes = 1;
        header.checkpoint = checkpoint;
        shard().on_message(message_of(header, bytes_of("k"), bytes_of("v")), {});
    };
    const std::uint64_t slow = say_hello(1, 0, "slow");
    const std::uint64_t quick = say_hello(1, 0, "quick");
    put_at(slow, 100, 0);
    put_at(quick, 100, 1);
    kill_and_recover();
    EXPECT_EQ(say_hello(2, slow, "slow"), slow);
    EXPECT_EQ(say_hello(2, quick, "quick"), quick);
    put_at(quick, 101, 2);
    EXPECT_EQ(last().flags, wire::ask_again);
    put_at(slow, 101, 1);
    put_at(quick, 102, 2);
    EXPECT_EQ(last_code(), Errc{});
    EXPECT_EQ(pool().checkpoints().newest(), 2U);
    expect_sound();
}

/// Damage makes a change of another kind out of a pop that has been answered: nothing of it is believed, its
/// block, which can be anywhere, least of all.
TEST_F(RecoveredTest, AReplyOfAPairIsNotTakenOverByAnotherChangeUnderWay) {
    const std::uint64_t session = say_hello(1);
    add_one(session, 100);
    RequestHeader pop;
    pop.verb = Verb::pop;
    pop.session = session;
    pop.request = 101;
    pop.key_bytes = 1;
    shard().on_message(message_of(pop, bytes_of("n")), {});
    ASSERT_EQ(last_code(), Errc{});
    damage_replies([](store::CachedReply& reply) {
        if (reply.kind != store::CachedReply::Kind::pair) return;
        reply.pending = 7777;
        reply.pending_kind = static_cast<std::uint8_t>(store::ChangeKind::put);
        reply.block = 0x123456789abcde0;
    });
    kill_and_recover();
    expect_sound();
    EXPECT_EQ(say_hello(2, session), session);
    add_one(session, (1u << wire::slot_bits) + 101);  // in the slot of the pop, which it releases
    EXPECT_EQ(last_code(), Errc{});
    expect_sound();
}

}  // namespace
}  // namespace ddict::manager
