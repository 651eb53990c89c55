// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/stats_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/tools/samples.h"

namespace ddict::tools {
namespace {

Sample two_managers() {
    Sample sample{.managers = {working(0, 1000), working(1, 20'000)}};
    sample.managers[0].stats->transport = "posix/memory";
    sample.managers[0].stats->without_kept = true;
    sample.managers[1].round_trip = std::chrono::microseconds(70);
    ManagerStats& second = *sample.managers[1].stats;
    second.transport = "tcp/eth0";
    second.frozen = true;
    second.rejected_messages = 7;
    second.repeated_requests = 5;
    second.restarts = 3;
    second.tunnels = 2;
    second.refused_tunnels = 4;
    second.working_set = 3;
    second.newest_checkpoint = 8;
    second.oldest_checkpoint = 5;
    second.old_versions = 1000;
    second.old_version_bytes = 1 << 20;
    second.transient_pairs = 6;
    second.held_requests = 2;
    second.held_checkpoint = true;
    return sample;
}

TEST(StatsText, OneLineAManagerAndOneAKind) {
    EXPECT_EQ(
        stats_table(two_managers()),
        "manager  node     keys   pool   used use%   free largest sess wait  rej  transport\n"
        "      0  node0    1000   1.0G   512M  50%   512M    100M   12    3    0  posix/memory  began empty\n"
        "      1  node0   20.0k   1.0G   512M  50%   512M    100M   12    3    7  tcp/eth0  frozen  "
        "restarted 3x  2 tunnels  4 tunnels refused  checkpoints 5-8, 1000 old versions 1.0M, 6 transient, "
        "2 too early, the oldest held\n"
        "\n"
        "manager  operation            count    p50    p99    max\n"
        "      0  (local read)          3000\n"
        "      0  put                   1000  2.0us  9.0us   50us\n"
        "      0  get                   2000  1.0us  4.0us   30us\n"
        "      0  fetch_add              500  1.5us  5.0us   20us\n"
        "      0  stats               100000  700us  800us  900us\n"
        "      1  (local read)         60000\n"
        "      1  put                  20000  2.0us  9.0us   50us\n"
        "      1  get                  40000  1.0us  4.0us   30us\n"
        "      1  fetch_add            10000  1.5us  5.0us   20us\n"
        "      1  stats              2000000  700us  800us  900us\n");
}

TEST(StatsText, ProgramsGetEverything) {
    ClientProfile client{.threads = 1, .local_reads = 17, .operations = {}};
    client.operations.push_back({.operation = Operation::stats, .count = 2, .bytes_received = 800});
    client.operations[0].p99 = std::chrono::nanoseconds(1234);
    const auto report = nlohmann::json::parse(stats_json(two_managers(), client));
    EXPECT_EQ(report["client"]["threads"], 1);
    EXPECT_EQ(report["client"]["local_reads"], 17);
    EXPECT_EQ(report["client"]["operations"]["stats"]["count"], 2);
    EXPECT_EQ(report["client"]["operations"]["stats"]["bytes_received"], 800);
    EXPECT_EQ(report["client"]["operations"]["stats"]["p99_ns"], 1234);
    ASSERT_EQ(report["managers"].size(), 2u);
    const nlohmann::json& second = report["managers"][1];
    EXPECT_EQ(second["alive"], true);
    EXPECT_EQ(second["round_trip_ns"], 70'000);
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
    EXPECT_EQ(second["restarts"], 3);
    EXPECT_EQ(second["tunnels"], 2);
    EXPECT_EQ(second["refused_tunnels"], 4);
    EXPECT_EQ(second["checkpoints"]["working_set"], 3);
    EXPECT_EQ(second["checkpoints"]["newest"], 8);
    EXPECT_EQ(second["checkpoints"]["oldest"], 5);
    EXPECT_EQ(second["checkpoints"]["old_versions"], 1000);
    EXPECT_EQ(second["checkpoints"]["old_version_bytes"], 1 << 20);
    EXPECT_EQ(second["checkpoints"]["transient_pairs"], 6);
    EXPECT_EQ(second["checkpoints"]["held_requests"], 2);
    EXPECT_EQ(second["checkpoints"]["held"], true);
    EXPECT_EQ(second["transport"], "tcp/eth0");
    EXPECT_EQ(second["frozen"], true);
    EXPECT_EQ(second["without_kept"], false);
    EXPECT_EQ(second["operations"]["put"], 20'000);
    EXPECT_EQ(second["operations"]["local_read"], 60'000);
    EXPECT_EQ(second["times_ns"]["get"]["count"], 40'000);
    EXPECT_EQ(second["times_ns"]["get"]["p50"], 1000);
    EXPECT_EQ(second["times_ns"]["get"]["p99"], 4000);
    EXPECT_EQ(second["times_ns"]["get"]["max"], 30'000);
}

TEST(StatsText, AManagerThatIsLostDoesNotHideTheOthers) {
    Sample sample = two_managers();
    sample.managers[0] = gone(0);
    sample.managers[0].node = "node0";
    const std::string table = stats_table(sample);
    EXPECT_NE(table.find("      0  node0  no answer: manager_lost: process 7 of this host has ended\n"
                         "      1  node0   20.0k   1.0G"),
              std::string::npos)
        << table;
    const auto report = nlohmann::json::parse(stats_json(sample, {}));
    const nlohmann::json& lost = report["managers"][0];
    EXPECT_EQ(lost["manager"], 0);
    EXPECT_EQ(lost["node"], "node0");
    EXPECT_EQ(lost["alive"], false);
    EXPECT_EQ(lost["error"]["code"], "manager_lost");
    EXPECT_NE(lost["error"]["message"].get<std::string>().find("process 7"), std::string::npos);
    EXPECT_FALSE(lost.contains("keys"));
    EXPECT_EQ(report["managers"][1]["keys"], 20'000);
}

TEST(StatsText, WhatIsNoTextHarmsNobody) {
    Sample sample = two_managers();
    sample.managers[0].node = "\xff\x1b";
    sample.managers[0].stats->node = sample.managers[0].node;
    sample.managers[1] = gone(1);
    sample.managers[1].lost->set_detail("\x1b\xff");
    EXPECT_EQ(stats_table(sample).find('\x1b'), std::string::npos);
    EXPECT_TRUE(nlohmann::json::accept(stats_json(sample, {})));
}

}  // namespace
}  // namespace ddict::tools
