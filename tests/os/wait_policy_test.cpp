// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How long to spin, when to yield and when to sleep: decided from times that are given here, without waiting.
#include <gtest/gtest.h>

#include "os/wait_policy.h"

namespace ddict::os {
namespace {

using namespace std::chrono_literals;
using Clock = WaitPolicy::Clock;
using Step = WaitPolicy::Step;
using Arming = WaitPolicy::Arming;

TEST(SpinWindow, IsLongWhileMessagesComeSoonAndTriedNowAndThenWhereTheyAreRare) {
    SpinWindow window(50us);
    EXPECT_EQ(window.value(), 50us);
    window.slept(1ms);
    EXPECT_EQ(window.value(), 50us) << "once says nothing";
    for (int i = 0; i < 100; ++i)
        window.slept(1ms);
    int spins = 0;
    for (int i = 0; i < 80; ++i, window.slept(1ms))
        spins += window.value() != 0us ? 1 : 0;
    EXPECT_EQ(spins, 10);
    window.slept(20us);
    EXPECT_EQ(window.value(), 50us) << "spinning would have found it";
}

/// Two that sleep need longer to wake up than they spin: that must not keep them asleep for ever.
TEST(SpinWindow, IsLongAgainAsSoonAsOneWasWorthIt) {
    SpinWindow window(50us);
    for (int i = 0; i < 100; ++i)
        window.slept(200us);
    int slept = 0;
    for (; window.value() == 0us; ++slept)
        window.slept(200us);
    EXPECT_LE(slept, 7);
    window.found();
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(window.value(), 50us);
        window.found();
    }
}

/// Yields again and again from `now` on, each for so long. Moves `now` to the next one.
void expect_they_go_on(YieldHistory& yields, int times, Clock::duration lasted, Clock::duration apart,
                       Clock::time_point& now) {
    yields.add(lasted, now - apart);
    for (int i = 0; i < times; ++i, now += apart) {
        yields.add(lasted, now);
        ASSERT_TRUE(yields.may_yield(now));
        ASSERT_TRUE(yields.is_crowded(now));
    }
}

TEST(YieldHistory, NobodyElseWantsToRun) {
    YieldHistory yields;
    const Clock::time_point now = Clock::now();
    EXPECT_TRUE(yields.may_yield(now));
    EXPECT_FALSE(yields.is_crowded(now));
    yields.add(500ns, now);
    EXPECT_TRUE(yields.may_yield(now));
    EXPECT_FALSE(yields.is_crowded(now));
}

TEST(YieldHistory, AmongOthersThatWaitTheyGoOn) {
    YieldHistory yields;
    Clock::time_point now = Clock::now();
    expect_they_go_on(yields, 1000, 20us, 20us, now);
    EXPECT_FALSE(yields.is_crowded(now + 10ms)) << "it is not crowded for ever";
}

TEST(YieldHistory, AnInterruptIsNobodyThatWaits) {
    YieldHistory yields;
    Clock::time_point now = Clock::now();
    for (int i = 0; i < 100; ++i) {
        yields.add(20us, now += 20us);
        EXPECT_FALSE(yields.is_crowded(now)) << i;
        for (int j = 0; j < 3; ++j) {
            yields.add(500ns, now += 1us);
            EXPECT_FALSE(yields.is_crowded(now)) << i;
        }
    }
}

TEST(YieldHistory, OthersThatWaitDoNotTakeEveryOne) {
    YieldHistory yields;
    Clock::time_point now = Clock::now();
    yields.add(20us, now += 20us);
    for (int i = 0; i < 100; ++i) {
        yields.add(500ns, now += 1us);
        yields.add(20us, now += 20us);
        EXPECT_TRUE(yields.is_crowded(now)) << i;
    }
}

TEST(YieldHistory, StopForAWhileWhereSomebodyComputes) {
    YieldHistory yields;
    const Clock::time_point now = Clock::now();
    yields.add(3ms, now);
    yields.add(3ms, now + 4ms);
    EXPECT_FALSE(yields.may_yield(now + 4ms));
    EXPECT_FALSE(yields.is_crowded(now + 4ms));
    EXPECT_FALSE(yields.may_yield(now + 50ms));
    EXPECT_TRUE(yields.may_yield(now + 200ms));
}

TEST(YieldHistory, MayBeVeryLongWhereSomebodyComputes) {
    YieldHistory yields;
    const Clock::time_point now = Clock::now();
    yields.add(50ms, now);
    yields.add(50ms, now + 51ms);
    EXPECT_FALSE(yields.may_yield(now + 51ms));
}

TEST(YieldHistory, OneThatIsLongIsNoReasonToStop) {
    YieldHistory yields;
    Clock::time_point now = Clock::now();
    expect_they_go_on(yields, 10, 3ms, 100ms, now);
}

TEST(YieldProcessor, ReturnsTheTimeAfterwards) {
    const Clock::time_point before = Clock::now();
    EXPECT_GE(yield_processor(), before);
}

/// A policy with a clock that this test moves.
class WaitPolicyTest : public testing::Test {
  protected:
    static constexpr auto spin_max = 50us;

    /// The step after a poll that brought nothing, at a time after begin().
    Step at(Clock::duration since_begin, bool quiet = true) {
        return policy.next(began + since_begin, quiet);
    }
    void begin() {
        policy.begin();
        at(0us);
    }
    /// A wait that sleeps and ends with a message so long after it went to sleep.
    void sleep_for(Clock::duration time) {
        begin();
        ASSERT_EQ(at(1ms), Step::sleep);
        policy.end(began + 1ms + time);
    }
    /// How long it polls or yields, in microseconds, before it sleeps; each yield lasts for so long.
    Clock::duration spins_for(Clock::duration yield_lasts = 0us) {
        for (Clock::duration time = 1us; time < 10ms; time += 1us) {
            const Step step = at(time);
            if (step == Step::sleep) return time;
            if (step == Step::yield) policy.yielded(began + time, began + time + yield_lasts);
        }
        ADD_FAILURE() << "it never sleeps";
        return {};
    }

    WaitPolicy policy{spin_max};
    const Clock::time_point began = Clock::time_point(1h);
};

TEST_F(WaitPolicyTest, LooksAtTheClockAfterSomePolls) {
    policy.begin();
    int looks = 0;
    for (int polls = 0; polls < 320; ++polls)
        looks += policy.wants_time() ? 1 : 0;
    EXPECT_EQ(looks, 10);
    begin();
    ASSERT_EQ(at(1ms), Step::sleep);
    EXPECT_TRUE(policy.wants_time()) << "after a sleep, after each";
    EXPECT_TRUE(policy.wants_time());
}

TEST_F(WaitPolicyTest, PollsThenYieldsThenSleeps) {
    begin();
    EXPECT_EQ(at(1us), Step::poll) << "an answer that comes at once is not waited for";
    EXPECT_EQ(at(10us), Step::yield);
    policy.yielded(began + 10us, began + 11us);
    EXPECT_EQ(at(49us), Step::yield);
    EXPECT_EQ(at(50us), Step::sleep);
    EXPECT_TRUE(policy.has_slept());
    EXPECT_EQ(at(51us), Step::sleep) << "what wakes it up need not be a message";
    policy.begin();
    EXPECT_FALSE(policy.has_slept());
}

TEST_F(WaitPolicyTest, DoesNotSleepWhileThereIsSomethingToDo) {
    begin();
    EXPECT_NE(at(5ms, false), Step::sleep);
    ASSERT_EQ(at(6ms), Step::sleep);
    EXPECT_EQ(at(7ms, false), Step::poll) << "and does not yield between two sleeps";
    EXPECT_EQ(at(8ms), Step::sleep);
}

TEST_F(WaitPolicyTest, SleepsAtOnceWhereMessagesAreRare) {
    for (int i = 0; i < 4; ++i)
        sleep_for(1s);
    policy.begin();
    EXPECT_EQ(at(0us), Step::sleep);
    policy.end(began + 10us);
    begin();
    EXPECT_EQ(at(1us), Step::poll) << "they come sooner now";
}

TEST_F(WaitPolicyTest, WhatIsThereAtOnceSaysNothingOfTheNext) {
    for (int i = 0; i < 4; ++i)
        sleep_for(1s);
    policy.begin();
    policy.end({});
    policy.begin();
    EXPECT_EQ(at(0us), Step::sleep);
    policy.begin();
    EXPECT_FALSE(policy.wants_time());
    policy.end({});
    begin();
    EXPECT_EQ(at(1us), Step::poll)
        << "a poll that brought nothing, and then something, says that they come soon";
}

TEST_F(WaitPolicyTest, SpinsLongerForOneWhoHadToBeWokenUp) {
    WaitPolicy asking(spin_max, 150us);
    asking.woke_other();
    asking.begin();
    EXPECT_NE(asking.next(began, true), Step::sleep);
    EXPECT_NE(asking.next(began + 149us, true), Step::sleep);
    EXPECT_EQ(asking.next(began + 150us, true), Step::sleep);
    asking.end(began + 200us);
    asking.begin();
    EXPECT_NE(asking.next(began, true), Step::sleep);
    EXPECT_EQ(asking.next(began + 50us, true), Step::sleep) << "once";

    policy.woke_other();
    begin();
    EXPECT_EQ(spins_for(), spin_max) << "who answers does not wait for those it wakes up";
}

TEST_F(WaitPolicyTest, SpinsLongerForAPayloadThatIsUnderWayButNotForEver) {
    policy.payload_began();
    begin();
    EXPECT_EQ(spins_for(), 400us);
    begin();
    EXPECT_EQ(at(500us), Step::sleep) << "it has been spun for already";
    policy.payload_began();
    begin();
    EXPECT_EQ(spins_for(), 400us) << "the next one has its own time";
    policy.payload_ended();
    policy.payload_ended();
    begin();
    EXPECT_EQ(spins_for(), spin_max);
}

TEST_F(WaitPolicyTest, YieldsAfterEveryPollWhereItIsCrowded) {
    begin();
    ASSERT_EQ(at(10us), Step::yield);
    policy.yielded(began + 10us, began + 30us);
    EXPECT_FALSE(policy.wants_time()) << "one could be an interrupt";
    ASSERT_EQ(at(40us), Step::yield);
    policy.yielded(began + 40us, began + 60us);
    EXPECT_TRUE(policy.wants_time());
    EXPECT_EQ(at(99us), Step::yield) << "for longer than it would spin alone";
    EXPECT_EQ(at(100us), Step::sleep);
    policy.begin();
    EXPECT_EQ(policy.next(began + 200us, true), Step::yield) << "the next wait begins with it";
}

TEST_F(WaitPolicyTest, SleepsSoonWhereSomebodyComputes) {
    begin();
    for (const auto when : {10us, 3010us}) {
        ASSERT_EQ(policy.next(began + when, false), Step::yield);
        policy.yielded(began + when, began + when + 3ms);
    }
    const Clock::time_point after = began + 6010us;
    policy.begin();
    EXPECT_EQ(policy.next(after, true), Step::poll);
    EXPECT_EQ(policy.next(after + 2us, true), Step::sleep);
}

TEST_F(WaitPolicyTest, NapsWhereNothingCanWakeItUp) {
    begin();
    EXPECT_EQ(policy.sleep_time(Arming::armed), 1s);
    EXPECT_EQ(policy.sleep_time(Arming::failed), 1ms);
    int tries = 1;
    while (!policy.sleep_time(Arming::busy))
        ASSERT_LT(++tries, 1000) << "it never naps";
    EXPECT_EQ(tries, 500);
    EXPECT_EQ(policy.sleep_time(Arming::busy), 4ms) << "longer each time";
    EXPECT_EQ(policy.sleep_time(Arming::busy), 8ms);
    EXPECT_EQ(policy.sleep_time(Arming::busy), 8ms);
    begin();
    EXPECT_EQ(policy.sleep_time(Arming::busy), std::nullopt) << "each wait tries anew";
    EXPECT_EQ(policy.sleep_time(Arming::failed), 8ms);
    policy.end(began + 1ms);
    EXPECT_EQ(policy.sleep_time(Arming::failed), 1ms) << "a message has come meanwhile";
}

}  // namespace
}  // namespace ddict::os
