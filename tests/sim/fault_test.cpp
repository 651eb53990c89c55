// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Death, cut networks and deadlines.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/sim/seeds.h"
#include "tests/sim/workload.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

std::vector<std::uint64_t> used_bytes(Cluster& cluster) {
    std::vector<std::uint64_t> used;
    for (std::uint32_t m = 0; m < cluster.managers(); ++m)
        used.push_back(cluster.manager(m).process().alive() ? cluster.manager(m).pool().usage().used_bytes
                                                            : 0);
    return used;
}

/// Clears the living managers; afterwards as much must be in use as in the beginning.
void expect_no_leak(Cluster& cluster, const std::vector<std::uint64_t>& used_at_first,
                    bool after_faults = false) {
    EXPECT_TRUE(cluster.network().run());  // a write that timed out may come late
    SimClient& cleaner = cluster.add_client(0);
    for (std::uint32_t m = 0; m < cluster.managers(); ++m) {
        if (!cluster.manager(m).process().alive()) continue;
        EXPECT_TRUE(cleaner.call({.verb = Verb::clear, .manager = m}).ok());
    }
    EXPECT_EQ(cluster.problems_at_rest(after_faults), "");
    const std::vector<std::uint64_t> used = used_bytes(cluster);
    for (std::uint32_t m = 0; m < cluster.managers(); ++m)
        EXPECT_EQ(used[m], cluster.manager(m).process().alive() ? used_at_first[m] : 0) << "manager " << m;
}

void expect_only(const Book& book, const std::set<Errc>& expected) {
    for (const auto& [code, count] : book.errors())
        EXPECT_TRUE(expected.contains(code)) << count << " times " << name(code);
}

void add_up(Tally& tally, Cluster& cluster, const Book& book) {
    tally.operations += book.operations();
    tally.histories += book.histories();
    tally.events += cluster.network().counters().events;
}

TEST(Fault, ClientsDieAndNobodyNotices) {
    for_each_seed(150, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        const std::vector<std::uint64_t> used_at_first = used_bytes(cluster);
        Book book;
        std::deque<SharingClient> clients;
        for (unsigned i = 0; i < 7; ++i)
            clients.emplace_back(cluster, cluster.add_client(i % 3), book, WorkloadOptions{.operations = 20})
                .start();
        for (unsigned i = 0; i < 4; ++i) {
            const std::chrono::microseconds when(cluster.random().below(4000));
            cluster.network().at(cluster.network().now() + when,
                                 [&clients, i] { clients[i].client().kill(); });
        }
        ASSERT_TRUE(cluster.network().run());
        for (unsigned i = 4; i < 7; ++i)
            EXPECT_TRUE(clients[i].finished());
        expect_only(book, {Errc::not_found});
        EXPECT_EQ(book.contradictions(), "");
        expect_no_leak(cluster, used_at_first);
        add_up(tally, cluster, book);
    });
}

TEST(Fault, AManagerDies) {
    std::uint64_t lost = 0;
    for_each_seed(150, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 3, .hosts = 2});
        const std::vector<std::uint64_t> used_at_first = used_bytes(cluster);
        Book book;
        std::deque<SharingClient> clients;
        for (unsigned i = 0; i < 4; ++i)
            clients.emplace_back(cluster, cluster.add_client(i % 3), book, WorkloadOptions{.keys = 8})
                .start();
        const std::uint32_t victim = static_cast<std::uint32_t>(cluster.random().below(3));
        const std::chrono::microseconds when(cluster.random().below(3000));
        cluster.network().at(cluster.network().now() + when, [&] { cluster.manager(victim).kill(); });
        ASSERT_TRUE(cluster.network().run());
        expect_only(book, {Errc::not_found, Errc::manager_lost});
        if (const auto found = book.errors().find(Errc::manager_lost); found != book.errors().end())
            lost += found->second;
        EXPECT_EQ(book.contradictions(), "");

        // Later operations on it fail, say so, and say where; the others go on.
        SimClient& client = clients[0].client();
        const Time began = cluster.network().now();
        const Outcome outcome = client.call({.verb = Verb::ping, .manager = victim});
        ASSERT_EQ(outcome.code(), Errc::manager_lost);
        EXPECT_EQ(outcome.reply.error().manager, victim);
        EXPECT_EQ(outcome.reply.error().node.data(), "n" + std::to_string(victim % 2));
        EXPECT_LE(cluster.network().now() - began, limits::silence_until_lost);
        const Time again = cluster.network().now();
        EXPECT_EQ(client.call({.verb = Verb::ping, .manager = victim}).code(), Errc::manager_lost);
        EXPECT_LE(cluster.network().now() - again, NetworkOptions{}.detection_max_other_host)
            << "it was known already";
        EXPECT_TRUE(client.call({.verb = Verb::ping, .manager = (victim + 1) % 3}).ok());
        expect_no_leak(cluster, used_at_first);
        add_up(tally, cluster, book);
    });
    EXPECT_TRUE(lost > 0u || repeats_one_seed());
}

/// One operation, for which the network is cut at some moment of its life.
void cut_during(Ask ask, std::uint64_t seed, Tally& tally, bool with_value) {
    Cluster cluster(seed, {.managers = 1, .hosts = 1});
    Network& network = cluster.network();
    const std::vector<std::uint64_t> used_at_first = used_bytes(cluster);
    SimClient& near = cluster.add_client(0);
    SimClient& far = cluster.add_client(1);
    const std::vector<std::byte> first = cluster.random().bytes(60'000);
    ASSERT_TRUE(near.call({.verb = Verb::put, .key = "k", .value = first}).ok());
    if (cluster.random().chance(70)) (void)far.call({.verb = Verb::ping});  // which has said hello already
    if (with_value) ask.value = cluster.random().bytes(50'000);
    const std::vector<std::byte> second = ask.value;

    const Time began = network.now();
    std::optional<Outcome> outcome;
    Time ended{};
    far.start(std::move(ask), [&](const Outcome& o) {
        outcome = o;
        ended = network.now();
    });
    const Time cut = began + std::chrono::microseconds(cluster.random().below(600));
    network.at(cut, [&] { network.cut(0, 1); });
    ASSERT_TRUE(network.run_until([&] { return outcome.has_value() && network.now() > cut; }));
    if (!outcome->ok()) {
        EXPECT_EQ(outcome->code(), Errc::manager_lost);
        EXPECT_EQ(outcome->reply.error().manager, 0u);
    }
    EXPECT_LE(ended - cut, limits::silence_until_lost + 100ms);
    EXPECT_TRUE(near.call({.verb = Verb::ping}).ok());

    network.join(0, 1);
    EXPECT_TRUE(network.run());
    const Outcome read = far.call({.verb = Verb::get, .key = "k"});
    ASSERT_TRUE(read.ok()) << read.reply.error().message();
    EXPECT_TRUE(read.value == first || (with_value && read.value == second)) << read.value.size();
    expect_no_leak(cluster, used_at_first);
    tally.operations += 4;
    tally.events += network.counters().events;
}

TEST(Fault, TheNetworkIsCutDuringAGet) {
    for_each_seed(150, [](std::uint64_t seed, Tally& tally) {
        cut_during({.verb = Verb::get, .key = "k"}, seed, tally, false);
    });
}

TEST(Fault, TheNetworkIsCutDuringAPut) {
    for_each_seed(150, [](std::uint64_t seed, Tally& tally) {
        cut_during({.verb = Verb::put, .key = "k"}, seed, tally, true);
    });
}

/// The deadline passes while a payload is on its way: the operation ends soon after, as a time-out, and what
/// the client then does with its memory shows nowhere.
TEST(Fault, ADeadlinePassesWithABodyOnItsWay) {
    std::uint64_t timeouts = 0;
    for_each_seed(300, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        Network& network = cluster.network();
        const std::vector<std::uint64_t> used_at_first = used_bytes(cluster);
        SimClient& near = cluster.add_client(0);
        SimClient& hasty = cluster.add_client(seed % 2 == 0 ? 0u : 1u);
        std::set<std::uint64_t> written;
        const auto put = [&](SimClient& client, std::chrono::milliseconds timeout) {
            const std::vector<std::byte> value =
                cluster.random().bytes(20'000 + cluster.random().below(40'000));
            written.insert(content_of(value, 0));
            return client.call({.verb = Verb::put, .key = "k", .value = value, .timeout = timeout});
        };
        ASSERT_TRUE(put(near, 30s).ok());
        if (cluster.random().chance(80))
            (void)hasty.call({.verb = Verb::ping});  // which has said hello already
        for (int i = 0; i < 8; ++i) {
            const bool with_cut = cluster.random().chance(30);
            if (with_cut) {
                network.at(network.now() + std::chrono::microseconds(cluster.random().below(400)),
                           [&] { network.cut(0, 1); });
            }
            const Time began = network.now();
            const std::chrono::milliseconds timeout(with_cut ? 300 : cluster.random().below(2));
            const Outcome outcome = cluster.random().chance(50)
                                        ? put(hasty, timeout)
                                        : hasty.call({.verb = Verb::get, .key = "k", .timeout = timeout});
            if (!outcome.ok()) {
                EXPECT_EQ(outcome.code(), Errc::timeout) << outcome.reply.error().message();
                ++timeouts;
            }
            EXPECT_LE(network.now() - began, timeout + 10ms);
            if (with_cut) {
                network.run_until([&, until = network.now() + 1ms] { return network.now() > until; });
                network.join(0, 1);
            }
            const Outcome read = near.call({.verb = Verb::get, .key = "k"});
            ASSERT_TRUE(read.ok());
            EXPECT_TRUE(written.contains(content_of(read.value, 0))) << "nobody wrote this";
            tally.operations += 2;
        }
        expect_no_leak(cluster, used_at_first);
        tally.events += network.counters().events;
    });
    EXPECT_TRUE(timeouts > 100u || repeats_one_seed());
}

/// One operation's deadline says nothing about the others.
TEST(Fault, ADeadlineHurtsOnlyItsOwnOperation) {
    for_each_seed(150, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        SimClient& client = cluster.add_client(seed % 2 == 0 ? 0u : 1u);
        unsigned waiting = 0;
        constexpr unsigned rounds = 10;
        for (unsigned i = 0; i < rounds; ++i) {
            client.start({.verb = Verb::ping, .timeout = 0ms}, [](const Outcome&) {});
            client.start({.verb = Verb::put, .key = "k", .value = value_number(cluster.random().number())},
                         [&](const Outcome& outcome) {
                             EXPECT_TRUE(outcome.ok()) << outcome.reply.error().message();
                             ++waiting;
                         });
            const Time until =
                cluster.network().now() + std::chrono::microseconds(cluster.random().below(500));
            cluster.network().at(until, [] {});
            cluster.network().run_until([&] { return cluster.network().now() >= until; });
        }
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(waiting, rounds);
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += 2 * rounds;
        tally.events += cluster.network().counters().events;
    });
}

/// All of it together: whatever happens, no answer is wrong, every operation ends, nothing leaks.
TEST(Fault, Chaos) {
    std::uint64_t unknown = 0;
    for_each_seed(250, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 3, .hosts = 3});
        Network& network = cluster.network();
        Random& random = cluster.random();
        const std::vector<std::uint64_t> used_at_first = used_bytes(cluster);
        Book book;
        std::deque<SharingClient> clients;
        for (unsigned i = 0; i < 6; ++i) {
            const WorkloadOptions options{
                .operations = 15,
                .in_flight_max = 2,
                .keys = 6,
                .pause_max = 1000us,
                .timeout = std::chrono::milliseconds(random.chance(50) ? 30'000 : 2)};
            clients.emplace_back(cluster, cluster.add_client(i % 4), book, options).start();
        }
        const auto some_time = [&](std::uint64_t most_us) {
            return network.now() + std::chrono::microseconds(random.below(most_us));
        };
        if (random.chance(50)) network.at(some_time(4000), [&] { clients[0].client().kill(); });
        if (random.chance(50)) network.at(some_time(4000), [&] { clients[1].client().kill(); });
        if (random.chance(30)) network.at(some_time(4000), [&] { cluster.manager(2).kill(); });
        for (std::uint32_t other = 1; other < 4; ++other) {
            if (random.chance(60)) continue;
            const Time cut = some_time(5000);
            network.at(cut, [&network, other] { network.cut(0, other); });
            network.at(cut + std::chrono::microseconds(random.below(4'000'000)),
                       [&network, other] { network.join(0, other); });
        }
        ASSERT_TRUE(network.run());
        for (std::uint32_t other = 1; other < 4; ++other)
            network.join(0, other);
        ASSERT_TRUE(network.run());
        for (SharingClient& client : clients) {
            EXPECT_TRUE(client.finished() || !client.client().process().alive());
        }
        expect_only(book, {Errc::not_found, Errc::manager_lost, Errc::timeout});
        EXPECT_EQ(book.contradictions(), "");
        expect_no_leak(cluster, used_at_first, true);
        unknown += book.unknown();
        add_up(tally, cluster, book);
    });
    EXPECT_TRUE(unknown > 100u || repeats_one_seed());
}

}  // namespace
}  // namespace ddict::sim
