// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/roll_call.h"

#include <gtest/gtest.h>

#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds roll_call_timeout{20};

/// All managers come up at about the same time.
void call_the_roll(Cluster& cluster) {
    for (std::uint32_t m = 0; m < cluster.managers(); ++m) {
        SimManager& manager = cluster.manager(m);
        cluster.network().at(cluster.network().now() + std::chrono::microseconds(cluster.random().below(500)),
                             manager.process(), [&cluster, &manager] {
                                 manager.begin_roll_call(cluster.network().now() + roll_call_timeout);
                             });
    }
}

TEST(RollCall, AllAreThere) {
    for_each_seed(20, [](std::uint64_t seed, Tally& tally) {
        const auto managers = static_cast<std::uint32_t>(1 + seed % 20);
        Cluster cluster(seed, {.managers = managers, .hosts = 3, .pool_bytes = limits::pool_bytes_min});
        call_the_roll(cluster);
        ASSERT_TRUE(cluster.network().run());
        for (std::uint32_t m = 0; m < managers; ++m) {
            ASSERT_TRUE(cluster.manager(m).roll_call().has_value());
            EXPECT_TRUE(cluster.manager(m).roll_call()->has_value());
        }
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += managers;
        tally.events += cluster.network().counters().events;
    });
}

/// Every manager's has ended well. `what` is for the message.
void expect_all_there(Cluster& cluster, const std::string& what) {
    for (std::uint32_t m = 0; m < cluster.managers(); ++m) {
        ASSERT_TRUE(cluster.manager(m).roll_call().has_value()) << what;
        const Result<void>& outcome = *cluster.manager(m).roll_call();
        EXPECT_TRUE(outcome.has_value()) << what << ": " << outcome.error().message();
    }
}

TEST(RollCall, OneThatIsHeldUpIsAskedAgain) {
    for_each_seed(20, [](std::uint64_t seed, Tally& tally) {
        constexpr std::uint32_t managers = 7;
        Cluster cluster(seed,
                        {.managers = managers, .hosts = managers, .pool_bytes = limits::pool_bytes_min});
        const auto late = static_cast<std::uint32_t>(1 + seed % (managers - 1));
        const std::uint32_t host = cluster.manager(late).process().host();
        const std::uint32_t parent = cluster.manager((late - 1) / 2).process().host();
        const Duration held = 2s + std::chrono::milliseconds(cluster.random().below(12'000));
        call_the_roll(cluster);
        cluster.network().cut(host, parent);
        const Time began = cluster.network().now();
        cluster.network().at(began + held,
                             [&cluster, host, parent] { cluster.network().join(host, parent); });
        ASSERT_TRUE(cluster.network().run());
        expect_all_there(cluster, "held up for " + std::to_string(held.count() / 1'000'000) + " ms");
        EXPECT_LT(cluster.network().now() - began, roll_call_timeout);
        // (A hello that was held up may come after the goodbye: its session stays until the other one ends.)
        EXPECT_TRUE(cluster.network().breaches().empty());
        EXPECT_EQ(cluster.network().unsettled(), "");
        tally.operations += managers;
        tally.events += cluster.network().counters().events;
    });
}

/// Each answer takes longer than a hello waits at first: what is thrown away each time never comes.
TEST(RollCall, AllAreSlow) {
    for_each_seed(20, [](std::uint64_t seed, Tally& tally) {
        const Duration delay = 200ms + std::chrono::milliseconds(seed % 8 * 100);
        Cluster cluster(seed, {.managers = 15,
                               .hosts = 15,
                               .pool_bytes = limits::pool_bytes_min,
                               .network = {.delay_min = delay, .delay_max = 10ms}});
        call_the_roll(cluster);
        ASSERT_TRUE(cluster.network().run());
        expect_all_there(cluster, "each message takes " + std::to_string(delay.count() / 1'000'000) + " ms");
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += cluster.managers();
        tally.events += cluster.network().counters().events;
    });
}

/// The one that should have asked the silent one says so, names it, and does not wait for ever.
void expect_one_missing(const std::function<void(Cluster&, std::uint32_t)>& silence,
                        const std::string& says = {}, Duration within = roll_call_timeout + 1s) {
    for_each_seed(20, [&](std::uint64_t seed, Tally& tally) {
        constexpr std::uint32_t managers = 7;
        Cluster cluster(seed,
                        {.managers = managers, .hosts = managers, .pool_bytes = limits::pool_bytes_min});
        const auto silent = static_cast<std::uint32_t>(1 + seed % (managers - 1));
        const std::uint32_t parent = (silent - 1) / 2;
        call_the_roll(cluster);
        silence(cluster, silent);
        const Time began = cluster.network().now();
        ASSERT_TRUE(
            cluster.network().run_until([&] { return cluster.manager(parent).roll_call().has_value(); }));
        EXPECT_LE(cluster.network().now() - began, within);
        ASSERT_TRUE(cluster.network().run());
        ASSERT_TRUE(cluster.manager(parent).roll_call().has_value());
        ASSERT_FALSE(cluster.manager(parent).roll_call()->has_value());
        const Error& error = cluster.manager(parent).roll_call()->error();
        EXPECT_TRUE(error.code == Errc::manager_lost || error.code == Errc::timeout) << error.message();
        EXPECT_EQ(error.manager, silent);
        EXPECT_NE(error.message().find(says), std::string::npos) << error.message();
        for (std::uint32_t m = 0; m < managers; ++m) {
            if (m == parent || m == silent) continue;
            ASSERT_TRUE(cluster.manager(m).roll_call().has_value());
            EXPECT_TRUE(cluster.manager(m).roll_call()->has_value())
                << cluster.manager(m).roll_call()->error().message();
        }
        tally.operations += managers;
        tally.events += cluster.network().counters().events;
    });
}

TEST(RollCall, OneIsDead) {
    expect_one_missing([](Cluster& cluster, std::uint32_t silent) { cluster.manager(silent).kill(); });
}

/// Hellos at 0, 0.3, 0.9, 2.1, 4.5, 9.3 and 14.1 s, and 18.9 s.
TEST(RollCall, OneCannotBeReached) {
    expect_one_missing(
        [](Cluster& cluster, std::uint32_t silent) {
            const std::uint32_t parent = (silent - 1) / 2;
            cluster.network().cut(cluster.manager(silent).process().host(),
                                  cluster.manager(parent).process().host());
        },
        "not answered, asked 8 times in 20000 ms over simulated network; name the nodes' network in "
        "DDICT_UCX_NET_DEVICES, see 'ddict-launch --check'; back: sim0 sim1");
}

/// What the network says at once is not waited for.
TEST(RollCall, NoNetworkLeadsToOne) {
    expect_one_missing(
        [](Cluster& cluster, std::uint32_t silent) { cluster.manager(silent).process().lose_way(); },
        "no network leads there; name the nodes' network in DDICT_UCX_NET_DEVICES", 4s);
}

}  // namespace
}  // namespace ddict::sim
