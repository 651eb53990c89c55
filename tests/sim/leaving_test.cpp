// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients leave in the middle of their work, and their processes live on: no manager keeps anything of them.
#include <gtest/gtest.h>

#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

TEST(Leaving, InTheMiddleOfAnythingLeavesNothingAtTheManagers) {
    std::uint64_t given_up = 0;
    std::uint64_t answered = 0;
    for_each_seed(2000, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2, .pool_bytes = limits::pool_bytes_min});
        Network& network = cluster.network();
        Random& random = cluster.random();
        const auto soon = [&](std::uint64_t most) {
            return network.now() + std::chrono::microseconds(random.below(most));
        };
        for (unsigned i = 0; i < 3; ++i) {
            SimClient& client = cluster.add_client(i % 3);
            const auto begin = [&] {
                const Verb verb = random.chance(60) ? Verb::put : random.chance(50) ? Verb::get : Verb::pop;
                const std::string key = "key" + std::to_string(random.below(4));
                Ask ask{.verb = verb, .manager = cluster.manager_of_key(key), .key = key};
                if (verb == Verb::put) ask.value = std::vector<std::byte>(random.below(60'000));
                client.start(std::move(ask), [&](const Outcome& outcome) {
                    outcome.code() == Errc::not_attached ? ++given_up : ++answered;
                });
            };
            for (int n = 0; n < 6; ++n, ++tally.operations)
                begin();
            Time leaves = soon(1500);
            if (random.chance(30)) {
                network.at(soon(1500), [&] {
                    const auto number = static_cast<std::uint32_t>(random.below(cluster.managers()));
                    network.sever(client.process(), cluster.manager(number).process(), true, true);
                });
                // A goodbye through a connection whose end has not been noticed yet is lost. Over a real
                // network the manager hears then that the client has closed it.
                leaves = soon(100'000) + NetworkOptions{}.detection_max_other_host;
                network.at(leaves - 200us, client.process(), begin);
            }
            network.at(leaves, client.process(), [&] { client.requester().leave(); });
        }
        ASSERT_TRUE(network.run());
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.events += network.counters().events;
    });
    EXPECT_TRUE((given_up > 1000 && answered > 1000) || repeats_one_seed())
        << given_up << " given up, " << answered << " answered";
}

}  // namespace
}  // namespace ddict::sim
