// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How long to spin, and when to offer the processor: decided from times that are given here, without waiting.
#include <gtest/gtest.h>

#include "ucx/sleeper.h"

namespace ddict::ucx {
namespace {

using namespace std::chrono_literals;
using Clock = ProcessorOffers::Clock;

TEST(SpinWindow, IsLongWhileMessagesComeSoonAndNothingWhereTheyAreRare) {
    SpinWindow window(50us);
    EXPECT_EQ(window.value(), 50us);
    window.slept(1ms);
    EXPECT_EQ(window.value(), 25us);
    for (int i = 0; i < 10; ++i)
        window.slept(1ms);
    EXPECT_EQ(window.value(), 0us);
    window.slept(20us);
    EXPECT_GT(window.value(), 0us);
    for (int i = 0; i < 10; ++i)
        window.slept(20us);
    EXPECT_EQ(window.value(), 50us) << "never longer than it may be";
}

/// Offers are made again and again from `now` on, each kept for so long. Moves `now` to the next one.
void expect_they_go_on(ProcessorOffers& offers, int times, Clock::duration kept, Clock::duration apart,
                       Clock::time_point& now) {
    for (int i = 0; i < times; ++i, now += apart) {
        offers.taken(kept, now);
        ASSERT_TRUE(offers.welcome(now));
        ASSERT_TRUE(offers.crowded(now));
    }
}

TEST(ProcessorOffers, NobodyElseWantsToRun) {
    ProcessorOffers offers;
    const Clock::time_point now = Clock::now();
    EXPECT_TRUE(offers.welcome(now));
    EXPECT_FALSE(offers.crowded(now));
    offers.taken(500ns, now);
    EXPECT_TRUE(offers.welcome(now));
    EXPECT_FALSE(offers.crowded(now));
}

TEST(ProcessorOffers, AmongOthersWhoWaitTheyGoOn) {
    ProcessorOffers offers;
    Clock::time_point now = Clock::now();
    expect_they_go_on(offers, 1000, 20us, 20us, now);
    EXPECT_FALSE(offers.crowded(now + 10ms)) << "it is not crowded for ever";
}

TEST(ProcessorOffers, WhoComputesIsNotMadeAnotherOneForAWhile) {
    ProcessorOffers offers;
    const Clock::time_point now = Clock::now();
    offers.taken(3ms, now);
    offers.taken(3ms, now + 4ms);
    EXPECT_FALSE(offers.welcome(now + 4ms));
    EXPECT_FALSE(offers.crowded(now + 4ms));
    EXPECT_FALSE(offers.welcome(now + 50ms));
    EXPECT_TRUE(offers.welcome(now + 200ms));
}

TEST(ProcessorOffers, WhoComputesMayKeepThemForVeryLong) {
    ProcessorOffers offers;
    const Clock::time_point now = Clock::now();
    offers.taken(50ms, now);
    offers.taken(50ms, now + 51ms);
    EXPECT_FALSE(offers.welcome(now + 51ms));
}

TEST(ProcessorOffers, WhatIsKeptForLongOnceIsNoReasonToStop) {
    ProcessorOffers offers;
    Clock::time_point now = Clock::now();
    expect_they_go_on(offers, 10, 3ms, 100ms, now);
}

TEST(ProcessorOffers, AreMadeForReal) {
    ProcessorOffers offers;
    const Clock::time_point before = Clock::now();
    EXPECT_GE(offers.make(before), before);
}

}  // namespace
}  // namespace ddict::ucx
