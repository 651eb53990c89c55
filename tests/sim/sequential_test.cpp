// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients take turns, one operation at a time: then a dictionary is a std::map.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/hash.h"
#include "core/stats.h"
#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {
namespace {

using wire::Verb;

struct Stored {
    std::vector<std::byte> bytes;
    std::uint16_t type = 0;
};
using Model = std::vector<std::map<std::string, Stored>>;  // by manager

class Sequence {
  public:
    explicit Sequence(std::uint64_t seed) : cluster_(seed), model_(cluster_.managers()) {
        for (std::uint32_t host = 0; host < 4; ++host)
            clients_.push_back(&cluster_.add_client(host % 3));  // one host without a manager
        for (std::uint32_t m = 0; m < cluster_.managers(); ++m)
            empty_.push_back(cluster_.manager(m).pool().usage());
    }

    void step() {
        Random& random = cluster_.random();
        client_ = clients_[random.below(clients_.size())];
        key_ = "key" + std::to_string(random.below(20));
        manager_ = cluster_.manager_of_key(key_);
        switch (random.below(16)) {
            case 0:
                return size();
            case 1:
                return keys();
            case 2:
                return stats();
            case 3:
                return random.chance(10) ? clear() : contains();
            case 4:
            case 5:
                return erase();
            case 6:
            case 7:
                return contains();
            case 8:
            case 9:
            case 10:
            case 11:
                return put();
            default:
                return get();
        }
    }

    void finish() {
        for (std::uint32_t m = 0; m < cluster_.managers(); ++m) {
            manager_ = m;
            keys();
            clear();
            EXPECT_EQ(cluster_.manager(m).pool().usage().used_bytes, empty_[m].used_bytes) << "manager " << m;
            EXPECT_EQ(cluster_.manager(m).pool().usage().free_bytes, empty_[m].free_bytes) << "manager " << m;
        }
        EXPECT_EQ(cluster_.problems_at_rest(), "");
    }

    const NetworkCounters& counters() { return cluster_.network().counters(); }

  private:
    Outcome ask(Ask ask) {
        ask.manager = manager_;
        return client_->call(std::move(ask));
    }

    void put() {
        const std::uint64_t id = cluster_.random().number();
        Stored stored{value_number(id), type_of_value(id)};
        const Outcome outcome =
            ask({.verb = Verb::put, .key = key_, .value = stored.bytes, .value_type = stored.type});
        ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
        model_[manager_][key_] = std::move(stored);
    }

    void get() {
        const Outcome outcome = ask({.verb = Verb::get, .key = key_});
        const auto found = model_[manager_].find(key_);
        if (found == model_[manager_].end()) {
            EXPECT_EQ(outcome.code(), Errc::not_found);
            return;
        }
        ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
        EXPECT_TRUE(outcome.value == found->second.bytes) << outcome.value.size() << " bytes";
        EXPECT_EQ(outcome.reply->value_type, found->second.type);
        EXPECT_EQ(outcome.reply->value_bytes, found->second.bytes.size());
    }

    void contains() {
        const Outcome outcome = ask({.verb = Verb::contains, .key = key_});
        ASSERT_TRUE(outcome.ok());
        EXPECT_EQ(outcome.reply->argument, model_[manager_].count(key_));
    }

    void erase() {
        const Outcome outcome = ask({.verb = Verb::erase, .key = key_});
        EXPECT_EQ(outcome.code(), model_[manager_].erase(key_) > 0 ? Errc{} : Errc::not_found);
    }

    void size() {
        const Outcome outcome = ask({.verb = Verb::size});
        ASSERT_TRUE(outcome.ok());
        EXPECT_EQ(outcome.reply->argument, model_[manager_].size());
    }

    void clear() {
        ASSERT_TRUE(ask({.verb = Verb::clear}).ok());
        model_[manager_].clear();
    }

    void keys() {
        std::vector<std::string> found;
        std::uint64_t cursor = 0;
        do {
            const Outcome outcome = ask({.verb = Verb::scan, .argument = cursor});
            ASSERT_TRUE(outcome.ok());
            for (std::string& key : keys_of_page(outcome.value))
                found.push_back(std::move(key));
            cursor = outcome.reply->argument;
        } while (cursor != 0);
        std::sort(found.begin(), found.end());
        std::vector<std::string> expected;
        for (const auto& [key, stored] : model_[manager_])
            expected.push_back(key);
        EXPECT_EQ(found, expected);
    }

    void stats() {
        const Outcome outcome = ask({.verb = Verb::stats});
        ManagerStats stats;
        ASSERT_TRUE(outcome.ok());
        ASSERT_TRUE(unpack(outcome.value, stats));
        EXPECT_EQ(stats.manager, manager_);
        EXPECT_EQ(stats.keys, model_[manager_].size());
        EXPECT_EQ(stats.rejected_messages, 0u);
        EXPECT_EQ(stats.pool_bytes, stats.used_bytes + stats.free_bytes);
    }

    Cluster cluster_;
    Model model_;
    std::vector<shm::PoolUsage> empty_;
    std::vector<SimClient*> clients_;
    SimClient* client_ = nullptr;
    std::string key_;
    std::uint32_t manager_ = 0;
};

TEST(Sequential, IsAMap) {
    std::uint64_t bodies = 0;
    std::uint64_t eager_bodies = 0;
    for_each_seed(60, [&](std::uint64_t seed, Tally& tally) {
        Sequence sequence(seed);
        for (int i = 0; i < 250 && !testing::Test::HasFailure(); ++i, ++tally.operations)
            sequence.step();
        if (!testing::Test::HasFailure()) sequence.finish();
        tally.events += sequence.counters().events;
        bodies += sequence.counters().bodies;
        eager_bodies += sequence.counters().eager_bodies;
    });
    EXPECT_GT(bodies, 0u);
    EXPECT_GT(eager_bodies, 0u);
}

/// More keys than fit into one page.
TEST(Sequential, KeysComeInPages) {
    for_each_seed(2, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        SimClient& client = cluster.add_client(0);
        std::vector<std::string> expected;
        for (int i = 0; i < 2000; ++i) {
            std::string key = std::string(1 + cluster.random().below(limits::key_bytes_max - 8), 'x');
            key += std::to_string(i);
            if (!client.call({.verb = Verb::put, .key = key}).ok()) break;
            expected.push_back(std::move(key));
            ++tally.operations;
        }
        ASSERT_GT(expected.size(), 1000u);
        std::vector<std::string> found;
        std::uint64_t pages = 0;
        std::uint64_t cursor = 0;
        do {
            const Outcome outcome = client.call({.verb = Verb::scan, .argument = cursor});
            ASSERT_TRUE(outcome.ok());
            for (std::string& key : keys_of_page(outcome.value))
                found.push_back(std::move(key));
            cursor = outcome.reply->argument;
            ++pages;
        } while (cursor != 0);
        std::sort(found.begin(), found.end());
        std::sort(expected.begin(), expected.end());
        EXPECT_TRUE(found == expected) << found.size() << " of " << expected.size() << " keys";
        EXPECT_GT(pages, 5u);
        tally.events += cluster.network().counters().events;
        EXPECT_EQ(cluster.problems_at_rest(), "");
    });
}

}  // namespace
}  // namespace ddict::sim
