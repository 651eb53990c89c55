// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Broadcasts among many managers, with and without faults.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>

#include "base/hash.h"
#include "tests/sim/seeds.h"
#include "tests/sim/value_model.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

/// What a manager holds under a key: 0 for nothing.
std::uint64_t held(Cluster& cluster, std::uint32_t manager, const std::string& key) {
    const Bytes bytes = bytes_of(key);
    const shm::Block* block = cluster.manager(manager).pool().find(bytes, hash_of(bytes));
    return block == nullptr ? 0 : content_of(block->value(), block->value_type());
}

/// One client after the other on a key, all keys at once: what has been acknowledged is everywhere, at once.
TEST(Broadcast, IsEverywhereWhenItIsAcknowledged) {
    for_each_seed(40, [](std::uint64_t seed, Tally& tally) {
        const auto managers = static_cast<std::uint32_t>(1 + seed % 30);
        Cluster cluster(seed, {.managers = managers, .hosts = 3});
        std::vector<std::uint64_t> used;
        for (std::uint32_t m = 0; m < managers; ++m)
            used.push_back(cluster.manager(m).pool().usage().used_bytes);
        SimClient& client = cluster.add_client(static_cast<std::uint32_t>(seed % 4));
        std::deque<std::function<void(int)>> rounds;
        for (int k = 0; k < 3; ++k) {
            rounds.emplace_back([&, k, key = "key" + std::to_string(k)](int left) {
                if (left == 0) return;
                const bool erases = left == 1 || cluster.random().chance(25);
                const std::uint64_t id = cluster.random().number();
                Ask ask{.verb = erases ? Verb::broadcast_erase : Verb::broadcast_put,
                        .manager = cluster.manager_of_key(key),
                        .key = key};
                if (!erases) {
                    ask.value = value_number(id);
                    ask.value_type = type_of_value(id);
                }
                const std::uint64_t content = erases ? 0 : content_of(ask.value, ask.value_type);
                client.start(ask, [&, k, key, content, left](const Outcome& outcome) {
                    EXPECT_TRUE(outcome.ok() || (content == 0 && outcome.code() == Errc::not_found))
                        << outcome.reply.error().message();
                    for (std::uint32_t m = 0; m < managers; ++m)
                        EXPECT_EQ(held(cluster, m, key), content) << "manager " << m;
                    rounds[static_cast<std::size_t>(k)](left - 1);
                });
                ++tally.operations;
            });
        }
        for (auto& begin : rounds)
            begin(6);
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(cluster.problems_at_rest(), "");
        for (std::uint32_t m = 0; m < managers; ++m)
            EXPECT_EQ(cluster.manager(m).pool().usage().used_bytes, used[m]) << "manager " << m;
        tally.events += cluster.network().counters().events;
    });
}

/// Several clients on the same keys. Copies never go back: once a version was acknowledged, no manager has an
/// older one; and in the end all have the same.
TEST(Broadcast, CopiesNeverGoBack) {
    for_each_seed(60, [](std::uint64_t seed, Tally& tally) {
        const auto managers = static_cast<std::uint32_t>(2 + seed % 12);
        Cluster cluster(seed, {.managers = managers, .hosts = 3});
        const std::string key = "shared";
        std::map<std::uint64_t, unsigned> born;   // when a value was asked for, counted in acknowledgements
        std::map<std::uint64_t, unsigned> acked;  // when it was acknowledged, likewise
        unsigned clock = 0;
        std::deque<std::function<void(int)>> rounds;
        for (std::uint32_t c = 0; c < 4; ++c) {
            SimClient& client = cluster.add_client(c % 3);
            rounds.emplace_back([&, c](int left) {
                if (left == 0) return;
                const std::uint64_t id = cluster.random().number();
                Ask ask{.verb = Verb::broadcast_put,
                        .manager = cluster.manager_of_key(key),
                        .key = key,
                        .value = value_number(id)};
                // Of its own, so that it tells which broadcast it is of.
                const std::vector<std::byte> mark = cluster.random().bytes(8);
                ask.value.insert(ask.value.end(), mark.begin(), mark.end());
                const std::uint64_t content = content_of(ask.value, 0);
                born[content] = ++clock;
                client.start(ask, [&, c, content, left](const Outcome& outcome) {
                    EXPECT_TRUE(outcome.ok()) << outcome.reply.error().message();
                    acked[content] = ++clock;
                    for (std::uint32_t m = 0; m < managers; ++m) {
                        const std::uint64_t there = held(cluster, m, key);
                        ASSERT_NE(there, 0u);
                        // It may be this one or any that is not certainly older.
                        const auto before = acked.find(there);
                        EXPECT_TRUE(before == acked.end() || before->second >= born[content])
                            << "manager " << m << " has what was over before this one began";
                    }
                    rounds[c](left - 1);
                });
                ++tally.operations;
            });
        }
        for (auto& begin : rounds)
            begin(8);
        ASSERT_TRUE(cluster.network().run());
        for (std::uint32_t m = 1; m < managers; ++m)
            EXPECT_EQ(held(cluster, m, key), held(cluster, 0, key));
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.events += cluster.network().counters().events;
    });
}

/// Managers die in the middle of it: every broadcast ends in bounded time, and one that fails names a dead
/// one. What is acknowledged is at all that live.
TEST(Broadcast, ManagersDie) {
    std::uint64_t failures = 0;
    std::uint64_t successes = 0;
    for_each_seed(60, [&](std::uint64_t seed, Tally& tally) {
        constexpr std::uint32_t managers = 14;
        Cluster cluster(seed, {.managers = managers, .hosts = 4});
        Network& network = cluster.network();
        SimClient& client = cluster.add_client(0);
        std::set<std::uint32_t> dead;
        for (int i = 0; i < 2; ++i) {
            const auto victim = static_cast<std::uint32_t>(cluster.random().below(managers));
            network.at(network.now() + std::chrono::microseconds(cluster.random().below(12000)), [&, victim] {
                cluster.manager(victim).kill();
                dead.insert(victim);
            });
        }
        for (int i = 0; i < 10; ++i) {
            const std::string key = "key" + std::to_string(cluster.random().below(4));
            const std::uint64_t id = cluster.random().number();
            const Ask ask{.verb = Verb::broadcast_put,
                          .manager = cluster.manager_of_key(key),
                          .key = key,
                          .value = value_number(id)};
            const std::set<std::uint32_t> dead_before = dead;
            const Time began = network.now();
            const Outcome outcome = client.call(ask);
            EXPECT_LT(network.now() - began, 10s);
            ++tally.operations;
            if (outcome.ok()) {
                ++successes;
                EXPECT_TRUE(dead_before.empty()) << "somebody is missing, and nobody says so";
                for (std::uint32_t m = 0; m < managers; ++m) {
                    if (!dead.contains(m)) {
                        EXPECT_EQ(held(cluster, m, key), content_of(ask.value, 0));
                    }
                }
            } else {
                ++failures;
                EXPECT_EQ(outcome.code(), Errc::manager_lost) << outcome.reply.error().message();
                EXPECT_TRUE(dead.contains(outcome.reply.error().manager)) << outcome.reply.error().message();
            }
        }
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.events += network.counters().events;
    });
    EXPECT_TRUE((failures > 50 && successes > 50) || repeats_one_seed()) << failures << " " << successes;
}

/// The network is cut: broadcasts fail in bounded time and name who cannot be reached; when it is whole
/// again, the next broadcast puts all right.
TEST(Broadcast, TheNetworkIsCut) {
    std::uint64_t failures = 0;
    for_each_seed(40, [&](std::uint64_t seed, Tally& tally) {
        constexpr std::uint32_t managers = 9;
        Cluster cluster(seed, {.managers = managers, .hosts = 3});
        Network& network = cluster.network();
        SimClient& client = cluster.add_client(0);
        const auto put = [&](const std::string& key) {
            const Ask ask{.verb = Verb::broadcast_put,
                          .manager = cluster.manager_of_key(key),
                          .key = key,
                          .value = value_number(cluster.random().number())};
            const Time began = network.now();
            const Outcome outcome = client.call(ask);
            EXPECT_LT(network.now() - began, 12s);
            if (outcome.ok()) {
                for (std::uint32_t m = 0; m < managers; ++m)
                    EXPECT_EQ(held(cluster, m, key), content_of(ask.value, 0));
            } else {
                EXPECT_TRUE(outcome.code() == Errc::manager_lost || outcome.code() == Errc::timeout)
                    << outcome.reply.error().message();
                EXPECT_LT(outcome.reply.error().manager, managers);
                ++failures;
            }
            ++tally.operations;
            return outcome.ok();
        };
        for (int i = 0; i < 3; ++i)
            EXPECT_TRUE(put("key" + std::to_string(i)));
        const auto host = static_cast<std::uint32_t>(1 + cluster.random().below(2));
        network.at(network.now() + std::chrono::microseconds(cluster.random().below(1000)),
                   [&network, host] { network.cut(0, host); });
        for (int i = 0; i < 6; ++i)
            put("key" + std::to_string(cluster.random().below(3)));
        network.join(0, host);
        // By then the managers ask each other again.
        const Time later = network.now() + limits::lost_probe_interval;
        network.at(later, [] {});
        ASSERT_TRUE(network.run());
        for (int i = 0; i < 3; ++i)
            EXPECT_TRUE(put("key" + std::to_string(i)));
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        tally.events += network.counters().events;
    });
    EXPECT_TRUE(failures > 50 || repeats_one_seed()) << failures;
}

/// Where one pool is full, no older copy stays, there or below.
TEST(Broadcast, OneManagerIsFull) {
    for_each_seed(20, [](std::uint64_t seed, Tally& tally) {
        constexpr std::uint32_t managers = 12;
        Cluster cluster(seed, {.managers = managers, .hosts = 2, .pool_bytes = limits::pool_bytes_min});
        SimClient& client = cluster.add_client(0);
        const std::string key = "key" + std::to_string(cluster.random().below(100));
        const std::uint32_t root = cluster.manager_of_key(key);
        const auto full =
            static_cast<std::uint32_t>((root + 1 + cluster.random().below(managers - 1)) % managers);
        ASSERT_TRUE(
            client.call({.verb = Verb::broadcast_put, .manager = root, .key = key, .value = {}}).ok());
        const std::vector<std::byte> filler(700'000);
        ASSERT_TRUE(client.call({.verb = Verb::put, .manager = full, .key = "filler", .value = filler}).ok());
        const std::vector<std::byte> value(500'000, std::byte{3});
        const Outcome outcome =
            client.call({.verb = Verb::broadcast_put, .manager = root, .key = key, .value = value});
        EXPECT_EQ(outcome.code(), Errc::no_space);
        EXPECT_EQ(outcome.reply.error().manager, full);
        EXPECT_EQ(held(cluster, full, key), 0u);
        for (std::uint32_t m = 0; m < managers; ++m) {
            const std::uint64_t there = held(cluster, m, key);
            EXPECT_TRUE(there == 0 || there == content_of(value, 0)) << "manager " << m;
        }
        EXPECT_EQ(held(cluster, root, key), content_of(value, 0));
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += 3;
        tally.events += cluster.network().counters().events;
    });
}

}  // namespace
}  // namespace ddict::sim
