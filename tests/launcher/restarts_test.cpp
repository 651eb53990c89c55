// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a node launcher makes of the end of a manager. The test moves the clock.
#include "launcher/node/restarts.h"

#include <gtest/gtest.h>

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
    EXPECT_EQ(restarts().on_end(0, {.how = "could not open its pool"}).state, ServingState::restarting);
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

TEST_F(RestartsTest, OneThatCannotBeStartedIsGivenUp) {
    begin();
    const Epoch before = restarts().on_end(0, {.how = killed}).epoch;
    const DirectoryEntry& lost = restarts().give_up(0, "no more processes");
    EXPECT_EQ(lost.state, ServingState::lost);
    EXPECT_GT(lost.epoch, before);
    EXPECT_EQ(lost.reason, std::string(killed) + " and could not be started again: no more processes");
}

}  // namespace
}  // namespace ddict::launcher
