// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// When a client says hello again, connects anew and believes a manager lost: decided from times given here.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "rpc/connection_timers.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using Step = ConnectionTimers::Step;

class ConnectionTimersTest : public testing::Test {
  protected:
    /// An operation begins to wait, and the client says hello.
    void begin(bool same_host = false) {
        timers.set_same_host(same_host);
        timers.begin(now);
        timers.said_hello(now);
    }
    /// The next step that is more than to wait, looked for as often as is asked for.
    Step next(bool says_hello = true, bool has_session = false) {
        for (int looks = 0; looks < 10'000; ++looks) {
            const Step step = timers.next_step(now, says_hello, has_session);
            if (step != Step::wait) return step;
            now = timers.next_look(now, says_hello);
        }
        ADD_FAILURE() << "nothing ever happens";
        return Step::wait;
    }
    ConnectionTimers timers;
    Time now = Time(1h);
};

TEST_F(ConnectionTimersTest, AHelloIsRepeatedLaterEachTime) {
    begin(true);
    for (const auto timeout : {2s, 4s, 8s, 16s, 16s}) {
        const Time before = now;
        ASSERT_EQ(next(), Step::connect);
        EXPECT_EQ(now - before, timeout);
        timers.said_hello(now);
    }
}

TEST_F(ConnectionTimersTest, OfASessionItIsRepeatedAtTheSamePace) {
    begin(true);
    for (int i = 0; i < 4; ++i) {
        const Time before = now;
        ASSERT_EQ(next(true, true), Step::connect);
        EXPECT_EQ(now - before, limits::hello_repeated_same_host);
        timers.said_hello(now);
    }
}

TEST_F(ConnectionTimersTest, AManagerThatSaysNothingIsLostInTime) {
    begin();
    Step step = next();
    EXPECT_EQ(step, Step::connect) << "first the hello is said again";
    EXPECT_EQ(now, Time(1h) + limits::hello_repeated);
    for (; step == Step::connect; step = next(false))
        timers.broke(now, false);
    EXPECT_EQ(step, Step::lost);
    EXPECT_EQ(now, Time(1h) + limits::silence_until_lost);
}

TEST_F(ConnectionTimersTest, ALateAnswerShowsThatItLives) {
    begin();
    ASSERT_EQ(next(), Step::connect);
    const Time heard = now;
    timers.answered_late(heard);
    Step step = Step::connect;
    for (; step == Step::connect; step = next(false))
        timers.broke(now, false);
    EXPECT_EQ(step, Step::lost);
    EXPECT_EQ(now, heard + limits::silence_until_lost);
}

TEST_F(ConnectionTimersTest, TimeInWhichTheProgramWasAwayDoesNotCount) {
    begin();
    ASSERT_EQ(timers.next_step(now, true, false), Step::wait);
    now += 1h;
    timers.broke(now, false);
    EXPECT_EQ(timers.next_step(now, false, false), Step::wait);
    now += limits::silence_until_lost;
    EXPECT_EQ(timers.next_step(now, false, false), Step::connect) << "that was one long step again";
}

TEST_F(ConnectionTimersTest, OnTheSameHostSilenceLosesNobody) {
    begin(true);
    timers.broke(now, true);
    for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(next(false, true), Step::connect);
        timers.broke(now += 100ms, false);
    }
}

TEST_F(ConnectionTimersTest, AManagerThatIsWaitedForIsAskedLaterEachTime) {
    timers.set_keeps_asking(true);
    begin();
    for (const auto timeout : {300ms, 600ms, 1200ms, 2400ms, 4800ms, 4800ms}) {
        const Time before = now;
        ASSERT_EQ(next(), Step::connect);
        EXPECT_EQ(now - before, timeout);
        timers.said_hello(now);
    }
    EXPECT_EQ(timers.hellos(), 7U);
    timers.opened(now);
    timers.pinged(now);
    const ConnectionTimers::Silence silence = timers.silence(false, false);
    EXPECT_EQ(silence.reconnect, now + 4800ms) << "it is as slow with this answer";
    EXPECT_EQ(silence.lost, Time::max());
}

TEST_F(ConnectionTimersTest, ButNotIfNoConnectionCanBeMade) {
    timers.set_keeps_asking(true);
    begin();
    ASSERT_EQ(next(), Step::connect);
    timers.said_hello(now);
    const Time broke = now += 5s;
    timers.broke(now, true);
    Step step = next(false);
    for (; step == Step::connect; step = next(false))
        timers.broke(now, false);
    EXPECT_EQ(step, Step::lost);
    EXPECT_EQ(now, broke + limits::silence_until_lost - limits::silence_before_ping)
        << "as long as one that a client has lost";
}

/// After hellos that were not answered: once is not for 1.8 s.
TEST_F(ConnectionTimersTest, NorIfOneCannotBeMadeOnce) {
    timers.set_keeps_asking(true);
    begin();
    for (int hellos = 1; hellos < 5;) {  // for 4.5 s, and looked at for the sake of others too
        now += 100ms;
        if (timers.next_step(now, true, false) == Step::wait) continue;
        timers.said_hello(now);
        ++hellos;
    }
    Step step = Step::wait;
    while (step == Step::wait)
        step = timers.next_step(now += 100ms, true, false);
    ASSERT_EQ(step, Step::connect);
    timers.broke(now, false);
    EXPECT_EQ(next(false), Step::connect) << "it is tried again";
    timers.said_hello(now);
    EXPECT_EQ(next(), Step::connect);
}

/// The first hello after that would be all that it gets before it is lost.
TEST_F(ConnectionTimersTest, WhoWasWaitedForIsAskedAsOftenAsOthersAfterwards) {
    timers.set_keeps_asking(true);
    begin();
    for (int i = 0; i < 4; ++i) {
        ASSERT_EQ(next(), Step::connect);
        timers.said_hello(now);
    }
    timers.opened(now);
    timers.set_keeps_asking(false);
    begin();
    timers.broke(now += 1s, true);
    ASSERT_EQ(next(false, true), Step::connect);
    timers.said_hello(now);
    const Time before = now;
    ASSERT_EQ(next(true, true), Step::connect);
    EXPECT_EQ(now - before, limits::hello_repeated);
}

TEST_F(ConnectionTimersTest, AConnectionThatLastedIsMadeAnewAtOnce) {
    begin();
    timers.opened(now);
    timers.broke(now += 1s, true);
    EXPECT_EQ(timers.next_step(now, false, true), Step::connect);
    timers.opened(now);
    timers.broke(now += 1ms, true);
    EXPECT_EQ(timers.next_step(now, false, true), Step::wait) << "it breaks again and again";
    now += limits::reconnect_interval;
    EXPECT_EQ(timers.next_step(now, false, true), Step::connect);
}

TEST_F(ConnectionTimersTest, AManagerThatWasNeverReachedGetsAFewTries) {
    begin();
    int tries = 1;
    while (timers.may_try_again())
        ASSERT_LT(++tries, 100);
    EXPECT_EQ(tries, 4);
    timers.reset();
    timers.lost();
    EXPECT_FALSE(timers.may_try_again()) << "later one is enough";
    timers.opened(now);
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(timers.may_try_again()) << "it was there";
}

TEST_F(ConnectionTimersTest, SilenceIsCountedFromThePing) {
    begin();
    timers.opened(now);
    EXPECT_EQ(timers.ping_due(), now + limits::silence_before_ping);
    timers.heard(now += 300ms);
    EXPECT_EQ(timers.ping_due(), now + limits::silence_before_ping);
    timers.pinged(now += 400ms);
    ASSERT_TRUE(timers.is_pinged());
    const ConnectionTimers::Silence silence = timers.silence(false, false);
    EXPECT_EQ(silence.reconnect, now + limits::silence_before_reconnect);
    EXPECT_EQ(silence.lost, now + limits::silence_until_lost - limits::silence_before_ping);
    EXPECT_GT(timers.silence(false, true).reconnect, silence.reconnect) << "payloads are slow";
    EXPECT_LT(timers.silence(true, false).lost, silence.lost) << "others have waited already";
    timers.heard(now += 100ms);
    EXPECT_FALSE(timers.is_pinged());
}

TEST_F(ConnectionTimersTest, AProbeEndsEarlier) {
    begin();
    timers.begin_probe(now);
    now += 150ms;
    EXPECT_EQ(timers.next_step(now, true, false), Step::wait);
    EXPECT_EQ(timers.next_look(now, true), Time(1h) + limits::lost_probe_timeout);
    EXPECT_EQ(next(), Step::probe_over);
    EXPECT_EQ(now, Time(1h) + limits::lost_probe_timeout);
    timers.end_probe();
    EXPECT_EQ(next(), Step::connect);
}

TEST_F(ConnectionTimersTest, AnOldHelloIsForgottenElsewhereOnly) {
    begin();
    EXPECT_FALSE(timers.is_hello_stale(now));
    EXPECT_TRUE(timers.is_hello_stale(now + limits::silence_until_lost));
    timers.set_same_host(true);
    EXPECT_FALSE(timers.is_hello_stale(now + 1h));
}

}  // namespace
}  // namespace ddict
