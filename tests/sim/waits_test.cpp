// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// wait_for among many clients: who waits for what comes is told, and nobody leaves anything behind.
#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "tests/sim/seeds.h"
#include "tests/sim/value_model.h"
#include "wire/stats.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

std::uint64_t microseconds(std::chrono::microseconds time) {
    return static_cast<std::uint64_t>(time.count());
}

ManagerStats stats_of(SimClient& client) {
    const Outcome outcome = client.call({.verb = Verb::stats});
    ManagerStats stats;
    EXPECT_TRUE(outcome.ok() && unpack(outcome.value, stats));
    return stats;
}

/// Keys come one by one; each of them is waited for by several clients, before, meanwhile and afterwards. A
/// key that comes stays, so that every wait must end with it.
TEST(Waits, EndWhenTheKeyComes) {
    std::uint64_t deferred = 0;
    for_each_seed(150, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        Network& network = cluster.network();
        Random& random = cluster.random();
        std::vector<SimClient*> clients;
        for (std::uint32_t i = 0; i < 6; ++i)
            clients.push_back(&cluster.add_client(i % 3));
        std::map<std::string, std::vector<std::byte>> values;
        for (int i = 0; i < 6; ++i)
            values["key" + std::to_string(i)] = value_number(random.number());
        unsigned ended = 0;
        unsigned begun = 0;
        Time last_end{};
        for (const auto& [key, value] : values) {
            const std::uint32_t manager = cluster.manager_of_key(key);
            for (SimClient* client : clients) {
                ++begun;
                const Time when = network.now() + std::chrono::microseconds(random.below(6000));
                network.at(when, client->process(), [&, client, manager, key = key] {
                    client->start({.verb = Verb::wait_for,
                                   .manager = manager,
                                   .key = key,
                                   .argument = microseconds(10s)},
                                  [&, key](const Outcome& outcome) {
                                      ++ended;
                                      last_end = network.now();
                                      ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
                                      EXPECT_TRUE(outcome.value == values[key]);
                                  });
                });
            }
            network.at(network.now() + std::chrono::microseconds(random.below(6000)), clients[0]->process(),
                       [&, manager, key = key] {
                           clients[0]->start(
                               {.verb = Verb::put, .manager = manager, .key = key, .value = values[key]},
                               [](const Outcome& outcome) { EXPECT_TRUE(outcome.ok()); });
                       });
        }
        const Time began = network.now();
        std::size_t most = 0;
        while (network.step())
            most = std::max(
                {most, cluster.manager(0).statistics().waiting, cluster.manager(1).statistics().waiting});
        deferred += most;
        EXPECT_EQ(ended, begun);
        EXPECT_LT(last_end - began, 1s) << "somebody waited for a deadline";
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += begun;
        tally.events += network.counters().events;
    });
    EXPECT_TRUE(deferred > 100 || repeats_one_seed());
}

/// Waits that are cancelled again and again until they are over, as a client does it, while some of their
/// keys come: each is answered, and none waits for its deadline.
TEST(Waits, EndWhenTheyAreCancelled) {
    std::uint64_t cancelled = 0;
    std::uint64_t found = 0;
    std::uint64_t repeated = 0;
    for_each_seed(150, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        Network& network = cluster.network();
        Random& random = cluster.random();
        SimClient& writer = cluster.add_client(0);
        std::vector<SimClient*> clients;
        for (std::uint32_t i = 0; i < 4; ++i)
            clients.push_back(&cluster.add_client(i % 3));
        struct Wait {
            SimClient* client;
            std::uint32_t manager;
            OperationId id = 0;
            bool over = false;
            unsigned cancels = 0;
        };
        std::deque<Wait> waits;
        const Time began = network.now();
        Time last_end{};
        std::function<void(Wait&)> cancel = [&](Wait& wait) {
            if (wait.over) return;
            ++wait.cancels;
            wait.client->start({.verb = Verb::cancel_wait, .manager = wait.manager, .argument = wait.id},
                               [&](const Outcome& outcome) {
                                   ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
                                   if (outcome.reply->argument == 0) cancel(wait);
                               });
        };
        for (int i = 0; i < 40; ++i) {
            const std::string key = "key" + std::to_string(random.below(6));
            Wait& wait =
                waits.emplace_back(Wait{clients[random.below(clients.size())], cluster.manager_of_key(key)});
            const std::chrono::microseconds when(random.below(4000));
            network.at(began + when, wait.client->process(), [&, key] {
                wait.id = wait.client->start({.verb = Verb::wait_for,
                                              .manager = wait.manager,
                                              .key = key,
                                              .argument = microseconds(10s)},
                                             [&](const Outcome& outcome) {
                                                 EXPECT_TRUE(outcome.ok() || outcome.code() == Errc::timeout);
                                                 wait.over = true;
                                                 ++(outcome.ok() ? found : cancelled);
                                                 repeated += wait.cancels > 1 ? 1u : 0u;
                                                 last_end = network.now();
                                             });
            });
            const std::chrono::microseconds pause(random.chance(50) ? 0 : random.below(3000));
            network.at(began + when + pause, wait.client->process(), [&] { cancel(wait); });
        }
        for (int i = 0; i < 2; ++i) {
            const std::string key = "key" + std::to_string(random.below(6));
            network.at(began + std::chrono::microseconds(random.below(6000)), writer.process(), [&, key] {
                writer.start({.verb = Verb::put,
                              .manager = cluster.manager_of_key(key),
                              .key = key,
                              .value = value_number(random.number())},
                             [](const Outcome& outcome) { EXPECT_TRUE(outcome.ok()); });
            });
        }
        ASSERT_TRUE(network.run());
        for (const Wait& wait : waits)
            EXPECT_TRUE(wait.over);
        EXPECT_LT(last_end - began, 1s) << "somebody waited for a deadline";
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += waits.size();
        tally.events += network.counters().events;
    });
    EXPECT_TRUE((cancelled > 1000 && found > 100 && repeated > 0) || repeats_one_seed())
        << cancelled << " " << found << " " << repeated;
}

/// A number counts up, each step by somebody else who has waited for it: a ring, which stops for good if one
/// waking is lost.
TEST(Waits, ForAValueMakeATurnstile) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        constexpr std::uint64_t rounds = 30;
        constexpr std::uint16_t number = 0x0113;
        const auto bytes_of_number = [](std::uint64_t n) {
            std::vector<std::byte> out(8);
            std::memcpy(out.data(), &n, sizeof n);
            return out;
        };
        std::uint64_t turns = 0;
        std::deque<std::function<void(std::uint64_t)>> takes_turn;
        for (std::uint64_t i = 0; i < 3; ++i) {
            SimClient& client = cluster.add_client(static_cast<std::uint32_t>(i % 2));
            takes_turn.emplace_back([&, i](std::uint64_t n) {
                if (n >= rounds) return;
                client.start(
                    {.verb = Verb::wait_for,
                     .key = "turn",
                     .value = bytes_of_number(n),
                     .value_type = number,
                     .argument = microseconds(10s),
                     .flags = wire::wait_for_value},
                    [&, i, n](const Outcome& waited) {
                        ASSERT_TRUE(waited.ok()) << waited.reply.error().message();
                        client.start(
                            {.verb = Verb::fetch_add, .key = "turn", .value_type = number, .argument = 1},
                            [&, i, n](const Outcome& added) {
                                ASSERT_TRUE(added.ok());
                                EXPECT_EQ(added.reply->argument, n) << "not its turn";
                                ++turns;
                                takes_turn[i](n + 3);
                            });
                    });
            });
        }
        for (std::uint64_t i = 0; i < 3; ++i)
            takes_turn[i](i);
        SimClient& starter = cluster.add_client(0);
        ASSERT_TRUE(
            starter
                .call({.verb = Verb::put, .key = "turn", .value = bytes_of_number(0), .value_type = number})
                .ok());
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(turns, rounds);
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += 2 * rounds;
        tally.events += cluster.network().counters().events;
    });
}

/// Deadlines of all lengths, keys that come too late or never, clients that die or are cut off while they
/// wait: afterwards there is no trace of any of it.
TEST(Waits, LeaveNoTrace) {
    std::uint64_t timeouts = 0;
    std::uint64_t successes = 0;
    for_each_seed(150, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        Network& network = cluster.network();
        Random& random = cluster.random();
        const std::uint64_t used = cluster.manager(0).pool().usage().used_bytes;
        SimClient& writer = cluster.add_client(0);
        std::vector<SimClient*> clients;
        for (std::uint32_t i = 0; i < 5; ++i)
            clients.push_back(&cluster.add_client(i % 3));
        const auto some_time = [&](std::uint64_t most) {
            return network.now() + std::chrono::microseconds(random.below(most));
        };
        for (int i = 0; i < 60; ++i) {
            SimClient& client = *clients[random.below(clients.size())];
            const std::chrono::microseconds wait(random.below(20'000));
            Ask ask{.verb = Verb::wait_for,
                    .key = "key" + std::to_string(random.below(5)),
                    .argument = microseconds(wait)};
            if (random.chance(40)) {
                ask.flags = wire::wait_for_value;
                ask.value = value_number(random.below(6));  // some of them large
                ask.value_type = 1;
            }
            if (random.chance(10)) ask.timeout = std::chrono::milliseconds(random.below(10));
            network.at(some_time(10'000), client.process(), [&, ask, wait, &client = client]() {
                const Time began = network.now();
                client.start(ask, [&, began, wait](const Outcome& outcome) {
                    outcome.ok() ? ++successes : ++timeouts;
                    if (outcome.ok()) return;
                    EXPECT_TRUE(outcome.code() == Errc::timeout || outcome.code() == Errc::manager_lost)
                        << outcome.reply.error().message();
                    EXPECT_LT(network.now() - began, wait + limits::silence_until_lost + 100ms);
                });
            });
        }
        for (int i = 0; i < 25; ++i) {
            Ask ask{.verb = Verb::put, .key = "key" + std::to_string(random.below(5))};
            ask.value = value_number(random.below(6));
            ask.value_type = 1;
            if (random.chance(50)) ask = {.verb = Verb::erase, .key = ask.key};
            network.at(some_time(20'000), writer.process(), [&, ask] {
                writer.start(ask, [](const Outcome& outcome) {
                    EXPECT_TRUE(outcome.ok() || outcome.code() == Errc::not_found);
                });
            });
        }
        network.at(some_time(15'000), [&] { clients[0]->kill(); });
        network.at(some_time(15'000), [&] { clients[1]->kill(); });
        network.at(some_time(15'000), [&] { network.cut(0, 1); });
        ASSERT_TRUE(network.run());
        EXPECT_EQ(cluster.manager(0).statistics().waiting, 0u);
        EXPECT_EQ(cluster.manager(0).shard().inconsistency(), "");
        EXPECT_EQ(stats_of(writer).waiting, 0u);
        network.join(0, 1);
        ASSERT_TRUE(network.run());
        EXPECT_TRUE(writer.call({.verb = Verb::clear}).ok());
        ASSERT_TRUE(network.run());
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        EXPECT_EQ(cluster.manager(0).pool().usage().used_bytes, used);
        tally.operations += 85;
        tally.events += network.counters().events;
    });
    EXPECT_TRUE((timeouts > 100 && successes > 100) || repeats_one_seed()) << timeouts << " " << successes;
}

}  // namespace
}  // namespace ddict::sim
