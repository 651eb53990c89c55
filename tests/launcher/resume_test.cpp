// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What nodes have kept, and whether that fits together and to what is asked for.
#include "launcher/resume.h"

#include <gtest/gtest.h>

#include "shm/layout.h"

namespace ddict::launcher {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

NodePlan plan_of(std::uint32_t nodes) {
    NodePlan plan;
    plan.name = "sweep";
    plan.resume = true;
    plan.nodes = nodes;
    plan.managers_per_node = 2;
    plan.pool_bytes = 8 * mebibyte;
    return plan;
}

std::vector<KeptOnNode> kept_by(std::uint32_t nodes) {
    std::vector<KeptOnNode> all;
    for (std::uint32_t i = 0; i < nodes; ++i) {
        KeptOnNode& node = all.emplace_back();
        node.node = "n" + std::to_string(i + 1);
        node.kept = {.dictionary_id = 0x12ab,
                     .name = "sweep",
                     .nodes = nodes,
                     .managers_per_node = 2,
                     .first_manager = 2 * i,
                     .pool_bytes = 8 * mebibyte,
                     .kept_at = 1'800'000'000,
                     .layout_version = shm::pool_layout_version};
    }
    return all;
}

void expect_refusal(const NodePlan& plan, const std::vector<KeptOnNode>& nodes, Errc code,
                    const std::vector<std::string>& words) {
    const Result<void> agreed = agree_on_kept(plan, nodes);
    ASSERT_FALSE(agreed);
    EXPECT_EQ(agreed.error().code, code);
    for (const std::string& word : words)
        EXPECT_NE(std::string(agreed.error().detail.data()).find(word), std::string::npos)
            << word << " is not in: " << agreed.error().detail.data();
}

TEST(ResumeTest, TravelsBetweenNodes) {
    KeptOnNode node = kept_by(2)[1];
    node.missing = {2, 3};
    node.trouble = Error(Errc::busy, "somebody has it");
    const KeptOnNode back = unpack_kept(pack_kept(node)).value();
    EXPECT_EQ(back.node, "n2");
    EXPECT_EQ(back.kept, node.kept);
    EXPECT_EQ(back.missing, node.missing);
    ASSERT_TRUE(back.trouble);
    EXPECT_EQ(back.trouble->code, Errc::busy);
    EXPECT_STREQ(back.trouble->detail.data(), "somebody has it");

    KeptOnNode nothing;
    nothing.node = "n3";
    EXPECT_FALSE(unpack_kept(pack_kept(nothing)).value().kept);
    const std::string packed = pack_kept(node);
    for (std::size_t length = 0; length < packed.size(); ++length)
        EXPECT_EQ(unpack_kept(std::string_view(packed).substr(0, length)).error().code, Errc::protocol);
    EXPECT_EQ(unpack_kept(packed + "x").error().code, Errc::protocol);
}

TEST(ResumeTest, WhatWasKeptIsGoneOnWith) {
    EXPECT_TRUE(agree_on_kept(plan_of(1), kept_by(1)));
    EXPECT_TRUE(agree_on_kept(plan_of(3), kept_by(3)));
}

TEST(ResumeTest, OtherSettingsAreNamedAndWhatWasKeptToo) {
    NodePlan plan = plan_of(2);
    plan.managers_per_node = 4;
    expect_refusal(
        plan, kept_by(2), Errc::invalid_argument,
        {"'sweep'", "2 nodes of 2 managers with 32M in all", "2 nodes of 4 managers with 64M in all"});
    plan = plan_of(2);
    plan.pool_bytes += 4096;
    expect_refusal(plan, kept_by(2), Errc::invalid_argument, {"32M in all", "33570816 in all"});
    expect_refusal(plan_of(1), kept_by(2), Errc::invalid_argument, {"2 nodes of 2", "1 node of 2"});
    plan.allow_empty = true;
    expect_refusal(plan, kept_by(2), Errc::invalid_argument, {"32M in all"});
    plan = plan_of(2);
    plan.working_set.size = 3;
    expect_refusal(plan, kept_by(2), Errc::invalid_argument,
                   {"32M in all and 1 checkpoint,", "32M in all and 3 checkpoints are asked for"});
    plan.working_set.waits_for_keys = true;
    expect_refusal(plan, kept_by(2), Errc::invalid_argument, {"3 checkpoints that wait for keys are asked"});
}

TEST(ResumeTest, NothingIsNoPartAndAPartIsNotAll) {
    NodePlan plan = plan_of(2);
    std::vector<KeptOnNode> nodes = kept_by(2);
    nodes[1].kept.reset();
    expect_refusal(plan, nodes, Errc::not_found,
                   {"a part of 'sweep'", "n2 has kept nothing", "--allow-empty"});
    nodes = kept_by(2);
    nodes[0].missing = {1};
    expect_refusal(plan, nodes, Errc::not_found, {"manager 1 on n1", "--allow-empty"});
    std::vector<KeptOnNode> none = kept_by(2);
    for (KeptOnNode& node : none)
        node.kept.reset();
    expect_refusal(plan, none, Errc::not_found, {"nothing was kept of 'sweep' on n1, nor"});
    plan.allow_empty = true;
    EXPECT_TRUE(agree_on_kept(plan, nodes));
    EXPECT_TRUE(agree_on_kept(plan, none));
}

TEST(ResumeTest, NodesHaveKeptTheSameDictionaryInTheSameOrder) {
    NodePlan plan = plan_of(2);
    plan.allow_empty = true;
    std::vector<KeptOnNode> nodes = kept_by(2);
    nodes[1].kept->dictionary_id = 0x12ac;
    expect_refusal(plan, nodes, Errc::invalid_argument,
                   {"n1", "n2", "not of the same dictionary", "discard"});
    nodes = kept_by(2);
    std::swap(nodes[0].kept->first_manager, nodes[1].kept->first_manager);
    expect_refusal(plan, nodes, Errc::invalid_argument, {"n1 has kept what manager 2 had", "manager 0"});
}

TEST(ResumeTest, TroubleOnANodeIsToldWithItsName) {
    std::vector<KeptOnNode> nodes = kept_by(3);
    nodes[2].trouble = Error(Errc::busy, "it is being resumed");
    expect_refusal(plan_of(3), nodes, Errc::busy, {"n3: it is being resumed"});
}

}  // namespace
}  // namespace ddict::launcher
