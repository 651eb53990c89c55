// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/preflight.h"

#include <gtest/gtest.h>

namespace ddict::launcher {
namespace {

NodeFacts node_with_network() {
    NodeFacts facts;
    facts.node = "n1";
    facts.host_name_bytes = 2;
    facts.ucx_version = "1.13.1";
    facts.segments = {4096, 10, 0};
    facts.network.used = {"eth0", "usb1"};
    facts.network.nodes_tried = 3;
    return facts;
}

bool says(const Finding& finding, const std::string& text) {
    return finding.text.find(text) != std::string::npos;
}

TEST(NodeFacts, WhatIsLongTravelsToo) {
    NodeFacts facts = node_with_network();
    facts.limit_unseen = std::string(300, 'u');
    facts.kept_unseen = std::string(300, 'k');
    facts.ucx_error = std::string(300, 'e');
    facts.stale_removed = 3;
    facts.places = std::string(700, 'p');
    facts.unbound = std::string(300, 'b');
    facts.network.left_out = {"docker0"};
    facts.network.error = "no answer";
    for (int i = 0; i < 40; ++i)
        facts.network.problems.push_back({std::string(64, 'n'), "eth0", "10.0.0.1", std::string(300, 'w')});
    const std::string lines = format_facts(facts);
    for (std::size_t begin = 0; begin < lines.size();) {
        const std::size_t end = lines.find('\n', begin);
        EXPECT_LT(end - begin, 1000U) << "slurmstepd cuts longer ones";
        begin = end + 1;
    }
    const auto read = parse_facts(lines);
    ASSERT_EQ(read.size(), 1U);
    EXPECT_EQ(read[0].node, "n1");
    EXPECT_EQ(read[0].limit_unseen, std::string(200, 'u'));
    EXPECT_EQ(read[0].kept_unseen, std::string(200, 'k'));
    EXPECT_EQ(read[0].stale_removed, 3U);
    EXPECT_EQ(read[0].places, std::string(600, 'p'));
    EXPECT_EQ(read[0].unbound, std::string(200, 'b'));
    EXPECT_EQ(read[0].segments.max, 4096U);
    EXPECT_EQ(read[0].segments.used, 10U);
    EXPECT_EQ(read[0].network.used, facts.network.used);
    EXPECT_EQ(read[0].network.left_out, facts.network.left_out);
    EXPECT_EQ(read[0].network.nodes_tried, 3U);
    EXPECT_EQ(read[0].network.error, "no answer");
    EXPECT_EQ(read[0].network.problems.size(), 32U);
    EXPECT_EQ(read[0].network.problems_more, 8U);
    EXPECT_EQ(read[0].network.problems[0].address, "10.0.0.1");
}

TEST(NodeFacts, SegmentsOfTheEndedAreCounted) {
    const SegmentFacts facts = count_segments(
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid\n"
        "         0          1  1600               4096    10    10      0     0     0     0\n"
        "         0          2  1600               4096    11    10      0     0     0     0\n"
        "         0          3  1600               4096    11    10      2     0     0     0\n"
        "         0          4  1600               4096     0     0      0     0     0     0\n"
        "nonsense\n",
        [](std::int64_t pid) { return pid == 10; });
    EXPECT_EQ(facts.used, 4U);
    EXPECT_EQ(facts.left, 1U) << "those in use, and those of unknown creators, are none";
}

TEST(Preflight, SegmentsOfSystemV) {
    NodeFacts facts = node_with_network();
    EXPECT_EQ(judge_segments(facts).level, Level::ok);
    facts.segments = {4096, 4092, 0};
    EXPECT_EQ(judge_segments(facts).level, Level::warning) << "none are ddict's";
    EXPECT_TRUE(says(judge_segments(facts), "raise kernel.shmmni"));
    facts.segments = {4096, 4095, 4000};
    EXPECT_EQ(judge_segments(facts).level, Level::warning);
    EXPECT_TRUE(says(judge_segments(facts), "4000 of them left behind")) << judge_segments(facts).text;
    EXPECT_TRUE(says(judge_segments(facts), "ipcrm"));
    facts.segments = {};
    EXPECT_EQ(judge_segments(facts).level, Level::warning) << "not known is not well";
}

TEST(Preflight, HostNames) {
    NodeFacts facts = node_with_network();
    facts.host_name_bytes = 63;
    EXPECT_EQ(judge_host_name(facts).level, Level::ok);
    facts.host_name_bytes = 64;
    EXPECT_EQ(judge_host_name(facts).level, Level::failed);
}

TEST(Preflight, OtherNodes) {
    NodeFacts facts = node_with_network();
    EXPECT_EQ(judge_reach(facts).level, Level::ok);
    EXPECT_TRUE(says(judge_reach(facts), "reached 3 other nodes over eth0 usb1")) << judge_reach(facts).text;
    facts.network.problems = {{"n2", "usb1", "10.9.9.2", "no answer within 4000 ms"}};
    const Finding failed = judge_reach(facts);
    EXPECT_EQ(failed.level, Level::failed);
    EXPECT_TRUE(says(failed, "n2 at 10.9.9.2 (usb1: no answer within 4000 ms)")) << failed.text;
    EXPECT_TRUE(says(failed, "set DDICT_UCX_NET_DEVICES to what works (eth0)")) << failed.text;
    facts.network.problems.push_back({"n3", "eth0", "10.0.0.3", "Connection refused"});
    EXPECT_TRUE(says(judge_reach(facts), "no interface works")) << judge_reach(facts).text;
    facts.network.error = "PMIx: no answer";
    EXPECT_EQ(judge_reach(facts).level, Level::failed);
    facts = node_with_network();
    facts.network.used.clear();
    EXPECT_EQ(judge_reach(facts).level, Level::warning) << "not tried is not well";
}

TEST(Preflight, WhatIsLeftOutIsNamed) {
    NodeFacts facts = node_with_network();
    facts.transports = {{"tcp", "eth0"}, {"tcp", "usb0"}};
    facts.network.left_out = {"docker0", "usb0"};
    EXPECT_TRUE(says(judge_network(facts, true), "they lead to no other node: docker0 usb0"))
        << judge_network(facts, true).text;
    EXPECT_TRUE(says(judge_network(facts, true), "network tcp/eth0;")) << judge_network(facts, true).text;
}

TEST(Preflight, ALimitThatCannotBeSeenIsAWarning) {
    NodeFacts facts = node_with_network();
    facts.memory = {std::uint64_t{1} << 40, std::uint64_t{1} << 40, "this node's memory"};
    EXPECT_TRUE(says(judge_memory(facts, {1, 1, 1 << 20}), "/dev/shm is not there"));
    facts.shared_total_bytes = std::uint64_t{1} << 40;
    EXPECT_EQ(judge_memory(facts, {1, 1, 1 << 20}).level, Level::ok);
    facts.limit_unseen = "no cgroups are mounted here";
    EXPECT_EQ(judge_memory(facts, {1, 1, 1 << 20}).level, Level::warning);
}

TEST(Preflight, WhatIsKeptAndCannotBeSeenIsAWarning) {
    NodeFacts facts = node_with_network();
    EXPECT_EQ(judge_kept(facts).level, Level::ok);
    facts.kept_unseen = "too many open files";
    EXPECT_EQ(judge_kept(facts).level, Level::warning);
    EXPECT_TRUE(says(judge_kept(facts), "not known: too many open files"));
    EXPECT_FALSE(says(judge_kept(facts), "nothing"));
}

}  // namespace
}  // namespace ddict::launcher
