// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/stats_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/tools/samples.h"

namespace ddict::tools {
namespace {

std::vector<ManagerStats> two_managers() {
    std::vector<ManagerStats> all{*working(0, 1000).stats, *working(1, 20'000).stats};
    all[0].transport = "posix/memory";
    all[1].transport = "tcp/eth0";
    all[1].frozen = true;
    all[1].rejected_messages = 7;
    all[1].repeated_requests = 5;
    return all;
}

TEST(StatsText, OneLineAManagerAndOneAKind) {
    EXPECT_EQ(stats_table(two_managers()),
              "manager  node     keys   pool   used use%   free largest sess wait  rej  transport\n"
              "      0  node0    1000   1.0G   512M  50%   512M    100M   12    3    0  posix/memory\n"
              "      1  node0   20.0k   1.0G   512M  50%   512M    100M   12    3    7  tcp/eth0  frozen\n"
              "\n"
              "manager  operation            count    p50    p99    max\n"
              "      0  put                   1000  2.0us  9.0us   50us\n"
              "      0  get                   2000  1.0us  4.0us   30us\n"
              "      0  fetch_add              500  1.5us  5.0us   20us\n"
              "      0  stats               100000  700us  800us  900us\n"
              "      1  put                  20000  2.0us  9.0us   50us\n"
              "      1  get                  40000  1.0us  4.0us   30us\n"
              "      1  fetch_add            10000  1.5us  5.0us   20us\n"
              "      1  stats              2000000  700us  800us  900us\n");
}

TEST(StatsText, ProgramsGetEverything) {
    const auto report = nlohmann::json::parse(stats_json(two_managers()));
    ASSERT_EQ(report.size(), 2u);
    const nlohmann::json& second = report[1];
    EXPECT_EQ(second["manager"], 1);
    EXPECT_EQ(second["node"], "node0");
    EXPECT_EQ(second["keys"], 20'000);
    EXPECT_EQ(second["used_bytes"], 512 << 20);
    EXPECT_EQ(second["free_bytes"], 512 << 20);
    EXPECT_EQ(second["largest_free_bytes"], 100 << 20);
    EXPECT_EQ(second["sessions"], 12);
    EXPECT_EQ(second["waiting"], 3);
    EXPECT_EQ(second["rejected_messages"], 7);
    EXPECT_EQ(second["repeated_requests"], 5);
    EXPECT_EQ(second["unreachable_clients"], 0);
    EXPECT_EQ(second["transport"], "tcp/eth0");
    EXPECT_EQ(second["frozen"], true);
    EXPECT_EQ(second["operations"]["put"], 20'000);
    EXPECT_EQ(second["times_ns"]["get"]["count"], 40'000);
    EXPECT_EQ(second["times_ns"]["get"]["p50"], 1000);
    EXPECT_EQ(second["times_ns"]["get"]["p99"], 4000);
    EXPECT_EQ(second["times_ns"]["get"]["max"], 30'000);
}

TEST(StatsText, WhatIsNoTextHarmsNobody) {
    std::vector<ManagerStats> all = two_managers();
    all[0].node = "\xff\x1b";
    EXPECT_EQ(stats_table(all).find('\x1b'), std::string::npos);
    EXPECT_TRUE(nlohmann::json::accept(stats_json(all)));
}

}  // namespace
}  // namespace ddict::tools
