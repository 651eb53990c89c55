// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/targets.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "bench/redis_client.h"
#include "bench/redis_server.h"

namespace ddict::bench {
namespace {

TEST(BenchTargets, TheMedianDecides) {
    Target target{.id = "S1", .figure = "a rate", .limit = 2, .values = {9, 1, 2.5}};
    EXPECT_TRUE(target.met());
    target.values = {9, 1, 1.5};
    EXPECT_FALSE(target.met());
    target.bound = Target::Bound::at_most;
    EXPECT_TRUE(target.met());
}

TEST(BenchTargets, TheTableSaysWhatIsMetAndWhatCouldNotBeMeasured) {
    const std::string text =
        table_of_targets({{.id = "S1", .figure = "a rate", .limit = 2, .unit = "M/s", .values = {9, 1, 1.5}},
                          {.id = "S8", .figure = "a peer", .limit = 25, .own = "nobody is there"}});
    EXPECT_NE(text.find("S1  a rate\n    target >= 2.00 M/s | NOT MET: 1.50 [1.00 .. 9.00]"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("S8  a peer\n    target >= 25.0 | nobody is there"), std::string::npos) << text;
}

TEST(BenchTargets, NumbersAreBrief) {
    EXPECT_EQ(brief(0), "0");
    EXPECT_EQ(brief(0.04567), "0.0457");
    EXPECT_EQ(brief(0.4567), "0.457");
    EXPECT_EQ(brief(4.567), "4.57");
    EXPECT_EQ(brief(45.67), "45.7");
    EXPECT_EQ(brief(4567.8), "4568");
}

/// The whole suite, too short for its figures to say anything: each target is there, with what it is held
/// against, and each of its values is a number.
TEST(BenchTargets, EachIsMeasuredBesideItsBaseline) {
    Options options = parse_options({"--suite=targets", "--pairs=64", "--seconds=0.002", "--repetitions=2",
                                     "--idle=0.1", "--large-value-bytes=65536"});
    Progress progress;
    const TargetFigures figures = measure_targets(options, progress);
    std::map<std::string, int> lines;
    for (const Target& one : figures.targets) {
        SCOPED_TRACE(one.id + " " + one.figure);
        ++lines[one.id];
        const bool peer = one.id == "S8";
        if (peer && (!RedisServer::is_installed() || !can_talk_to_redis())) {
            EXPECT_TRUE(one.values.empty());
            continue;
        }
        ASSERT_EQ(one.values.size(), 2u);
        for (const double value : one.values)
            EXPECT_GE(value, 0);
        const bool of_two = one.id != "S5" && one.id != "S7" && one.id != "S11";
        EXPECT_EQ(one.baseline.empty(), !of_two);
        if (of_two && one.id != "S10") {  // it may take no time at all
            EXPECT_GT(one.values.front(), 0);
        }
    }
    EXPECT_EQ(lines, (std::map<std::string, int>{{"S1", 1},
                                                 {"S2", 1},
                                                 {"S3", 4},
                                                 {"S4", 2},
                                                 {"S5", 4},
                                                 {"S6", 3},
                                                 {"S7", 4},
                                                 {"S8", 4},
                                                 {"S9", 5},
                                                 {"S10", 2},
                                                 {"S11", 5}}));
    std::set<std::string> transports;
    for (const Record& one : figures.records) {
        if (one.op == "get_message" && one.bytes == 8) transports.insert(one.transport);
        if (one.op == "put" && one.bytes == 4096) {
            EXPECT_FALSE(one.slices.empty());
        }
    }
    EXPECT_EQ(transports.size(), 2u) << "shared memory and tcp";
}

}  // namespace
}  // namespace ddict::bench
