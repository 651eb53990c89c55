// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Managers are killed while programs run, and others take over what they have left, at other addresses:
// programs find them, go on with their sessions, and each of their requests takes effect once.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/sim/counting_client.h"
#include "tests/sim/every_verb.h"
#include "tests/sim/seeds.h"
#include "tests/sim/workload.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

Duration some_time(Cluster& cluster, Duration most) {
    return Duration(1 + cluster.random().below(static_cast<std::uint64_t>(most.count())));
}

/// Some of the managers are killed at some time, each several times, the one time after the other. The last
/// one stays: others ask it where those are that came back at the same time as they.
std::uint64_t kill_some(Cluster& cluster, Duration pause_max, Duration down_max) {
    std::uint64_t kills = 0;
    for (std::uint32_t manager = 0; manager + 1 < cluster.managers(); ++manager) {
        Time when = cluster.network().now();
        for (std::uint64_t i = cluster.random().below(4); i > 0; --i) {
            when += some_time(cluster, pause_max);
            Restart how{.noticed = {}, .down = some_time(cluster, down_max)};
            if (cluster.random().chance(60)) how.noticed = some_time(cluster, how.down);
            cluster.network().at(when, [&cluster, manager, how] { cluster.restart(manager, how); });
            when += how.down;
            ++kills;
        }
    }
    return kills;
}

void expect_only_missing(const Book& book) {
    for (const auto& [code, count] : book.errors())
        EXPECT_EQ(code, Errc::not_found) << count << " times " << name(code);
    EXPECT_EQ(book.unknown(), 0u);
    EXPECT_EQ(book.contradictions(), "");
}

TEST(Restart, NobodyNoticesThatManagersAreKilled) {
    std::uint64_t kills = 0;
    for_each_seed(100, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 4, .hosts = 2, .is_restartable = true});
        Book book;
        std::deque<SharingClient> clients;
        for (unsigned i = 0; i < 5; ++i)
            clients
                .emplace_back(cluster, cluster.add_asking_client(i % 4), book,
                              WorkloadOptions{.operations = 40, .pause_max = 1ms})
                .start();
        kills += kill_some(cluster, 10ms, cluster.random().chance(50) ? 2ms : 300ms);
        // Sometimes one hears late of what was so at first.
        std::vector<Epoch> newest(clients.size() * cluster.managers(), no_epoch);
        for (unsigned i = 0; i < 10; ++i) {
            SimClient& client = clients[cluster.random().below(clients.size())].client();
            const auto manager = static_cast<std::uint32_t>(cluster.random().below(cluster.managers()));
            cluster.network().at(
                cluster.network().now() + some_time(cluster, 100ms), client.process(),
                [&cluster, &client, manager] { client.requester().add_manager(cluster.at_first(manager)); });
        }
        while (cluster.network().step()) {
            for (std::size_t i = 0; i < newest.size(); ++i) {
                const ShardId shard{static_cast<std::uint32_t>(i % cluster.managers())};
                Requester& requester = clients[i / cluster.managers()].client().requester();
                const Epoch epoch = requester.known_manager(shard)->epoch;
                ASSERT_GE(epoch, newest[i]) << "what a client knows has become older";
                newest[i] = epoch;
            }
        }
        for (const SharingClient& client : clients)
            EXPECT_TRUE(client.finished());
        expect_only_missing(book);
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.operations += book.operations();
        tally.histories += book.histories();
        tally.events += cluster.network().counters().events;
    });
    EXPECT_TRUE(kills > 200u || repeats_one_seed());
}

/// As above, for every verb.
TEST(Restart, HistoriesOfEveryVerbAreLinearizable) {
    std::uint64_t kills = 0;
    for_each_seed(100, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(
            seed, {.managers = 3, .hosts = 2, .pool_bytes = limits::pool_bytes_min, .is_restartable = true});
        Histories histories;
        std::deque<BusyClient> clients;
        for (unsigned i = 0; i < 4; ++i)
            clients
                .emplace_back(cluster, cluster.add_asking_client(i % 3), histories,
                              BusyOptions{.operations = 15, .in_flight_max = 3, .pause_max = 500us})
                .start();
        kills += kill_some(cluster, 4ms, cluster.random().chance(50) ? 1ms : 100ms);
        ASSERT_TRUE(cluster.network().run());
        for (const BusyClient& client : clients)
            EXPECT_TRUE(client.finished());
        for (const auto& [code, count] : histories.errors())
            EXPECT_TRUE(code == Errc::not_found || code == Errc::wrong_type)
                << count << " times " << name(code);
        EXPECT_EQ(histories.contradictions(), "");
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.operations += histories.operations();
        tally.histories += histories.size();
        tally.events += cluster.network().counters().events;
    });
    EXPECT_TRUE(kills > 100u || repeats_one_seed());
}

TEST(Restart, EachRequestTakesEffectOnce) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(
            seed, {.managers = 3, .hosts = 2, .pool_bytes = limits::pool_bytes_min, .is_restartable = true});
        std::deque<CountingClient> clients;
        constexpr unsigned operations = 40;
        for (unsigned i = 0; i < 4; ++i)
            clients.emplace_back(cluster, cluster.add_asking_client(i), i, operations)
                .start(static_cast<unsigned>(1 + cluster.random().below(5)));
        kill_some(cluster, 5ms, 20ms);
        ASSERT_TRUE(cluster.network().run());
        for (const CountingClient& client : clients)
            EXPECT_EQ(client.done, operations);
        expect_exact(cluster, clients);
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.operations += operations * clients.size();
        tally.events += cluster.network().counters().events;
    });
}

/// Also while managers are killed that pass them on, and those that they begin at.
TEST(Restart, BroadcastsArriveEverywhere) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(
            seed, {.managers = 7, .hosts = 3, .pool_bytes = limits::pool_bytes_min, .is_restartable = true});
        Random& random = cluster.random();
        SimClient& client = cluster.add_asking_client(3);
        kill_some(cluster, 3ms, random.chance(50) ? 1ms : 30ms);
        const std::string key = "b" + std::to_string(seed);
        const Bytes key_bytes = bytes_of(key);
        for (int i = 0; i < 4; ++i, ++tally.operations) {
            const bool erases = i > 0 && random.chance(20);
            const std::vector<std::byte> value = random.bytes(random.chance(50) ? 8000 : 20);
            const Outcome outcome = client.call({.verb = erases ? Verb::broadcast_erase : Verb::broadcast_put,
                                                 .manager = cluster.manager_of_key(key),
                                                 .key = key,
                                                 .value = erases ? std::vector<std::byte>() : value});
            if (erases && outcome.code() == Errc::not_found) continue;
            ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
            for (std::uint32_t m = 0; m < cluster.managers(); ++m) {
                if (!cluster.manager(m).serves()) continue;
                const shm::Block* block = cluster.manager(m).pool().find(key_bytes, hash_of(key_bytes));
                if (erases) {
                    EXPECT_EQ(block, nullptr) << "it is still on manager " << m;
                    continue;
                }
                ASSERT_NE(block, nullptr) << "it is not on manager " << m;
                EXPECT_TRUE(
                    std::equal(value.begin(), value.end(), block->value().begin(), block->value().end()));
            }
        }
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.events += cluster.network().counters().events;
    });
}

/// Longer than silence makes a manager lost, since the directory says that it comes back.
TEST(Restart, ARestartIsWaitedFor) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 4, .hosts = 2, .is_restartable = true});
        std::deque<SimClient*> clients;
        for (std::uint32_t host = 0; host < 3; ++host)
            clients.push_back(&cluster.add_asking_client(host));
        const auto victim = static_cast<std::uint32_t>(cluster.random().below(4));
        for (SimClient* client : clients) {
            const bool has_spoken = cluster.random().chance(70);
            if (has_spoken) {
                EXPECT_TRUE(client->call({.verb = Verb::ping, .manager = victim}).ok());
            }
        }
        const Time killed = cluster.network().now();
        const Duration down = 2500ms + some_time(cluster, 1500ms);
        cluster.restart(victim, {.noticed = some_time(cluster, 20ms), .down = down});
        unsigned answered = 0;
        for (SimClient* client : clients) {
            cluster.network().at(killed + some_time(cluster, 2000ms), client->process(), [&, client] {
                client->start({.verb = Verb::size, .manager = victim}, [&](const Outcome& outcome) {
                    EXPECT_TRUE(outcome.ok()) << outcome.reply.error().message();
                    EXPECT_LE(cluster.network().now() - killed, down + 1s);
                    ++answered;
                });
                client->start({.verb = Verb::size, .manager = victim, .timeout = 300ms},
                              [&](const Outcome& outcome) {
                                  EXPECT_EQ(outcome.code(), Errc::timeout) << "its own deadline holds";
                                  ++answered;
                              });
            });
        }
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(answered, 2 * clients.size());
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.operations += answered;
        tally.events += cluster.network().counters().events;
    });
}

TEST(Restart, WaitsGoOn) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 3, .hosts = 2, .is_restartable = true});
        std::string key = "key";
        while (cluster.manager_of_key(key) != 0)
            key += '+';  // that of a manager that is killed
        const std::uint32_t owner = 0;
        unsigned found = 0;
        for (std::uint32_t host = 0; host < 3; ++host) {
            cluster.add_asking_client(host).start(
                {.verb = Verb::wait_for, .manager = owner, .key = key, .argument = 20'000'000},
                [&](const Outcome& outcome) {
                    ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
                    EXPECT_EQ(outcome.value, std::vector<std::byte>(3, std::byte{7}));
                    ++found;
                });
        }
        SimClient& writer = cluster.add_asking_client(3);
        kill_some(cluster, 20ms, 50ms);
        cluster.network().at(cluster.network().now() + some_time(cluster, 400ms), writer.process(), [&] {
            writer.start({.verb = Verb::put,
                          .manager = owner,
                          .key = key,
                          .value = std::vector<std::byte>(3, std::byte{7})},
                         [](const Outcome& outcome) { EXPECT_TRUE(outcome.ok()); });
        });
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(found, 3u);
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.operations += 4;
        tally.events += cluster.network().counters().events;
    });
}

/// One that has told nobody yet of another one of its node when it is killed itself.
TEST(Restart, NewsThatDieWithTheirTellerAreToldAgain) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 4, .hosts = 2, .is_restartable = true});
        SimClient& client = cluster.add_asking_client(3);
        const Time back = cluster.network().now() + some_time(cluster, 2ms);
        cluster.restart(2, {.noticed = {}, .down = back - cluster.network().now()});
        cluster.network().at(back + some_time(cluster, 200us),
                             [&cluster] { cluster.restart(0, {.noticed = {}, .down = 1ms}); });
        cluster.network().at(back + 5ms, [] {});
        ASSERT_TRUE(cluster.network().run_until([&] { return cluster.network().now() >= back + 5ms; }));
        const Outcome outcome = client.call({.verb = Verb::size, .manager = 2});
        ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        ++tally.operations;
        tally.events += cluster.network().counters().events;
    });
}

/// All managers of a host move while its network is away: nobody behind it hears of that, nor they of one
/// that moves there.
TEST(Restart, NewsAreToldAgainOnceTheNetworkIsBack) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 4, .hosts = 2, .is_restartable = true});
        Network& network = cluster.network();
        const Duration away = some_time(cluster, 9s);
        network.cut(0, 1);
        const Time healed = network.now() + away;
        for (const std::uint32_t manager : {1u, 3u, 0u})
            network.at(network.now() + some_time(cluster, away),
                       [&cluster, manager] { cluster.restart(manager, {.noticed = {}, .down = 1ms}); });
        network.at(healed, [&network] { network.join(0, 1); });
        network.at(healed + 1500ms, [] {});
        std::vector<SimClient*> clients{&cluster.add_asking_client(0), &cluster.add_asking_client(1)};
        ASSERT_TRUE(network.run_until([&] { return network.now() >= healed + 1500ms; }));
        for (SimClient* client : clients) {
            for (std::uint32_t manager = 0; manager < cluster.managers(); ++manager, ++tally.operations) {
                const Outcome outcome = client->call({.verb = Verb::size, .manager = manager});
                ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
            }
        }
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.events += network.counters().events;
    });
}

/// Somebody has found it lost, and nobody knew then where it was; later others do.
TEST(Restart, WhoWasToldOfALossHearsThatItIsElsewhere) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2, .is_restartable = true});
        Network& network = cluster.network();
        SimClient& client = cluster.add_asking_client(2);
        const bool has_spoken = cluster.random().chance(50);
        if (has_spoken) {
            EXPECT_TRUE(client.call({.verb = Verb::ping, .manager = 1}).ok());
        }
        network.cut(0, 1);
        network.cut(1, 2);
        Process& old = cluster.manager(1).process();
        cluster.restart(1, {.noticed = {}, .down = some_time(cluster, 10ms)});
        old.lose_way();
        const Outcome lost = client.call({.verb = Verb::size, .manager = 1});
        EXPECT_EQ(lost.code(), Errc::manager_lost);
        network.join(1, 2);
        // Its old process is not there, and only manager 0 could say where it is, which does not know yet.
        EXPECT_EQ(client.call({.verb = Verb::size, .manager = 1}).code(), Errc::manager_lost);
        network.join(0, 1);
        const Time healed = network.now();
        unsigned refused = 0;
        while (!client.call({.verb = Verb::size, .manager = 1}).ok()) {
            ASSERT_LE(network.now() - healed, 4s) << "it has not been found";
            const Time again = network.now() + 100ms;
            network.at(again, [] {});
            network.run_until([&] { return network.now() >= again; });
            ++refused;
        }
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.operations += 2 + refused;
        tally.events += network.counters().events;
    });
}

/// Of a manager that has gone for good, and of which the directory says so.
TEST(Restart, TheReasonOfALossIsTold) {
    for_each_seed(60, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 4, .hosts = 2, .is_restartable = true});
        const auto victim = static_cast<std::uint32_t>(cluster.random().below(4));
        std::deque<SimClient*> clients;
        for (std::uint32_t host = 0; host < 3; ++host) {
            clients.push_back(&cluster.add_asking_client(host));
            EXPECT_TRUE(clients.back()->call({.verb = Verb::ping, .manager = victim}).ok());
        }
        const Time died = cluster.network().now();
        cluster.lose(victim, some_time(cluster, 20ms), "was killed by signal 9, three times");
        unsigned told = 0;
        for (SimClient* client : clients) {
            client->start({.verb = Verb::size, .manager = victim}, [&](const Outcome& outcome) {
                ASSERT_EQ(outcome.code(), Errc::manager_lost);
                EXPECT_NE(outcome.reply.error().message().find("three times"), std::string::npos)
                    << outcome.reply.error().message();
                EXPECT_LE(cluster.network().now() - died, limits::silence_until_lost);
                ++told;
            });
        }
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(told, clients.size());
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.operations += told;
        tally.events += cluster.network().counters().events;
    });
}

/// Where nobody says that another process will serve, a loss is told as soon as to those who do not ask.
TEST(Restart, ALossForGoodIsToldAtOnce) {
    for_each_seed(60, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 4, .hosts = 2});
        const auto victim = static_cast<std::uint32_t>(cluster.random().below(4));
        for (std::uint32_t host = 0; host < 3; ++host)
            EXPECT_TRUE(cluster.add_asking_client(host).call({.verb = Verb::ping, .manager = victim}).ok());
        SimClient& near = cluster.add_asking_client(victim % 2);
        SimClient& far = cluster.add_asking_client(3);
        EXPECT_TRUE(near.call({.verb = Verb::ping, .manager = victim}).ok());
        EXPECT_TRUE(far.call({.verb = Verb::ping, .manager = victim}).ok());
        cluster.manager(victim).kill();
        const Time died = cluster.network().now();
        EXPECT_EQ(near.call({.verb = Verb::size, .manager = victim}).code(), Errc::manager_lost);
        EXPECT_LE(cluster.network().now() - died, limits::reconnect_interval + 5ms);
        const Time asked = cluster.network().now();
        EXPECT_EQ(far.call({.verb = Verb::size, .manager = victim}).code(), Errc::manager_lost);
        EXPECT_LE(cluster.network().now() - asked, limits::silence_until_lost);
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.operations += 2;
        tally.events += cluster.network().counters().events;
    });
}

}  // namespace
}  // namespace ddict::sim
