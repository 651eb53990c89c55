// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/operation_times.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace ddict::manager {
namespace {

using wire::Verb;

std::uint64_t now = 0;
std::uint64_t readings = 0;

std::uint64_t read_clock() {
    ++readings;
    return now;
}

void run(OperationTimes& times, Verb verb, std::uint64_t takes) {
    if (!times.count(verb)) return;
    const std::uint64_t started = times.start();
    now += takes;
    times.stop(verb, started);
}

TEST(OperationTimes, TimesTheFirstAndEverySixtyFourth) {
    readings = 0;
    OperationTimes times(read_clock);
    for (int i = 0; i < 129; ++i)
        run(times, Verb::get, 100);
    EXPECT_EQ(readings, 2u * 3);
    run(times, Verb::put, 5);
    EXPECT_EQ(readings, 2u * 4);
    const std::vector<OperationStats> stats = times.statistics();
    ASSERT_EQ(stats.size(), 2u);
    EXPECT_EQ(stats[0].operation, Operation::put);
    EXPECT_EQ(stats[0].count, 1u);
    EXPECT_EQ(stats[0].max_ns, 5u);
    EXPECT_EQ(stats[1].operation, Operation::get);
    EXPECT_EQ(stats[1].count, 129u);
}

TEST(OperationTimes, Percentiles) {
    OperationTimes times(read_clock);
    for (std::uint64_t i = 0; i < 100 * 64; ++i)
        run(times, Verb::get, i / 64 < 98 ? 1000 : 50'000);
    const OperationStats stats = times.statistics().at(0);
    EXPECT_NEAR(static_cast<double>(stats.p50_ns), 1000, 16);
    EXPECT_NEAR(static_cast<double>(stats.p99_ns), 50'000, 800);
    EXPECT_EQ(stats.max_ns, 50'000u);
}

/// Else their lines could not be told apart.
TEST(OperationTimes, EachVerbHasAnOperationOfItsOwn) {
    OperationTimes times(nullptr);
    for (std::uint8_t verb = 1; verb <= wire::verb_last; ++verb)
        times.count(static_cast<Verb>(verb));
    std::set<std::string_view> names;
    for (const OperationStats& stats : times.statistics())
        names.insert(name(stats.operation));
    EXPECT_EQ(names.size(), wire::verb_last);
    EXPECT_FALSE(names.contains(name(Operation::none)));
}

TEST(OperationTimes, WithoutAClockOnlyCounts) {
    OperationTimes times(nullptr);
    for (int i = 0; i < 100; ++i)
        EXPECT_FALSE(times.count(Verb::get));
    const OperationStats stats = times.statistics().at(0);
    EXPECT_EQ(stats.count, 100u);
    EXPECT_EQ(stats.p50_ns + stats.p99_ns + stats.max_ns, 0u);
}

}  // namespace
}  // namespace ddict::manager
