// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a node launcher makes of the end of a manager. The test moves the clock.
#include "launcher/node/restarts.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/limits.h"

namespace ddict::launcher {
namespace {

using namespace std::chrono_literals;

constexpr const char* killed = "was killed by signal 9 (Killed)";

class RestartsTest : public testing::Test {
  protected:
    void begin(bool enabled = true) {
        restarts_.emplace(Restarts::Options{.enabled = enabled, .now = [this] { return now; }});
        restarts_->begin({entry(4), entry(5)});
    }
    static DirectoryEntry entry(std::uint32_t shard) {
        DirectoryEntry entry;
        entry.shard = ShardId{shard};
        entry.node = "n2";
        entry.process.pid = 100 + static_cast<std::int32_t>(shard);
        entry.address = {std::byte{1}};
        return entry;
    }
    /// What its successor says of itself.
    static DirectoryEntry successor(std::uint32_t shard) {
        DirectoryEntry next = entry(shard);
        next.process.pid += 1000;
        next.address = {std::byte{2}, std::byte{3}};
        return next;
    }
    Restarts& restarts() { return *restarts_; }
    using Locals = std::vector<std::uint32_t>;

    Restarts::Clock::time_point now = Restarts::Clock::time_point(1h);

  private:
    std::optional<Restarts> restarts_;
};

TEST_F(RestartsTest, AnotherTakesTheManagersPlace) {
    begin();
    const DirectoryEntry down = restarts().on_end(1, {.how = killed});
    EXPECT_EQ(down.state, ServingState::restarting);
    EXPECT_EQ(down.shard, ShardId{5});
    EXPECT_EQ(down.process.pid, 105) << "of the one that has ended";
    EXPECT_TRUE(is_newer(down, entry(5)));
    EXPECT_EQ(restarts().next_due_in(), 0ms) << "at once";
    EXPECT_EQ(restarts().take_due(), Locals{1});
    EXPECT_EQ(restarts().take_due(), Locals{}) << "once";
    EXPECT_FALSE(restarts().next_due_in());
    now += 37500us;
    const Restarts::Back back = restarts().on_back(1, successor(5));
    EXPECT_EQ(back.entry.state, ServingState::serving);
    EXPECT_EQ(back.entry.process.pid, 1105);
    EXPECT_EQ(back.entry.address.size(), 2u);
    EXPECT_EQ(back.entry.node, "n2");
    EXPECT_TRUE(is_newer(back.entry, down));
    EXPECT_EQ(back.how, killed);
    EXPECT_EQ(back.down, 38ms);
}

TEST_F(RestartsTest, OneThatEndsAgainAndAgainIsGivenUp) {
    begin();
    for (std::size_t i = 1; i < limits::ends_of_manager_max; ++i) {
        EXPECT_EQ(restarts().on_end(0, {.how = killed}).state, ServingState::restarting);
        now += 100ms;
        restarts().on_back(0, successor(4));
        now += 1s;
    }
    const DirectoryEntry lost = restarts().on_end(0, {.how = killed});
    EXPECT_EQ(lost.state, ServingState::lost);
    EXPECT_EQ(lost.reason,
              std::string(killed) + "; that was 3 times within 10 s, and it is not started again");
    EXPECT_LE(lost.reason.size(), DirectoryEntry::reason_bytes_max);
    EXPECT_EQ(restarts().on_end(1, {.how = killed}).state, ServingState::restarting)
        << "the others do not count";
}

TEST_F(RestartsTest, OneThatIsAskedToEndIsNeverGivenUp) {
    begin();
    for (int i = 0; i < 10; ++i) {
        const Restarts::End asked{.how = "was asked to restart", .is_wanted = true};
        ASSERT_EQ(restarts().on_end(0, asked).state, ServingState::restarting) << i;
        now += 10ms;
        EXPECT_EQ(restarts().on_back(0, successor(4)).how, asked.how);
    }
}

TEST_F(RestartsTest, WhatIsLongAgoDoesNotCount) {
    begin();
    for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(restarts().on_end(0, {.how = killed}).state, ServingState::restarting) << i;
        now += limits::restarts_counted_within / 2 + 1ms;
        restarts().on_back(0, successor(4));
    }
}

/// It is down from its own end on, and not from that of the one that was to take its place.
TEST_F(RestartsTest, OneThatEndsBeforeItServesIsNoNewEnd) {
    begin();
    restarts().on_end(0, {.how = killed});
    now += 20ms;
    restarts().take_due();
    const DirectoryEntry down = restarts().on_end(0, {.how = "could not open its pool"});
    EXPECT_EQ(down.state, ServingState::restarting);
    now += 30ms;
    const Restarts::Back back = restarts().on_back(0, successor(4));
    EXPECT_EQ(back.down, 50ms);
    EXPECT_EQ(back.how, killed);
}

TEST_F(RestartsTest, WhoeverDoesNotWantThemHasNone) {
    begin(false);
    const DirectoryEntry lost = restarts().on_end(0, {.how = killed});
    EXPECT_EQ(lost.state, ServingState::lost);
    EXPECT_EQ(lost.reason, killed);
    begin();
    EXPECT_EQ(restarts().on_end(0, {.how = killed, .may_restart = false}).state, ServingState::lost)
        << "it is not possible now";
}

/// What is missing now may be there in a few seconds.
TEST_F(RestartsTest, OneThatDoesNotComeUpIsTriedLaterEachTime) {
    begin();
    const Epoch epoch = restarts().on_end(0, {.how = killed}).epoch;
    EXPECT_EQ(restarts().take_due(), Locals{0});
    std::chrono::milliseconds delay = limits::restart_delay_first;
    std::chrono::milliseconds waited{0};
    for (unsigned failed = 1; failed < limits::restart_attempts_max; ++failed, delay *= 2) {
        const DirectoryEntry& down = failed % 2 == 0 ? restarts().on_failed_start(0, "no more processes")
                                                     : restarts().on_end(0, {.how = "has no memory"});
        EXPECT_EQ(down.state, ServingState::restarting) << failed;
        EXPECT_EQ(down.epoch, epoch) << "nothing new for those who look into the directory";
        EXPECT_EQ(restarts().next_due_in(), delay);
        now += delay - 1ms;
        EXPECT_EQ(restarts().take_due(), Locals{}) << failed;
        EXPECT_EQ(restarts().next_due_in(), 1ms);
        now += 1ms;
        EXPECT_EQ(restarts().take_due(), Locals{0}) << failed;
        waited += delay;
    }
    EXPECT_GE(waited, 5s) << "this is not given up within moments";
    EXPECT_LT(waited, limits::restart_time_max) << "nor after its clients have given up";
    const DirectoryEntry lost = restarts().on_failed_start(0, "no more processes");
    EXPECT_EQ(lost.state, ServingState::lost);
    EXPECT_GT(lost.epoch, epoch);
    EXPECT_EQ(lost.reason, std::string(killed) + "; 7 attempts to start it again failed: no more processes");
    EXPECT_FALSE(restarts().next_due_in());
    now += 1h;
    EXPECT_EQ(restarts().take_due(), Locals{});
}

TEST_F(RestartsTest, OneThatHasServedHasAllAttemptsAgain) {
    begin();
    for (int round = 0; round < 3; ++round) {
        restarts().on_end(0, {.how = killed});
        EXPECT_EQ(restarts().take_due(), Locals{0});
        for (unsigned failed = 1; failed < limits::restart_attempts_max; ++failed) {
            EXPECT_EQ(restarts().on_end(0, {.how = "has no memory"}).state, ServingState::restarting);
            now += limits::restarts_counted_within;
            EXPECT_EQ(restarts().take_due(), Locals{0});
        }
        restarts().on_back(0, successor(4));
    }
}

TEST_F(RestartsTest, EachHasItsOwnTime) {
    begin();
    restarts().on_end(0, {.how = killed});
    restarts().take_due();
    restarts().on_end(0, {.how = "has no memory"});
    now += 40ms;
    restarts().on_end(1, {.how = killed});
    EXPECT_EQ(restarts().next_due_in(), 0ms);
    EXPECT_EQ(restarts().take_due(), Locals{1});
    EXPECT_EQ(restarts().next_due_in(), limits::restart_delay_first - 40ms);
    now += limits::restart_delay_first;
    EXPECT_EQ(restarts().next_due_in(), 0ms) << "it is overdue";
    EXPECT_EQ(restarts().take_due(), Locals{0});
}

TEST_F(RestartsTest, WhatNobodyCanTakeOverIsGivenUpAtOnce) {
    begin();
    const Epoch before = restarts().on_end(0, {.how = killed}).epoch;
    restarts().take_due();
    const DirectoryEntry& lost = restarts().on_end(0, {.how = "found its pool damaged", .is_hopeless = true});
    EXPECT_EQ(lost.state, ServingState::lost);
    EXPECT_GT(lost.epoch, before);
    EXPECT_EQ(lost.reason, std::string(killed) + " and could not be started again: found its pool damaged");
    EXPECT_FALSE(restarts().next_due_in());
}

/// The job has begun to end while it was waited for the next attempt.
TEST_F(RestartsTest, OneThatIsWaitedForCanBeGivenUp) {
    begin();
    restarts().on_end(0, {.how = killed});
    restarts().take_due();
    restarts().on_end(0, {.how = "has no memory"});
    EXPECT_TRUE(restarts().next_due_in());
    EXPECT_EQ(restarts().give_up(0, "the job is ending").reason,
              std::string(killed) + " and could not be started again: the job is ending");
    EXPECT_FALSE(restarts().next_due_in());
}

}  // namespace
}  // namespace ddict::launcher
