// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Managers that do not answer: what a process remembers of them. And managers that say goodbye.
#include <gtest/gtest.h>

#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

constexpr unsigned seeds = 20;

class Loop {
  public:
    explicit Loop(Cluster& cluster) : cluster_(cluster) {}

    /// A call on each of many keys, as a program makes that goes on after errors; how many have failed.
    unsigned run(SimClient& client, unsigned keys) {
        unsigned failed = 0;
        for (unsigned i = 0; i < keys; ++i) {
            const std::string key = "key" + std::to_string(i);
            const Outcome outcome = client.call({.verb = Verb::put,
                                                 .manager = cluster_.manager_of_key(key),
                                                 .key = key,
                                                 .value = std::vector<std::byte>(16)});
            if (outcome.ok()) continue;
            ++failed;
            EXPECT_EQ(outcome.code(), Errc::manager_lost) << outcome.reply.error().message();
            EXPECT_NE(outcome.reply.error().detail[0], '\0');
        }
        return failed;
    }

  private:
    Cluster& cluster_;
};

/// Of four hosts one is silent: the loop over 1,000 keys takes little longer than one silence.
TEST(LostManagers, AreWaitedForOnce) {
    for_each_seed(seeds, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 4, .hosts = 4});
        Network& network = cluster.network();
        LostManagers lost;
        SimClient& client = cluster.add_client(4, lost);
        Loop loop(cluster);
        EXPECT_EQ(loop.run(client, 40), 0u);
        network.cut(4, 1);
        const Time began = network.now();
        EXPECT_GT(loop.run(client, 1'000), 200u);
        EXPECT_LT(network.now() - began, limits::silence_until_lost + 1s);

        // Another thread has a connection of its own, and one that has none yet; both know soon.
        SimClient& second = cluster.add_client(4, lost);
        const Time second_began = network.now();
        EXPECT_GT(loop.run(second, 1'000), 200u);
        EXPECT_LT(network.now() - second_began, 1s);
        tally.operations += 2'040;
        tally.events += network.counters().events;
    });
}

/// A thread with a connection that stands asks for itself, but not for as long as the first did.
TEST(LostManagers, AreBelievedSoonerByOthers) {
    for_each_seed(seeds, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        Network& network = cluster.network();
        LostManagers lost;
        SimClient& first = cluster.add_client(2, lost);
        SimClient& second = cluster.add_client(2, lost);
        for (SimClient* client : {&first, &second})
            ASSERT_TRUE(client->call({.verb = Verb::ping, .manager = 1}).ok());
        network.cut(2, 1);
        EXPECT_EQ(first.call({.verb = Verb::ping, .manager = 1}).code(), Errc::manager_lost);
        const Time began = network.now();
        EXPECT_EQ(second.call({.verb = Verb::ping, .manager = 1}).code(), Errc::manager_lost);
        EXPECT_LE(network.now() - began, limits::silence_before_ping + limits::lost_probe_timeout + 10ms);
        tally.operations += 4;
    });
}

TEST(LostManagers, AreFoundAgainWhenTheyAnswer) {
    for_each_seed(seeds, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        Network& network = cluster.network();
        LostManagers lost;
        SimClient& client = cluster.add_client(2, lost);
        SimClient& other = cluster.add_client(2, lost);
        ASSERT_TRUE(client.call({.verb = Verb::ping, .manager = 1}).ok());
        network.cut(2, 1);
        EXPECT_EQ(client.call({.verb = Verb::ping, .manager = 1}).code(), Errc::manager_lost);
        EXPECT_EQ(client.call({.verb = Verb::ping, .manager = 1}).code(), Errc::manager_lost);
        network.join(2, 1);
        const Time joined = network.now();
        std::optional<Time> back;
        while (!back && network.now() < joined + limits::lost_remembered) {
            const Time until = network.now() + 20ms;
            network.at(until, [] {});
            network.run_until([&] { return network.now() >= until; });
            if (client.call({.verb = Verb::ping, .manager = 1}).ok()) back = network.now();
        }
        ASSERT_TRUE(back);
        EXPECT_LE(*back - joined, limits::lost_probe_interval + 100ms);
        EXPECT_FALSE(lost.any());
        EXPECT_TRUE(other.call({.verb = Verb::ping, .manager = 1}).ok()) << "all know it at once";
        EXPECT_EQ(cluster.problems_at_rest(true), "");
        ++tally.operations;
    });
}

/// What is remembered does not outlive the evidence.
TEST(LostManagers, AreForgottenWhenNobodyAsks) {
    Cluster cluster(1, {.managers = 1, .hosts = 1});
    Network& network = cluster.network();
    LostManagers lost;
    SimClient& client = cluster.add_client(1, lost);
    network.cut(0, 1);
    EXPECT_EQ(client.call({.verb = Verb::ping}).code(), Errc::manager_lost);
    const Time again = network.now() + limits::lost_remembered;
    network.at(again, [] {});
    network.run_until([&] { return network.now() >= again; });
    network.join(0, 1);
    EXPECT_TRUE(client.call({.verb = Verb::ping}).ok()) << "asked in earnest again";
}

/// The kernel knows about those of the same host: nothing is remembered of them.
TEST(LostManagers, OfTheSameHostAreNotRemembered) {
    Cluster cluster(1, {.managers = 1, .hosts = 1});
    LostManagers lost;
    SimClient& client = cluster.add_client(0, lost);
    ASSERT_TRUE(client.call({.verb = Verb::ping}).ok());
    cluster.manager(0).kill();
    EXPECT_EQ(client.call({.verb = Verb::ping}).code(), Errc::manager_lost);
    EXPECT_FALSE(lost.any());
}

// ---- goodbyes ----

void run_for(Network& network, std::chrono::milliseconds time) {
    const Time until = network.now() + time;
    network.at(until, [] {});
    network.run_until([&] { return network.now() >= until; });
}

/// A dictionary that was destroyed is gone, for those who wait and for those who call later, near and far.
TEST(Goodbye, EndsTheDictionaryForAll) {
    for_each_seed(60, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        Network& network = cluster.network();
        LostManagers lost;
        const auto host = static_cast<std::uint32_t>(seed % 3);
        SimClient& client = cluster.add_client(host, lost);
        SimClient& alone = cluster.add_client(host);
        for (SimClient* one : {&client, &alone}) {
            ASSERT_TRUE(one->call({.verb = Verb::ping, .manager = 0}).ok());
            ASSERT_TRUE(one->call({.verb = Verb::ping, .manager = 1}).ok());
        }
        std::optional<Outcome> waited;
        client.start({.verb = Verb::wait_for, .key = "never", .argument = 20'000'000},
                     [&](const Outcome& outcome) { waited = outcome; });
        run_for(network, 5ms);
        for (std::uint32_t m = 0; m < 2; ++m)
            cluster.manager(m).shard().gate().say_goodbye(true);
        run_for(network, 20ms);
        for (std::uint32_t m = 0; m < 2; ++m)
            cluster.manager(m).kill();
        ASSERT_TRUE(waited.has_value());
        EXPECT_EQ(waited->code(), Errc::dictionary_gone) << waited->reply.error().message();
        const Time began = network.now();
        for (SimClient* one : {&client, &alone}) {
            for (std::uint32_t m = 0; m < 2; ++m) {
                const Outcome outcome = one->call({.verb = Verb::put, .manager = m, .key = "k"});
                EXPECT_EQ(outcome.code(), Errc::dictionary_gone);
                EXPECT_FALSE(outcome.reply.error().in_doubt);
                EXPECT_NE(outcome.reply.error().message().find("destroyed"), std::string::npos);
            }
        }
        EXPECT_LT(network.now() - began, 1ms) << "it is known";
        // One that never spoke to a manager has heard it from another thread.
        SimClient& newcomer = cluster.add_client(host, lost);
        EXPECT_EQ(newcomer.call({.verb = Verb::ping}).code(), Errc::dictionary_gone);
        tally.operations += 5;
    });
}

/// A manager that ends because its launcher is gone takes nobody else with it.
TEST(Goodbye, OfOneManagerIsALoss) {
    Cluster cluster(1, {.managers = 2, .hosts = 2});
    LostManagers lost;
    SimClient& client = cluster.add_client(2, lost);
    for (std::uint32_t m = 0; m < 2; ++m)
        ASSERT_TRUE(client.call({.verb = Verb::ping, .manager = m}).ok());
    std::optional<Outcome> waited;
    client.start({.verb = Verb::wait_for, .key = "never", .argument = 20'000'000},
                 [&](const Outcome& outcome) { waited = outcome; });
    run_for(cluster.network(), 5ms);
    cluster.manager(0).shard().gate().say_goodbye(false);
    run_for(cluster.network(), 20ms);
    cluster.manager(0).kill();
    ASSERT_TRUE(waited.has_value());
    EXPECT_EQ(waited->code(), Errc::manager_lost);
    EXPECT_EQ(waited->reply.error().manager_state, ManagerState::ended);
    EXPECT_FALSE(lost.dictionary_has_ended());
    EXPECT_TRUE(client.call({.verb = Verb::ping, .manager = 1}).ok());
}

/// Messages pass, but an answer takes longer than the first timeout of a hello.
TEST(SlowManagers, AreNotLost) {
    for_each_seed(seeds, [](std::uint64_t seed, Tally& tally) {
        for (const std::chrono::milliseconds one_way : {160ms, 250ms, 420ms}) {
            Cluster cluster(seed, {.managers = 2, .hosts = 2, .network = {.delay_min = one_way}});
            LostManagers lost;
            for (unsigned clients = 0; clients < 5; ++clients) {
                SimClient& client = cluster.add_client(2, lost);
                for (std::uint32_t manager = 0; manager < 2; ++manager) {
                    const Outcome outcome = client.call({.verb = Verb::ping, .manager = manager});
                    EXPECT_TRUE(outcome.ok())
                        << one_way.count() << " ms: " << outcome.reply.error().message();
                    ++tally.operations;
                }
            }
        }
    });
}

/// Who asked for the end has what it wanted, whichever word comes first.
TEST(Goodbye, IsAnAnswerToWhoAskedForIt) {
    for_each_seed(60, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        SimClient& client = cluster.add_client(static_cast<std::uint32_t>(seed % 2));
        ASSERT_TRUE(client.call({.verb = Verb::ping}).ok());
        std::optional<Outcome> ended;
        client.start({.verb = Verb::shutdown}, [&](const Outcome& outcome) { ended = outcome; });
        cluster.network().run_until([&] { return cluster.manager(0).shard().shutdown_requested(); });
        cluster.manager(0).shard().gate().say_goodbye(true);
        run_for(cluster.network(), 20ms);
        ASSERT_TRUE(ended.has_value());
        EXPECT_TRUE(ended->ok()) << ended->reply.error().message();
        ++tally.operations;
    });
}

/// Only the manager knows the number of the session.
TEST(Goodbye, OfAStrangerIsRejected) {
    Cluster cluster(1, {.managers = 1, .hosts = 1});
    SimClient& client = cluster.add_client(0);
    ASSERT_TRUE(client.call({.verb = Verb::ping}).ok());
    wire::ReplyHeader forged;
    forged.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::goodbye) | wire::reply_bit;
    forged.status = static_cast<std::uint16_t>(Errc::dictionary_gone);
    forged.request = wire::connection_request_bit;
    for (const std::uint64_t session : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 40}) {
        forged.argument = session;
        std::vector<std::byte> header(sizeof forged);
        std::memcpy(header.data(), &forged, sizeof forged);
        cluster.network().inject(client.process(), header, {});
    }
    EXPECT_TRUE(cluster.network().run());
    EXPECT_EQ(client.requester().rejected_messages(), 3u);
    EXPECT_TRUE(client.call({.verb = Verb::ping}).ok());
}

}  // namespace
}  // namespace ddict::sim
