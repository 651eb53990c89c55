// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What Error::in_doubt promises: an error without it says that the change was not made, whatever was cut,
// broken or killed meanwhile; one with it, that the change was sent.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/hash.h"
#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"
#include "wire/items.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

constexpr std::uint32_t managers = 3;
constexpr unsigned changes_per_client = 24;

/// A change of keys that nobody else changes, so that what is there afterwards tells whether it was made.
struct Change {
    Ask ask;
    std::vector<std::string> keys;
    bool removes = false;
    bool on_all = false;  // a broadcast
    std::optional<Error> error{};
    bool done = false;
};

class Changes {
  public:
    explicit Changes(Cluster& cluster) : cluster_(cluster) {}

    /// One more, whose key is there already if it removes it.
    Change& add() {
        Random& random = cluster_.random();
        Change& change = all_.emplace_back();
        const std::string key = "key" + std::to_string(all_.size());
        change.keys = {key};
        change.ask.key = key;
        change.ask.manager = cluster_.manager_of_key(key);
        const std::size_t bytes = random.chance(25) ? 5'000 + random.below(30'000) : random.below(60);
        // What is removed is put into the pool first; of a dead manager there is none.
        const bool lives = cluster_.manager(change.ask.manager).process().alive();
        switch (lives ? random.below(9) : random.below(4)) {
            case 0:
                change.ask.verb = Verb::put;
                change.ask.value = random.bytes(bytes);
                break;
            case 1:
                change.ask.verb = Verb::append;
                change.ask.value = random.bytes(bytes + 1);
                break;
            case 2:
                change.ask.verb = Verb::fetch_add;
                change.ask.value = std::vector<std::byte>(8);
                change.ask.value_type = 0x0123;
                change.ask.argument = 1;
                break;
            case 3:
                change.ask.verb = Verb::compare_and_swap;
                change.ask.value = random.bytes(bytes + 1);
                change.ask.flags = wire::swap_if_absent;
                break;
            case 4:
                change.ask.verb = Verb::erase;
                change.removes = true;
                break;
            case 5:
                change.ask.verb = Verb::pop;
                change.removes = true;
                break;
            case 6:
                batch(change, Verb::batch_put);
                break;
            case 7:
                batch(change, Verb::batch_erase);
                change.removes = true;
                break;
            default:
                change.ask.verb = Verb::broadcast_put;
                change.ask.value = random.bytes(bytes);
                change.on_all = true;
        }
        if (change.removes) {
            for (const std::string& one : change.keys) {
                const Bytes name = bytes_of(one);
                const std::vector<std::byte> value = random.bytes(bytes);
                store::Store& store = cluster_.manager(change.ask.manager).store();
                EXPECT_TRUE(store.apply({.pair = {name, hash_of(name), 0, 0, value}}).succeeded());
            }
        }
        return change;
    }
    /// What is at a manager that is about to be killed.
    void note(std::uint32_t manager) { dead_[manager] = keys_at(manager); }

    /// Those of which an error says that they were not made, and which were.
    std::string lies() {
        std::string out;
        for (const Change& change : all_) {
            if (!change.done || !change.error || change.error->in_doubt) continue;
            if (was_made(change)) out += change.error->message() + ", but it was made\n";
        }
        return out;
    }
    std::size_t errors(bool in_doubt) const {
        return static_cast<std::size_t>(std::count_if(all_.begin(), all_.end(), [&](const Change& change) {
            return change.error && change.error->in_doubt == in_doubt;
        }));
    }
    bool all_done() const {
        return std::all_of(all_.begin(), all_.end(), [](const Change& change) { return change.done; });
    }

  private:
    void batch(Change& change, Verb verb) {
        change.ask.verb = verb;
        change.ask.key.clear();
        for (int i = 0; change.keys.size() < 3; ++i) {
            const std::string key = change.keys[0] + "-" + std::to_string(i);
            if (cluster_.manager_of_key(key) == change.ask.manager) change.keys.push_back(key);
        }
        std::vector<std::byte> packed(limits::inline_value_bytes_max);
        wire::ItemWriter items(packed);
        for (const std::string& key : change.keys)
            verb == Verb::batch_put ? items.pair(bytes_of(key), 0, bytes_of(key)) : items.key(bytes_of(key));
        packed.resize(items.written().size());
        change.ask.value = packed;
        change.ask.argument = change.keys.size();
    }
    bool holds(std::uint32_t manager, const std::string& key) {
        if (const auto dead = dead_.find(manager); dead != dead_.end()) return dead->second.contains(key);
        const Bytes name = bytes_of(key);
        return cluster_.manager(manager).pool().find(name, hash_of(name)) != nullptr;
    }
    std::set<std::string> keys_at(std::uint32_t manager) {
        std::set<std::string> keys;
        for (const Change& change : all_) {
            for (const std::string& key : change.keys) {
                if (holds(manager, key)) keys.insert(key);
            }
        }
        return keys;
    }
    bool was_made(const Change& change) {
        for (const std::string& key : change.keys) {
            for (std::uint32_t m = 0; m < managers; ++m) {
                if (!change.on_all && m != change.ask.manager) continue;
                if (holds(m, key) != change.removes) return true;
            }
        }
        return false;
    }

    Cluster& cluster_;
    std::deque<Change> all_;
    std::map<std::uint32_t, std::set<std::string>> dead_;
};

/// Makes changes one after the other, with deadlines of all kinds.
class ChangingClient {
  public:
    ChangingClient(Cluster& cluster, SimClient& client, Changes& changes)
        : cluster_(cluster), client_(client), changes_(changes) {}

    void next() {
        if (left_ == 0) return;
        --left_;
        Change& change = changes_.add();
        change.ask.timeout = cluster_.random().chance(40)
                                 ? std::chrono::milliseconds(cluster_.random().below(3))
                                 : std::chrono::milliseconds(8'000);
        client_.start(change.ask, [this, &change](const Outcome& outcome) {
            change.done = true;
            if (!outcome.ok()) change.error = outcome.reply.error();
            next();
        });
    }
    SimClient& client() { return client_; }

  private:
    Cluster& cluster_;
    SimClient& client_;
    Changes& changes_;
    unsigned left_ = changes_per_client;
};

TEST(Doubt, AnErrorThatLeavesNoneMeansThatNothingWasDone) {
    std::size_t in_doubt = 0;
    std::size_t without = 0;
    for_each_seed(300, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = managers, .hosts = 3});
        Network& network = cluster.network();
        Random& random = cluster.random();
        LostManagers lost;
        Changes changes(cluster);
        std::deque<ChangingClient> clients;
        for (std::uint32_t i = 0; i < 4; ++i) {
            SimClient& client = i % 2 == 0 ? cluster.add_client(i, lost) : cluster.add_client(i);
            clients.emplace_back(cluster, client, changes).next();
            clients.back().next();
        }
        const auto some_time = [&](std::uint64_t most_us) {
            return network.now() + std::chrono::microseconds(random.below(most_us));
        };
        for (int i = 0; i < 5; ++i) {
            network.at(some_time(6000), [&] {
                SimManager& manager = cluster.manager(static_cast<std::uint32_t>(random.below(managers)));
                SimClient& client = clients[random.below(clients.size())].client();
                if (!manager.process().alive()) return;
                network.sever(client.process(), manager.process(), true, random.chance(70));
            });
        }
        const auto host = static_cast<std::uint32_t>(random.below(3));
        network.at(some_time(6000), [&network, host] { network.cut(host, 3); });
        network.at(some_time(6000) + 7ms + std::chrono::milliseconds(random.below(12'000)),
                   [&network, host] { network.join(host, 3); });
        if (random.chance(40)) {
            network.at(some_time(8000), [&] {
                changes.note(2);
                cluster.manager(2).kill();
            });
        }
        ASSERT_TRUE(network.run());
        EXPECT_TRUE(changes.all_done());
        EXPECT_EQ(changes.lies(), "");
        in_doubt += changes.errors(true);
        without += changes.errors(false);
        tally.operations += changes_per_client * clients.size();
        tally.events += network.counters().events;
    });
    EXPECT_TRUE((in_doubt > 500 && without > 500) || repeats_one_seed()) << in_doubt << " " << without;
}

/// Nothing of it has left: then nobody needs to doubt.
TEST(Doubt, WhatWasNeverSentLeavesNone) {
    for_each_seed(20, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = managers, .hosts = 1});
        LostManagers lost;
        SimClient& client = cluster.add_client(1, lost);
        cluster.network().cut(0, 1);
        Changes changes(cluster);
        for (int i = 0; i < 12; ++i) {
            Change& change = changes.add();
            change.ask.timeout = i % 3 == 0 ? 20ms : 8'000ms;
            const Outcome outcome = client.call(change.ask);
            ASSERT_FALSE(outcome.ok());
            EXPECT_FALSE(outcome.reply.error().in_doubt) << outcome.reply.error().message();
            ++tally.operations;
        }
    });
}

}  // namespace
}  // namespace ddict::sim
