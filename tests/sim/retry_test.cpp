// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Connections break between processes that live: nobody sees an error, and every request takes effect once.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/sim/counting_client.h"
#include "tests/sim/every_verb.h"
#include "tests/sim/seeds.h"
#include "tests/sim/workload.h"
#include "wire/items.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

/// Breaks connections, `times` times in `within`.
void break_connections(Cluster& cluster, std::deque<SimClient*>& clients, unsigned times,
                       std::chrono::microseconds within) {
    Network& network = cluster.network();
    Random& random = cluster.random();
    for (unsigned i = 0; i < times; ++i) {
        const Time when = network.now() +
                          std::chrono::microseconds(random.below(static_cast<std::uint64_t>(within.count())));
        network.at(when, [&] {
            SimClient& client = *clients[random.below(clients.size())];
            SimManager& manager =
                cluster.manager(static_cast<std::uint32_t>(random.below(cluster.managers())));
            if (!client.process().alive() || !manager.process().alive()) return;
            // A client of the same host trusts the kernel, and does not ask.
            const bool same_host = client.process().host() == manager.process().host();
            network.sever(client.process(), manager.process(), same_host || random.chance(70),
                          random.chance(70));
        });
    }
}

TEST(Retry, HistoriesAreLinearizableAndNobodySeesAnError) {
    std::uint64_t severed = 0;
    std::uint64_t repeated = 0;
    for_each_seed(2000, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2, .pool_bytes = limits::pool_bytes_min});
        Network& network = cluster.network();
        Histories histories;
        std::deque<BusyClient> clients;
        std::deque<SimClient*> sim_clients;
        for (unsigned i = 0; i < 4; ++i) {
            const BusyOptions options{.operations = 12, .in_flight_max = 3, .pause_max = 500us};
            clients.emplace_back(cluster, cluster.add_client(i % 3), histories, options).start();
            sim_clients.push_back(&clients.back().client());
        }
        break_connections(cluster, sim_clients, 6, 6ms);
        if (cluster.random().chance(30)) {
            network.at(network.now() + std::chrono::microseconds(cluster.random().below(3000)),
                       [&] { network.cut(0, 1); });
            network.at(network.now() + 5ms + std::chrono::milliseconds(cluster.random().below(1200)),
                       [&] { network.join(0, 1); });
        }
        ASSERT_TRUE(network.run());
        for (const BusyClient& client : clients)
            EXPECT_TRUE(client.finished());
        for (const auto& [code, count] : histories.errors())
            EXPECT_TRUE(code == Errc::not_found || code == Errc::wrong_type)
                << count << " times " << name(code);
        EXPECT_EQ(histories.contradictions(), "");
        for (std::uint32_t m = 0; m < cluster.managers(); ++m)
            repeated += cluster.manager(m).statistics().repeated_requests;
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        severed += network.counters().severed;
        tally.operations += histories.operations();
        tally.histories += histories.size();
        tally.events += network.counters().events;
    });
    EXPECT_TRUE((severed > 500 && repeated > 100) || repeats_one_seed())
        << severed << " connections broken, " << repeated << " requests repeated";
}

TEST(Retry, EveryRequestTakesEffectOnce) {
    std::uint64_t severed = 0;
    std::uint64_t repeated = 0;
    for_each_seed(2500, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2, .pool_bytes = limits::pool_bytes_min});
        constexpr unsigned operations = 30;
        std::deque<CountingClient> clients;
        std::deque<SimClient*> sim_clients;
        for (unsigned i = 0; i < 3; ++i) {
            sim_clients.push_back(&cluster.add_client(i));
            clients.emplace_back(cluster, *sim_clients.back(), i, operations)
                .start(static_cast<unsigned>(1 + cluster.random().below(5)));
        }
        break_connections(cluster, sim_clients, 8, 8ms);
        ASSERT_TRUE(cluster.network().run());
        for (const CountingClient& client : clients)
            EXPECT_EQ(client.done, operations);
        expect_exact(cluster, clients);
        for (std::uint32_t m = 0; m < cluster.managers(); ++m)
            repeated += cluster.manager(m).statistics().repeated_requests;
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        severed += cluster.network().counters().severed;
        tally.operations += operations * clients.size();
        tally.events += cluster.network().counters().events;
    });
    EXPECT_TRUE((severed > 500 && repeated > 100) || repeats_one_seed())
        << severed << " connections broken, " << repeated << " requests repeated";
}

/// Managers pass broadcasts on to each other, over connections that break.
TEST(Retry, BroadcastsArriveEverywhere) {
    std::uint64_t severed = 0;
    for_each_seed(400, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 7, .hosts = 3, .pool_bytes = limits::pool_bytes_min});
        Network& network = cluster.network();
        Random& random = cluster.random();
        SimClient& client = cluster.add_client(3);
        for (int i = 0; i < 12; ++i) {
            network.at(network.now() + std::chrono::microseconds(random.below(6000)), [&] {
                const auto any = [&]() -> SimManager& {
                    return cluster.manager(static_cast<std::uint32_t>(random.below(cluster.managers())));
                };
                Process& one = any().process();
                Process& other = random.chance(30) ? client.process() : any().process();
                if (&one == &other) return;
                network.sever(one, other, true, true);
            });
        }
        const std::string key = "b" + std::to_string(seed);
        std::vector<std::byte> value;
        for (int i = 0; i < 4; ++i, ++tally.operations) {
            value = random.bytes(random.chance(50) ? 8000 : 20);
            const Outcome outcome = client.call({.verb = Verb::broadcast_put,
                                                 .manager = cluster.manager_of_key(key),
                                                 .key = key,
                                                 .value = value});
            ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
            for (std::uint32_t m = 0; m < cluster.managers(); ++m) {
                const shm::Block* block =
                    cluster.manager(m).pool().find(bytes_of(key), hash_of(bytes_of(key)));
                ASSERT_NE(block, nullptr);
                EXPECT_TRUE(
                    std::equal(value.begin(), value.end(), block->value().begin(), block->value().end()));
            }
        }
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        severed += network.counters().severed;
        tally.events += network.counters().events;
    });
    EXPECT_TRUE(severed > 500 || repeats_one_seed()) << severed;
}

/// Connections break, and a manager dies: then it counts as lost within two seconds, and not before it is.
TEST(Retry, ADeadManagerIsStillLostSoon) {
    std::uint64_t lost = 0;
    for_each_seed(800, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2, .pool_bytes = limits::pool_bytes_min});
        Network& network = cluster.network();
        std::deque<SimClient*> clients;
        const Time death = network.now() + std::chrono::microseconds(cluster.random().below(5000));
        Time last_end{};
        for (unsigned i = 0; i < 3; ++i) {
            clients.push_back(&cluster.add_client(i));
            for (int n = 0; n < 20; ++n, ++tally.operations) {
                network.at(network.now() + std::chrono::microseconds(cluster.random().below(5000)), [&, i] {
                    Ask ask{.verb = Verb::fetch_add,
                            .key = "n",
                            .value = std::vector<std::byte>(8),
                            .value_type = 0x0123,
                            .argument = 1};
                    clients[i]->start(std::move(ask), [&](const Outcome& outcome) {
                        if (outcome.ok()) return;
                        EXPECT_EQ(outcome.code(), Errc::manager_lost);
                        EXPECT_GE(network.now(), death);
                        last_end = std::max(last_end, network.now());
                        ++lost;
                    });
                });
            }
        }
        break_connections(cluster, clients, 6, 5ms);
        network.at(death, [&] { cluster.manager(0).kill(); });
        ASSERT_TRUE(network.run());
        EXPECT_LE(last_end, death + 2s + 5ms);
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.events += network.counters().events;
    });
    EXPECT_TRUE(lost > 500 || repeats_one_seed()) << lost;
}

}  // namespace
}  // namespace ddict::sim
