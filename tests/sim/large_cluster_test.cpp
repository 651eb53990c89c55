// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a manager and a client send and hold does not depend on how many others there are.
#include "tests/sim/large_cluster.h"

#include <gtest/gtest.h>

#include <iostream>

namespace ddict::sim {
namespace {

const PhaseCosts& phase_of(const LargeClusterCosts& costs, const std::string& name) {
    for (const PhaseCosts& phase : costs.phases)
        if (phase.name == name) return phase;
    throw std::logic_error("there is no such phase");
}

TEST(LargeCluster, CostsEachManagerAndClientTheSameAtAnySize) {
    const LargeClusterOptions few{.managers = 50, .clients = 500};
    const LargeClusterOptions many{.managers = 1000, .clients = 10'000};
    const LargeClusterCosts small = run_large_cluster(few);
    const LargeClusterCosts large = run_large_cluster(many);
    EXPECT_EQ(small.problems, "");
    EXPECT_EQ(large.problems, "");
    EXPECT_EQ(small.operations_failed, 0U);
    EXPECT_EQ(large.operations_failed, 0U);
    const auto expect_alike = [](const char* what, const std::string& phase, double a, double b) {
        std::cout << phase << ", " << what << ": " << a << " and " << b << "\n";
        EXPECT_LE(b, 1.15 * a + 1) << what << " in phase " << phase;
    };
    for (const PhaseCosts& a : small.phases) {
        const PhaseCosts& b = phase_of(large, a.name);
        const auto each = [](auto sum, std::uint32_t count) {
            return static_cast<double>(sum) / static_cast<double>(count);
        };
        expect_alike("messages per manager", a.name, each(a.manager_messages, few.managers),
                     each(b.manager_messages, many.managers));
        expect_alike("messages per client", a.name, each(a.client_messages, few.clients),
                     each(b.client_messages, many.clients));
        expect_alike("bytes held per client", a.name, each(a.client_memory, few.clients),
                     each(b.client_memory, many.clients));
        expect_alike("bytes held per manager", a.name, each(a.manager_memory, few.managers),
                     each(b.manager_memory, many.managers));
    }
    const PhaseCosts& attach = phase_of(large, "attach");
    EXPECT_EQ(attach.client_messages, 2U * many.clients) << "a hello and a ping each";
    const PhaseCosts& bring_up = phase_of(large, "bring_up");
    EXPECT_LE(bring_up.manager_messages_max, 20U) << "the roll call is a tree";
}

}  // namespace
}  // namespace ddict::sim
