// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Nodes that try each other, as threads of one process, over addresses of the loopback.
#include "launcher/network_trial.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

namespace ddict::launcher {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds timeout{10'000};

std::unique_ptr<NetworkTrial> node(const std::string& name, const std::string& address) {
    return NetworkTrial::listen(name, {{.name = "lo", .addresses = {"127.0.0.1"}, .loopback = true},
                                       {.name = "eth0", .addresses = {address}},
                                       {.name = "usbp", .addresses = {}}})
        .value();
}

TEST(NetworkTrial, NodesReachEachOther) {
    std::vector<std::unique_ptr<NetworkTrial>> trials;
    std::vector<TrialNode> nodes;
    for (int i = 1; i <= 4; ++i) {
        trials.push_back(node("n" + std::to_string(i), "127.0.7." + std::to_string(i)));
        nodes.push_back(parse_trial_node(format_trial_node(trials.back()->self())).value());
        EXPECT_EQ(nodes.back().addresses.size(), 1U) << "not the loopback, nothing without an address";
    }
    std::atomic<int> running = 4;
    std::atomic<std::size_t> problems = 0;
    std::vector<std::thread> threads;
    for (std::uint32_t self = 0; self < 4; ++self) {
        threads.emplace_back([&, self] {
            std::vector<TrialNode> others;
            for (const std::uint32_t partner : trial_partners(self, 4))
                others.push_back(nodes[partner]);
            EXPECT_EQ(others.size(), 3U);
            problems += trials[self]->run(others, timeout).size();
            --running;
            while (running > 0)  // as the exchange after it
                trials[self]->answer();
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(problems, 0U);
}

TEST(NetworkTrial, AnAddressThatLeadsElsewhereIsNamed) {
    const auto self = node("n1", "127.0.7.1");
    TrialNode other{.node = "n2", .secret = 7, .addresses = self->self().addresses};
    other.addresses[0].interface = "usb0";
    const auto problems = self->run({other}, timeout);
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].to, "n2");
    EXPECT_EQ(problems[0].interface, "usb0");
    EXPECT_EQ(problems[0].address, "127.0.7.1");
    EXPECT_EQ(problems[0].why, "another machine answers there");
}

TEST(NetworkTrial, NobodyThere) {
    const auto self = node("n1", "127.0.7.1");
    TrialNode other = node("n2", "127.0.7.2")->self();  // and has gone
    const auto refused = self->run({other}, timeout);
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_EQ(refused[0].why, "Connection refused");
    other.addresses[0].address = "nonsense";
    EXPECT_EQ(self->run({other}, timeout).size(), 1U);
}

/// Listens, and says nothing.
TEST(NetworkTrial, ASilentNodeIsNotWaitedForLongerThanAsked) {
    const auto self = node("n1", "127.0.7.1");
    const auto silent = node("n2", "127.0.7.2");
    const auto began = std::chrono::steady_clock::now();
    const auto problems = self->run({silent->self()}, milliseconds(200));
    EXPECT_LT(std::chrono::steady_clock::now() - began, timeout);
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].why, "no answer within 200 ms");
}

TEST(NetworkTrial, OfManyNodesEachIsTriedByOthers) {
    EXPECT_EQ(trial_partners(0, 1), std::vector<std::uint32_t>{});
    EXPECT_EQ(trial_partners(1, 3), (std::vector<std::uint32_t>{0, 2}));
    for (const std::uint32_t nodes : {16U, 17U, 1000U}) {
        std::map<std::uint32_t, std::size_t> tried;
        for (std::uint32_t self = 0; self < nodes; ++self) {
            const auto partners = trial_partners(self, nodes);
            EXPECT_LE(partners.size(), 20U);
            for (const std::uint32_t partner : partners) {
                EXPECT_NE(partner, self);
                ++tried[partner];
            }
        }
        EXPECT_EQ(tried.size(), nodes);
        for (const auto& [partner, times] : tried)
            EXPECT_GE(times, 8U) << partner << " of " << nodes;
    }
}

TEST(NetworkTrial, GarbageIsRefused) {
    EXPECT_FALSE(parse_trial_node(""));
    EXPECT_FALSE(parse_trial_node("{}"));
    EXPECT_FALSE(parse_trial_node(R"({"node":"n","secret":1,"addresses":[["a"]]})"));
    EXPECT_FALSE(parse_trial_node(R"({"node":"n","secret":1,"addresses":[["a","b",70000,1]]})")) << "a port";
}

}  // namespace
}  // namespace ddict::launcher
