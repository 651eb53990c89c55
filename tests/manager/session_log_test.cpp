// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a manager tells of its clients' sessions: which events there are, and how many lines a second.
#include "manager/session_log.h"

#include "tests/manager/shard_fixture.h"

namespace ddict::manager {
namespace {

using namespace std::chrono_literals;

class SessionLogTest : public testing::Test {
  protected:
    std::vector<std::string> said;
    bool is_taken = true;
    SessionLog log{[this](const std::string& line) {
        if (is_taken) said.push_back(line);
        return is_taken;
    }};
    Time now{1h};
};

TEST_F(SessionLogTest, SaysSoManyASecondAndThenHowManyMore) {
    for (int i = 0; i < 47; ++i)
        log.add("opened", now);
    EXPECT_EQ(said.size(), SessionLog::lines_max);
    EXPECT_EQ(log.tick(now + 400ms), now + SessionLog::interval);
    EXPECT_EQ(said.size(), SessionLog::lines_max);
    now += SessionLog::interval;
    EXPECT_EQ(log.tick(now), Time::max());
    EXPECT_EQ(said.back(), "37 more like this");
    said.clear();
    for (int i = 0; i < 12; ++i)
        log.add("closed", now);
    EXPECT_EQ(said.size(), SessionLog::lines_max);
    log.add("closed", now + 3s);
    ASSERT_EQ(said.size(), SessionLog::lines_max + 2) << "nobody has to call tick() for that";
    EXPECT_EQ(said[SessionLog::lines_max], "2 more like this");
    EXPECT_EQ(said.back(), "closed");
    EXPECT_EQ(log.tick(now + 10s), Time::max()) << "nothing was left out since";
}

TEST_F(SessionLogTest, WhatIsNotTakenIsCounted) {
    is_taken = false;
    for (int i = 0; i < 3; ++i)
        log.add("opened", now);
    EXPECT_LT(log.tick(now + 2s), Time::max()) << "it is still not taken";
    is_taken = true;
    EXPECT_EQ(log.tick(now + 4s), Time::max());
    EXPECT_EQ(said, std::vector<std::string>{"3 more like this"});
}

class SessionEventsTest : public ShardTest {
  protected:
    SessionEventsTest() {
        shard.gate().set_listener([this](SessionEvent event, const Session& session, const Error* why) {
            EXPECT_EQ(session.process.pid, 9);
            events.push_back(event);
            if (why != nullptr) last_why = why->detail.data();
        });
    }
    std::vector<SessionEvent> events;
    std::string last_why;
};

TEST_F(SessionEventsTest, OneEachTimeThatASessionBeginsOrEnds) {
    using enum SessionEvent;
    const std::uint64_t id = session();
    EXPECT_EQ(events, (std::vector{opened}));
    shard.on_peer_lost(*transport.open.begin(),
                       Error(Errc::manager_lost, "process 9 of this host has ended"));
    EXPECT_EQ(events, (std::vector{opened, broken}));
    EXPECT_EQ(last_why, "process 9 of this host has ended");
    say_hello(5, "client", id);
    EXPECT_EQ(events, (std::vector{opened, broken, resumed}));
    say_hello(6);  // it has forgotten its session, and begins another one
    EXPECT_EQ(events, (std::vector{opened, broken, resumed, closed, opened}));
    send(last().argument, {.verb = Verb::goodbye});
    EXPECT_EQ(events, (std::vector{opened, broken, resumed, closed, opened, closed}));
    goodbye(9);  // of a session that is not there nothing is said
    EXPECT_EQ(events.size(), 6u);
}

TEST_F(SessionEventsTest, OneThatDoesNotComeBackIsForgotten) {
    session();
    shard.on_peer_lost(*transport.open.begin(), Error(Errc::manager_lost));
    const Time now{1h};
    shard.tick(now);
    EXPECT_EQ(events.back(), SessionEvent::broken);
    shard.tick(now + limits::session_kept);
    EXPECT_EQ(events, (std::vector{SessionEvent::opened, SessionEvent::broken, SessionEvent::forgotten}));
    shard.tick(now + 2 * limits::session_kept);
    EXPECT_EQ(events.size(), 3u);
}

}  // namespace
}  // namespace ddict::manager
