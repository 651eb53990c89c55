// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients go from checkpoint to checkpoint without a barrier, where checkpoints wait for keys and for
// writers: messages are lost and managers killed, and all the same each sees of the others what they have put
// at its own checkpoint, nothing of it is retired before, what is popped is had by one, and nobody waits for
// ever.
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>

#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {
namespace {

using wire::Verb;

constexpr std::uint32_t checkpoints = 8;
constexpr unsigned clients = 3;

std::vector<std::byte> bytes_in(const std::string& text) {
    const Bytes bytes = bytes_of(text);
    return {bytes.begin(), bytes.end()};
}

/// At each checkpoint it puts a value and a task, gets the values of all, and takes the task of its
/// neighbour.
class Client {
  public:
    Client(Cluster& cluster, unsigned number)
        : cluster_(cluster), client_(cluster.add_asking_client(number % 4)), number_(number) {}

    void begin() {
        put("task" + std::to_string(number_), [this] {
            put("value" + std::to_string(number_), [this] {
                under_way_ = clients + 1;
                for (unsigned other = 0; other < clients; ++other)
                    take(Verb::get, "value" + std::to_string(other));
                take(Verb::pop, "task" + std::to_string((number_ + 1) % clients));
            });
        });
    }
    std::uint32_t reached() const { return checkpoint_; }
    unsigned seen = 0;

  private:
    std::string value_of(const std::string& key) const {
        std::string value = key + "@" + std::to_string(checkpoint_);
        if ((checkpoint_ + key.size() + static_cast<unsigned char>(key.back())) % 5 == 0)
            value.resize(6000, '.');
        return value;
    }
    Ask ask(Verb verb, const std::string& key) const {
        return {.verb = verb,
                .manager = cluster_.manager_of_key(key),
                .key = key,
                .checkpoint = checkpoint_,
                .timeout = std::chrono::minutes(5)};
    }
    void put(const std::string& key, std::function<void()> then) {
        Ask put = ask(Verb::put, key);
        put.value = bytes_in(value_of(key));
        client_.start(put, [key, then = std::move(then)](const Outcome& outcome) {
            ASSERT_TRUE(outcome.ok()) << "put of " << key << ": " << outcome.reply.error().message();
            then();
        });
    }
    void take(Verb verb, const std::string& key) {
        client_.start(ask(verb, key), [this, key](const Outcome& outcome) {
            ASSERT_TRUE(outcome.ok()) << key << ": " << outcome.reply.error().message();
            EXPECT_EQ(text_of(outcome.value), value_of(key));
            ++seen;
            if (--under_way_ != 0) return;
            if (++checkpoint_ == checkpoints) return;
            const Duration pause(1 + cluster_.random().below(1'000'000));
            cluster_.network().at(cluster_.network().now() + pause, client_.process(), [this] { begin(); });
        });
    }

    Cluster& cluster_;
    SimClient& client_;
    unsigned number_;
    std::uint32_t checkpoint_ = 0;
    unsigned under_way_ = 0;
};

void run(std::uint64_t seed, Tally& tally, bool kills) {
    Cluster cluster(seed, {.managers = 3,
                           .hosts = 2,
                           .is_restartable = kills,
                           .working_set = {.size = 2, .waits_for_keys = true, .waits_for_writers = true}});
    std::deque<Client> all;
    for (unsigned i = 0; i < clients; ++i)
        all.emplace_back(cluster, i).begin();
    if (kills) cluster.restart_each_at_some_time();
    ASSERT_TRUE(cluster.network().run());
    for (const Client& client : all) {
        EXPECT_EQ(client.reached(), checkpoints);
        EXPECT_EQ(client.seen, checkpoints * (clients + 1));
        tally.operations += client.seen;
    }
    EXPECT_EQ(cluster.problems_at_rest(true), "");
    tally.events += cluster.network().counters().events;
}

TEST(WaitingCheckpoints, EachSeesOfTheOthersTheirOwnStep) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) { run(seed, tally, false); });
}

TEST(WaitingCheckpoints, AlsoWhenManagersAreKilled) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) { run(seed, tally, true); });
}

}  // namespace
}  // namespace ddict::sim
