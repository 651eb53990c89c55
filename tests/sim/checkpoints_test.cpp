// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Writers go from checkpoint to checkpoint, readers read at those that are complete, messages are lost and
// managers killed: what is seen at a complete checkpoint is that, all of it and nothing else, until it is
// retired.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>

#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"
#include "wire/items.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

constexpr std::uint32_t working_set = 3;
constexpr std::uint32_t checkpoints = 9;
constexpr std::uint32_t keys_of_writer = 5;

struct Plan {
    using Contents = std::map<std::string, std::string>;

    struct Deed {
        Verb verb;
        std::string key;
        std::string value;
    };
    std::map<std::uint32_t, std::vector<std::vector<Deed>>> deeds;  // by checkpoint and writer
    std::map<std::uint32_t, Contents> contents;                     // when all that is done
    std::uint32_t complete = 0;                                     // all of this one is done
    bool is_complete = false;
};

Plan plan_for(Random& random, unsigned writers) {
    Plan plan;
    Plan::Contents now;
    for (std::uint32_t checkpoint = 0; checkpoint < checkpoints; ++checkpoint) {
        auto& of_writers = plan.deeds[checkpoint];
        of_writers.resize(writers);
        for (unsigned writer = 0; writer < writers; ++writer) {
            for (std::uint32_t i = 0; i < keys_of_writer; ++i) {
                const std::string key = "key" + std::to_string(writer) + "." + std::to_string(i);
                if (random.chance(40)) {
                    std::string value = key + "@" + std::to_string(checkpoint);
                    if (random.chance(15)) value.resize(6000, '.');
                    now[key] = value;
                    of_writers[writer].push_back({Verb::put, key, value});
                } else if (random.chance(30) && now.contains(key)) {
                    now.erase(key);
                    of_writers[writer].push_back({random.chance(50) ? Verb::erase : Verb::pop, key, {}});
                }
            }
        }
        plan.contents[checkpoint] = now;
    }
    return plan;
}

std::vector<std::byte> bytes_in(const std::string& text) {
    const Bytes bytes = bytes_of(text);
    return {bytes.begin(), bytes.end()};
}

/// All writers have to be done with a checkpoint before the next one begins.
class Writers {
  public:
    Writers(Cluster& cluster, Plan& plan, unsigned count) : cluster_(cluster), plan_(plan) {
        for (unsigned i = 0; i < count; ++i)
            clients_.push_back(&cluster.add_asking_client(i % 3));
    }
    void begin(std::uint32_t checkpoint) {
        plan_.is_complete = false;
        checkpoint_ = checkpoint;
        under_way_ = 1;
        for (std::size_t writer = 0; writer < clients_.size(); ++writer) {
            for (const Plan::Deed& deed : plan_.deeds[checkpoint][writer]) {
                ++under_way_;
                clients_[writer]->start({.verb = deed.verb,
                                         .manager = cluster_.manager_of_key(deed.key),
                                         .key = deed.key,
                                         .value = bytes_in(deed.value),
                                         .checkpoint = checkpoint},
                                        [this](const Outcome& outcome) {
                                            EXPECT_TRUE(outcome.ok()) << outcome.reply.error().message();
                                            done();
                                        });
            }
        }
        done();
    }
    bool finished() const { return checkpoint_ + 1 == checkpoints && under_way_ == 0; }

  private:
    void done() {
        if (--under_way_ != 0) return;
        plan_.complete = checkpoint_;
        plan_.is_complete = true;
        if (checkpoint_ + 1 == checkpoints) return;
        const Duration pause(1 + cluster_.random().below(2'000'000));
        cluster_.network().at(cluster_.network().now() + pause, clients_[0]->process(),
                              [this] { begin(checkpoint_ + 1); });
    }

    Cluster& cluster_;
    Plan& plan_;
    std::vector<SimClient*> clients_;
    std::uint32_t checkpoint_ = 0;
    std::size_t under_way_ = 0;
};

class Reader {
  public:
    Reader(Cluster& cluster, const Plan& plan, SimClient& client, unsigned reads)
        : cluster_(cluster), plan_(plan), client_(client), left_(reads) {}

    void next() {
        if (plan_.complete == 0 && !plan_.is_complete) return again();
        if (left_-- == 0) return;
        const auto back = static_cast<std::uint32_t>(cluster_.random().below(working_set));
        const std::uint32_t newest = plan_.complete;
        const std::uint32_t at = newest < back ? 0 : newest - back;
        cluster_.random().chance(25) ? list(at) : get(at);
    }
    unsigned seen = 0;
    unsigned retired = 0;

  private:
    void again() {
        const Duration pause(1 + cluster_.random().below(300'000));
        cluster_.network().at(cluster_.network().now() + pause, client_.process(), [this] { next(); });
    }
    /// Only what was retired meanwhile may be refused.
    bool is_retired(const Outcome& outcome, std::uint32_t at) {
        if (outcome.code() != Errc::checkpoint_retired) return false;
        EXPECT_GE(plan_.complete + 1, at + working_set) << "it is kept";
        ++retired;
        return true;
    }
    void get(std::uint32_t at) {
        const std::string key = "key" + std::to_string(cluster_.random().below(2)) + "." +
                                std::to_string(cluster_.random().below(keys_of_writer));
        client_.start(
            {.verb = Verb::get, .manager = cluster_.manager_of_key(key), .key = key, .checkpoint = at},
            [this, at, key](const Outcome& outcome) {
                const Plan::Contents& wanted = plan_.contents.at(at);
                const auto value = wanted.find(key);
                if (is_retired(outcome, at)) return again();
                ++seen;
                if (value == wanted.end()) {
                    EXPECT_EQ(outcome.code(), Errc::not_found) << key << " at " << at;
                } else if (outcome.ok()) {
                    EXPECT_EQ(text_of(outcome.value), value->second) << "at " << at;
                } else {
                    ADD_FAILURE() << outcome.reply.error().message();
                }
                again();
            });
    }
    /// All keys of one manager; they fit into a page.
    void list(std::uint32_t at) {
        const auto manager = static_cast<std::uint32_t>(cluster_.random().below(cluster_.managers()));
        client_.start({.verb = Verb::scan, .manager = manager, .checkpoint = at},
                      [this, at, manager](const Outcome& outcome) {
                          if (is_retired(outcome, at)) return again();
                          ++seen;
                          ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
                          std::size_t wanted = 0;
                          for (const auto& [key, value] : plan_.contents.at(at))
                              wanted += cluster_.manager_of_key(key) == manager ? 1U : 0U;
                          wire::ItemReader items(outcome.value);
                          std::size_t found = 0;
                          for (KeyBytes key; items.key(key); ++found)
                              EXPECT_TRUE(plan_.contents.at(at).contains(name_of(key))) << "at " << at;
                          EXPECT_EQ(found, wanted) << "at " << at;
                          again();
                      });
    }

    Cluster& cluster_;
    const Plan& plan_;
    SimClient& client_;
    unsigned left_;
};

void run(std::uint64_t seed, Tally& tally, bool kills) {
    Cluster cluster(
        seed, {.managers = 3, .hosts = 2, .is_restartable = kills, .working_set = {.size = working_set}});
    Plan plan = plan_for(cluster.random(), 2);
    Writers writers(cluster, plan, 2);
    std::deque<Reader> readers;
    for (unsigned i = 0; i < 4; ++i)
        readers.emplace_back(cluster, plan, cluster.add_asking_client(i % 4), 40).next();
    if (kills) cluster.restart_each_at_some_time();
    writers.begin(0);
    ASSERT_TRUE(cluster.network().run());
    EXPECT_TRUE(writers.finished());
    for (const Reader& reader : readers) {
        EXPECT_EQ(reader.seen + reader.retired, 40u);
        tally.operations += reader.seen;
    }
    EXPECT_EQ(cluster.problems_at_rest(true), "");
    // In the end nothing is left of what was retired: a version for each key at the oldest checkpoint, and
    // for each change after it.
    for (std::uint32_t manager = 0; manager < cluster.managers(); ++manager) {
        const shm::Pool& pool = cluster.manager(manager).pool();
        const std::uint32_t oldest = pool.checkpoints().oldest();
        const auto is_here = [&](const std::string& key) { return cluster.manager_of_key(key) == manager; };
        std::size_t most = 0;
        for (const auto& [key, value] : plan.contents[oldest])
            most += is_here(key) ? 1U : 0U;
        for (std::uint32_t id = oldest + 1; id < checkpoints; ++id)
            for (const auto& of_writer : plan.deeds[id])
                for (const Plan::Deed& deed : of_writer)
                    most += is_here(deed.key) ? 1U : 0U;
        EXPECT_LE(pool.size(), most);
    }
    tally.events += cluster.network().counters().events;
}

TEST(Checkpoints, WhatIsCompleteIsSeenUnchanged) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) { run(seed, tally, false); });
}

TEST(Checkpoints, AlsoWhenManagersAreKilled) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) { run(seed, tally, true); });
}

}  // namespace
}  // namespace ddict::sim
