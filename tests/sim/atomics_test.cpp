// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Whatever several clients do to the same keys at once, alone and in batches, has an order.
#include <gtest/gtest.h>

#include "tests/sim/every_verb.h"
#include "tests/sim/seeds.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

void add_up(Tally& tally, Cluster& cluster, const Histories& histories) {
    tally.operations += histories.operations();
    tally.histories += histories.size();
    tally.events += cluster.network().counters().events;
}

TEST(Atomics, AreLinearizable) {
    std::map<Verb, std::uint64_t> successes;
    std::uint64_t erased_as_prefix = 0;
    for_each_seed(250, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        Histories histories;
        std::deque<BusyClient> clients;
        for (unsigned i = 0; i < 4; ++i)
            clients.emplace_back(cluster, cluster.add_client(i % 3), histories).start();
        ASSERT_TRUE(cluster.network().run());
        for (const BusyClient& client : clients) {
            EXPECT_TRUE(client.finished());
            erased_as_prefix += client.erased_as_prefix();
        }
        for (const auto& [code, count] : histories.errors())
            EXPECT_TRUE(code == Errc::not_found || code == Errc::wrong_type)
                << count << " times " << name(code);
        EXPECT_EQ(histories.contradictions(), "");
        EXPECT_EQ(cluster.problems_at_rest(), "");
        for (const Verb verb : {Verb::put, Verb::pop, Verb::compare_and_swap, Verb::fetch_add, Verb::append})
            successes[verb] += histories.successes(verb);
        add_up(tally, cluster, histories);
    });
    for (const auto& [verb, count] : successes)
        EXPECT_TRUE(count > 100 || repeats_one_seed()) << name(operation_of(verb)) << " " << count;
    EXPECT_TRUE(erased_as_prefix > 100 || repeats_one_seed()) << erased_as_prefix;
}

/// The most contended history, with more at once and only one key.
TEST(Atomics, OnOneKeyAreLinearizable) {
    for_each_seed(150, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        Histories histories;
        std::deque<BusyClient> clients;
        for (unsigned i = 0; i < 4; ++i) {
            clients
                .emplace_back(
                    cluster, cluster.add_client(i % 2), histories,
                    BusyOptions{.operations = 12, .in_flight_max = 2, .keys = 1, .pause_max = 500us})
                .start();
        }
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(histories.contradictions(), "");
        EXPECT_EQ(cluster.problems_at_rest(), "");
        add_up(tally, cluster, histories);
    });
}

/// Clients die, and the network is cut for a while.
TEST(Atomics, AreLinearizableUnderFaults) {
    std::uint64_t unknown = 0;
    for_each_seed(200, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        Network& network = cluster.network();
        Histories histories;
        std::deque<BusyClient> clients;
        for (unsigned i = 0; i < 4; ++i) {
            const BusyOptions options{
                .operations = 15,
                .pause_max = 500us,
                .timeout = std::chrono::milliseconds(cluster.random().chance(50) ? 30'000 : 2)};
            clients.emplace_back(cluster, cluster.add_client(i % 3), histories, options).start();
        }
        const auto some_time = [&] {
            return network.now() + std::chrono::microseconds(cluster.random().below(3000));
        };
        network.at(some_time(), [&] { clients[0].client().kill(); });
        network.at(some_time(), [&] { network.cut(0, 1); });
        network.at(some_time() + 5ms, [&] { network.join(0, 1); });
        ASSERT_TRUE(network.run());
        network.join(0, 1);
        ASSERT_TRUE(network.run());
        for (const auto& [code, count] : histories.errors()) {
            EXPECT_TRUE(code == Errc::not_found || code == Errc::wrong_type || code == Errc::timeout ||
                        code == Errc::manager_lost)
                << count << " times " << name(code);
            if (code == Errc::timeout || code == Errc::manager_lost) unknown += count;
        }
        EXPECT_EQ(histories.contradictions(), "");
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        add_up(tally, cluster, histories);
    });
    EXPECT_TRUE(unknown > 100 || repeats_one_seed()) << unknown;
}

/// From the answer to a freeze until the unfreezing is asked for, nothing changes; what is refused has no
/// effect, and afterwards all goes on.
TEST(Atomics, NothingChangesWhileFrozen) {
    std::uint64_t refused = 0;
    for_each_seed(150, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        Network& network = cluster.network();
        const shm::Pool& pool = cluster.manager(0).pool();
        Histories histories;
        std::deque<BusyClient> clients;
        for (unsigned i = 0; i < 4; ++i) {
            clients
                .emplace_back(cluster, cluster.add_client(i % 2), histories,
                              BusyOptions{.operations = 15, .pause_max = 600us})
                .start();
        }
        const auto content = [&] {
            std::map<std::string, std::uint64_t> out;
            pool.scan(0, [&](const shm::Block& block) {
                out[std::string(ddict::text_of(block.key()))] = content_of(block.value(), block.value_type());
                return true;
            });
            return out;
        };
        SimClient& owner = cluster.add_client(1);
        for (int i = 0; i < 3; ++i) {
            const Time later = network.now() + std::chrono::microseconds(cluster.random().below(800));
            network.run_until([&] { return network.now() >= later; });
            ASSERT_TRUE(owner.call({.verb = Verb::freeze, .argument = 1}).ok());
            const auto before = content();
            const Time until = network.now() + std::chrono::microseconds(cluster.random().below(800));
            network.run_until([&] { return network.now() >= until; });
            EXPECT_TRUE(content() == before);
            ASSERT_TRUE(owner.call({.verb = Verb::freeze, .argument = 0}).ok());
        }
        ASSERT_TRUE(network.run());
        for (const BusyClient& client : clients)
            EXPECT_TRUE(client.finished());
        if (const auto found = histories.errors().find(Errc::frozen); found != histories.errors().end())
            refused += found->second;
        EXPECT_EQ(histories.contradictions(), "");
        EXPECT_EQ(cluster.problems_at_rest(), "");
        add_up(tally, cluster, histories);
    });
    EXPECT_TRUE(refused > 100 || repeats_one_seed()) << refused;
}

}  // namespace
}  // namespace ddict::sim
