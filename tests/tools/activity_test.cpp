// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/activity.h"

#include <gtest/gtest.h>

#include "tests/tools/samples.h"

namespace ddict::tools {
namespace {

using namespace std::chrono_literals;

TEST(Activity, TheFirstSampleHasNoRates) {
    ActivityLog log("name");
    log.add(sample_at(0, 2, 1000));
    const Activity& activity = log.activity();
    EXPECT_EQ(activity.dictionary, "name");
    ASSERT_EQ(activity.managers.size(), 2u);
    EXPECT_FALSE(activity.managers[0].puts);
    EXPECT_FALSE(activity.managers[0].operations());
    EXPECT_FALSE(activity.operations);
    EXPECT_TRUE(activity.history.empty());
    EXPECT_EQ(activity.managers[0].p50_ns, 1000u) << "of all time: gets are the most";
    ASSERT_EQ(activity.kinds.size(), 3u) << "who asks for statistics is not shown";
    EXPECT_EQ(activity.kinds[0].operation, Operation::get);
    EXPECT_EQ(activity.kinds[0].count, 4000u);
    EXPECT_FALSE(activity.kinds[0].rate);
}

TEST(Activity, RatesArePerSecond) {
    ActivityLog log("");
    log.add(sample_at(0, 2, 1000));
    log.add(sample_at(2, 2, 3000));
    const Activity& activity = log.activity();
    EXPECT_EQ(activity.interval, 2s);
    EXPECT_DOUBLE_EQ(*activity.managers[1].puts, 1000);
    EXPECT_DOUBLE_EQ(*activity.managers[1].gets, 2000);
    EXPECT_DOUBLE_EQ(*activity.managers[1].other, 500);
    EXPECT_DOUBLE_EQ(*activity.managers[1].local_reads, 3000);
    EXPECT_DOUBLE_EQ(*activity.operations, 13'000);
    ASSERT_EQ(activity.history.size(), 1u);
    EXPECT_EQ(activity.kinds[0].operation, Operation::get);
    EXPECT_DOUBLE_EQ(*activity.kinds[0].rate, 4000);
}

TEST(Activity, PercentilesAreOfWhatIsDoneLately) {
    ActivityLog log("");
    Sample first = sample_at(0, 1, 1000);
    Sample second = first;
    second.at += 1s;
    second.managers[0].stats->operations[2].count += 10;  // fetch_add, the rarest so far
    log.add(first);
    log.add(second);
    EXPECT_EQ(log.activity().managers[0].p99_ns, 5000u);
    EXPECT_EQ(log.activity().kinds[0].operation, Operation::fetch_add);
}

TEST(Activity, OverManagersTheMiddleAndTheWorst) {
    Sample sample = sample_at(0, 3, 10);
    sample.managers[0].stats->operations[0].p50_ns = 1;
    sample.managers[2].stats->operations[0].p50_ns = 1'000'000;
    sample.managers[1].stats->operations[0].p99_ns = 7'000'000;
    sample.managers[1].stats->operations[0].max_ns = 8'000'000;
    ActivityLog log("");
    log.add(sample);
    const KindActivity& put = log.activity().kinds[1];
    EXPECT_EQ(put.operation, Operation::put);
    EXPECT_EQ(put.p50_ns, 2000u);
    EXPECT_EQ(put.p99_ns, 7'000'000u);
    EXPECT_EQ(put.max_ns, 8'000'000u);
}

TEST(Activity, ALostManagerKeepsItsNode) {
    ActivityLog log("");
    log.add(sample_at(0, 4, 10));
    for (const int second : {1, 2, 3}) {
        Sample sample = sample_at(second, 4, 20);
        sample.managers[3] = gone(3);
        log.add(sample);
    }
    const ManagerActivity& lost = log.activity().managers[3];
    EXPECT_FALSE(lost.stats);
    EXPECT_EQ(lost.node, "node1");
    EXPECT_EQ(lost.lost, "manager_lost: process 7 of this host has ended");
    EXPECT_EQ(lost.lost_for, 2s);
    EXPECT_FALSE(lost.operations());
    EXPECT_TRUE(log.activity().operations) << "of the others";
    log.add(sample_at(4, 4, 30));
    EXPECT_EQ(log.activity().managers[3].lost, "");
    EXPECT_EQ(log.activity().managers[3].lost_for, 0s);
    EXPECT_FALSE(log.activity().managers[3].puts) << "there is nothing to compare with";
}

TEST(Activity, AManagerThatWasStartedAgainBeginsAnew) {
    ActivityLog log("");
    log.add(sample_at(0, 1, 1000));
    Sample again = sample_at(1, 1, 10);
    again.managers[0].stats->pid = 77;
    log.add(again);
    EXPECT_FALSE(log.activity().managers[0].puts);
    Sample later = sample_at(2, 1, 30);
    later.managers[0].stats->pid = 77;
    log.add(later);
    EXPECT_DOUBLE_EQ(*log.activity().managers[0].puts, 20);
}

TEST(Activity, TheHistoryIsBounded) {
    ActivityLog log("");
    for (int second = 0; second < 2000; ++second)
        log.add(sample_at(second, 1, static_cast<std::uint64_t>(second) * 10));
    EXPECT_LE(log.activity().history.size(), 1000u);
    EXPECT_GE(log.activity().history.size(), 500u);
}

}  // namespace
}  // namespace ddict::tools
