// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients take turns, one operation at a time: then a dictionary is a std::map.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "tests/sim/seeds.h"
#include "tests/sim/value_model.h"
#include "wire/items.h"
#include "wire/stats.h"

namespace ddict::sim {
namespace {

using wire::Verb;

using Model = std::vector<std::map<std::string, Stored>>;  // by manager

class Sequence {
  public:
    explicit Sequence(std::uint64_t seed)
        : cluster_(seed, {.managers = static_cast<std::uint32_t>(3 + seed % 5)}),
          model_(cluster_.managers()),
          copies_(cluster_.managers()) {
        for (std::uint32_t host = 0; host < 4; ++host)
            clients_.push_back(&cluster_.add_client(host % 3));  // one host without a manager
        for (std::uint32_t m = 0; m < cluster_.managers(); ++m)
            empty_.push_back(cluster_.manager(m).pool().usage());
    }

    void step() {
        Random& random = cluster_.random();
        client_ = clients_[random.below(clients_.size())];
        key_ = random_name("key", 10);
        manager_ = cluster_.manager_of_key(key_);
        switch (random.below(27)) {
            case 0:
                return size();
            case 1:
                return keys();
            case 2:
                return items();
            case 3:
                return stats();
            case 4:
                if (random.chance(10)) clear();
                return;
            case 5:
                return put();
            case 6:
            case 7:
                return batch();
            case 8:
                return wait();
            case 9:
                if (random.chance(30)) freeze();
                return;
            case 10:
                return broadcast();
            case 11:
            case 12:
                return read_copy();
            case 13:
            case 14:
                return count_prefix();
            case 15:
                return erase_prefix();
            default:
                return one_key();
        }
    }

    void finish() {
        if (frozen_) freeze();
        for (std::uint32_t m = 0; m < cluster_.managers(); ++m) {
            manager_ = m;
            keys();
            items();
            clear();
            // What they have popped goes when they show that they have it.
            for (SimClient* client : clients_)
                EXPECT_TRUE(client->call({.verb = Verb::ping, .manager = m}).ok());
        }
        ASSERT_TRUE(cluster_.network().run());
        for (std::uint32_t m = 0; m < cluster_.managers(); ++m) {
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

    Value seen(const std::string& key) const {
        const auto found = model_[manager_].find(key);
        return found == model_[manager_].end() ? Value() : Value(found->second);
    }
    void keep(const std::string& key, Value value) {
        model_[manager_].erase(key);
        if (value) model_[manager_].emplace(key, *std::move(value));
    }

    void check(Ask request) {
        Value value = seen(key_);
        const bool changes = request.verb != Verb::get && request.verb != Verb::contains;
        Answer expected{.code = Errc::frozen};
        if (!frozen_ || !changes) expected = perform(request, value);
        const Verb verb = request.verb;
        const Answer answer = answer_of(verb, ask(std::move(request)));
        EXPECT_TRUE(answer == expected) << name(operation_of(verb)) << " of " << key_ << ": "
                                        << text_of(answer) << ", and not " << text_of(expected);
        keep(key_, std::move(value));
    }

    /// Of keys of two types, with the same bytes.
    std::string random_name(const std::string& stem, unsigned numbers) {
        Random& random = cluster_.random();
        return stem + std::to_string(random.below(numbers)) + (random.chance(50) ? "#" : "");
    }

    void one_key() { check(random_ask(cluster_.random(), key_, seen(key_))); }

    void put() {
        const std::uint64_t id = cluster_.random().number();
        check({.verb = Verb::put, .key = key_, .value = value_number(id), .value_type = type_of_value(id)});
    }

    /// Of keys of one manager.
    void batch() {
        Random& random = cluster_.random();
        std::vector<std::string> names;
        for (int i = 0; i < 40; ++i) {
            std::string name = random_name("key", 10);
            if (cluster_.manager_of_key(name) == manager_) names.push_back(std::move(name));
        }
        const Verb verb = std::array{Verb::batch_get, Verb::batch_put, Verb::batch_erase}[random.below(3)];
        std::vector<std::byte> packed(2 * limits::batch_bytes_max);
        wire::ItemWriter items(packed);
        std::vector<Stored> values;
        const std::size_t value_bytes_max = random.chance(30) ? 2000 : 100;
        for (const std::string& name : names) {
            values.push_back({random.bytes(random.below(value_bytes_max)), 5});
            ASSERT_TRUE(verb == Verb::batch_put ? items.pair(key_named(name), 5, values.back().bytes)
                                                : items.key(key_named(name)));
        }
        packed.resize(items.written().size());
        const Outcome outcome = ask({.verb = verb, .value = packed, .argument = names.size()});
        ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
        wire::ItemReader results(outcome.value);
        for (std::size_t i = 0; i < names.size(); ++i) {
            Value value = seen(names[i]);
            if (verb == Verb::batch_get) {
                wire::PackedResult result;
                ASSERT_TRUE(results.result(result));
                if (result.status == wire::status_ask_alone) {
                    ASSERT_TRUE(value);
                    EXPECT_GT(outcome.value.size() + value->bytes.size(), limits::batch_bytes_max);
                    continue;
                }
                const Answer expected = perform({.verb = Verb::get}, value);
                EXPECT_EQ(static_cast<Errc>(result.status), expected.code);
                if (value) {
                    EXPECT_EQ(content_of(result.value, result.value_type), expected.content);
                }
                continue;
            }
            std::uint16_t status = 0;
            ASSERT_TRUE(results.status(status));
            Answer expected{.code = Errc::frozen};
            if (!frozen_) {
                expected =
                    verb == Verb::batch_put
                        ? perform({.verb = Verb::put, .value = values[i].bytes, .value_type = values[i].type},
                                  value)
                        : perform({.verb = Verb::erase}, value);
            }
            EXPECT_EQ(static_cast<Errc>(status), expected.code);
            keep(names[i], std::move(value));
        }
        EXPECT_TRUE(results.at_end());
    }

    /// What is there already, or for nothing.
    void wait() {
        const Value value = seen(key_);
        Ask request{.verb = Verb::wait_for, .key = key_, .argument = cluster_.random().below(2000)};
        const bool for_value = cluster_.random().chance(50);
        const bool for_this = value && cluster_.random().chance(70);
        if (for_value) {
            request.flags = wire::wait_for_value;
            request.value = for_this ? value->bytes : cluster_.random().bytes(70);
            if (value) request.value_type = value->type;
        }
        const Outcome outcome = ask(request);
        if (!value || (for_value && !for_this)) {
            EXPECT_EQ(outcome.code(), Errc::timeout);
            return;
        }
        ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
        EXPECT_TRUE(for_value ? outcome.value.empty() : outcome.value == value->bytes);
    }

    void freeze() {
        const std::uint32_t here = manager_;
        frozen_ = !frozen_;
        for (manager_ = 0; manager_ < cluster_.managers(); ++manager_) {
            const Outcome outcome = ask({.verb = Verb::freeze, .argument = frozen_ ? 1u : 0u});
            ASSERT_TRUE(outcome.ok());
            EXPECT_EQ(outcome.reply->argument, frozen_ ? 1u : 0u);
            EXPECT_EQ(cluster_.manager(manager_).pool().frozen(), frozen_);
        }
        manager_ = here;
    }

    void broadcast() {
        key_ = random_name("all", 3);
        manager_ = cluster_.manager_of_key(key_);
        const bool held = copies_[manager_].contains(key_);
        if (held && cluster_.random().chance(30)) {
            const Outcome outcome = ask(random_change());
            EXPECT_EQ(outcome.code(), frozen_ ? Errc::frozen : Errc::invalid_argument);
            return;
        }
        if (cluster_.random().chance(30)) {
            const Outcome outcome = ask({.verb = Verb::broadcast_erase, .key = key_});
            EXPECT_EQ(outcome.code(), frozen_ ? Errc::frozen : held ? Errc{} : Errc::not_found);
            if (frozen_) return;
            for (auto& copies : copies_)
                copies.erase(key_);
            return;
        }
        const std::uint64_t id = cluster_.random().number();
        const Stored value{value_number(id), type_of_value(id)};
        const Outcome outcome =
            ask({.verb = Verb::broadcast_put, .key = key_, .value = value.bytes, .value_type = value.type});
        EXPECT_EQ(outcome.code(), frozen_ ? Errc::frozen : Errc{});
        if (frozen_) return;
        for (auto& copies : copies_)
            copies[key_] = value;
    }
    Ask random_change() {
        Ask change;
        do
            change = random_ask(cluster_.random(), key_, copies_[manager_].at(key_));
        while (change.verb == Verb::get || change.verb == Verb::contains);
        return change;
    }
    void read_copy() {
        key_ = random_name("all", 3);
        manager_ = static_cast<std::uint32_t>(cluster_.random().below(cluster_.managers()));
        const auto found = copies_[manager_].find(key_);
        Value value = found == copies_[manager_].end() ? Value() : Value(found->second);
        const Answer expected = perform({.verb = Verb::get}, value);
        EXPECT_TRUE(answer_of(Verb::get, ask({.verb = Verb::get, .key = key_})) == expected);
    }
    /// Of the keys stored by broadcasts, those that count at this manager: the others are copies.
    std::map<std::string, Stored> with_own_broadcasts() const {
        std::map<std::string, Stored> all = model_[manager_];
        for (const auto& [key, value] : copies_[manager_]) {
            if (cluster_.manager_of_key(key) == manager_) all.emplace(key, value);
        }
        return all;
    }

    void size() {
        const Outcome outcome = ask({.verb = Verb::size});
        ASSERT_TRUE(outcome.ok());
        EXPECT_EQ(outcome.reply->argument, with_own_broadcasts().size());
    }

    void clear() {
        EXPECT_EQ(ask({.verb = Verb::clear}).code(), frozen_ ? Errc::frozen : Errc{});
        if (frozen_) return;
        model_[manager_].clear();
        copies_[manager_].clear();
    }

    void keys() {
        const std::string prefix = std::array{"", "key1", "all", "x"}[cluster_.random().below(4)];
        std::vector<std::string> found;
        std::uint64_t cursor = 0;
        do {
            const Outcome outcome = ask({.verb = Verb::scan, .key = prefix, .argument = cursor});
            ASSERT_TRUE(outcome.ok());
            for (std::string& key : keys_of_page(outcome.value))
                found.push_back(std::move(key));
            cursor = outcome.reply->argument;
        } while (cursor != 0);
        std::sort(found.begin(), found.end());
        std::vector<std::string> expected;
        for (const auto& [key, stored] : with_own_broadcasts()) {
            if (prefix.empty() || has_prefix(key, prefix)) expected.push_back(key);
        }
        EXPECT_EQ(found, expected);
    }

    /// Of texts: a prefix is one.
    static bool has_prefix(const std::string& key, const std::string& prefix) {
        return key.starts_with(prefix) && !key.ends_with('#');
    }
    /// The sum of what the parts tell.
    std::uint64_t sum_of_parts(Verb verb, const std::string& prefix) {
        std::uint64_t sum = 0;
        std::uint64_t cursor = 0;
        do {
            const Outcome outcome = ask({.verb = verb, .key = prefix, .argument = cursor});
            EXPECT_TRUE(outcome.ok());
            if (!outcome.ok()) break;
            sum += outcome.reply->argument2;
            cursor = outcome.reply->argument;
        } while (cursor != 0);
        return sum;
    }
    void count_prefix() {
        const std::string prefix = std::array{"", "key1", "all", "x"}[cluster_.random().below(4)];
        std::uint64_t expected = 0;
        for (const auto& [key, stored] : with_own_broadcasts())
            expected += prefix.empty() || has_prefix(key, prefix) ? 1u : 0u;
        EXPECT_EQ(sum_of_parts(Verb::count_prefix, prefix), expected) << prefix;
    }
    void erase_prefix() {
        const std::string prefix = std::array{"key1", "all", "x"}[cluster_.random().below(3)];
        if (frozen_) {
            EXPECT_EQ(ask({.verb = Verb::erase_prefix, .key = prefix}).code(), Errc::frozen);
            return;
        }
        const auto expected =
            std::erase_if(model_[manager_], [&](const auto& pair) { return has_prefix(pair.first, prefix); });
        EXPECT_EQ(sum_of_parts(Verb::erase_prefix, prefix), expected) << prefix;
    }

    void items() {
        std::map<std::string, Stored> expected = with_own_broadcasts();
        std::uint64_t cursor = 0;
        do {
            const Outcome outcome = ask({.verb = Verb::scan, .argument = cursor, .flags = wire::scan_values});
            ASSERT_TRUE(outcome.ok());
            wire::ItemReader page(outcome.value);
            for (wire::PackedPair pair; page.pair(pair);) {
                const auto found = expected.find(name_of(pair.key));
                ASSERT_NE(found, expected.end());
                EXPECT_EQ(pair.value_type, found->second.type);
                if (pair.ask_alone) {
                    EXPECT_GT(found->second.bytes.size(), 16u * 1024);
                } else {
                    EXPECT_TRUE(std::equal(pair.value.begin(), pair.value.end(), found->second.bytes.begin(),
                                           found->second.bytes.end()));
                }
                expected.erase(found);
            }
            EXPECT_TRUE(page.at_end());
            cursor = outcome.reply->argument;
        } while (cursor != 0);
        EXPECT_TRUE(expected.empty());
    }

    void stats() {
        const Outcome outcome = ask({.verb = Verb::stats});
        ManagerStats stats;
        ASSERT_TRUE(outcome.ok());
        ASSERT_TRUE(unpack(outcome.value, stats));
        EXPECT_EQ(stats.manager, manager_);
        EXPECT_EQ(stats.keys, with_own_broadcasts().size());
        EXPECT_EQ(stats.broadcast_keys, copies_[manager_].size());
        EXPECT_EQ(stats.rejected_messages, 0u);
        EXPECT_EQ(stats.pool_bytes, stats.used_bytes + stats.free_bytes);
        EXPECT_EQ(stats.waiting, 0u);
        EXPECT_EQ(stats.broadcasts, 0u);
        EXPECT_EQ(stats.frozen, frozen_);
    }

    Cluster cluster_;
    Model model_;
    Model copies_;  // of keys stored by broadcasts, by manager
    std::vector<shm::PoolUsage> empty_;
    std::vector<SimClient*> clients_;
    SimClient* client_ = nullptr;
    std::string key_;
    std::uint32_t manager_ = 0;
    bool frozen_ = false;
};

TEST(Sequential, IsAMap) {
    std::uint64_t payloads = 0;
    std::uint64_t eager_payloads = 0;
    for_each_seed(60, [&](std::uint64_t seed, Tally& tally) {
        Sequence sequence(seed);
        for (int i = 0; i < 250 && !testing::Test::HasFailure(); ++i, ++tally.operations)
            sequence.step();
        if (!testing::Test::HasFailure()) sequence.finish();
        tally.events += sequence.counters().events;
        payloads += sequence.counters().payloads;
        eager_payloads += sequence.counters().eager_payloads;
    });
    EXPECT_GT(payloads, 0u);
    EXPECT_GT(eager_payloads, 0u);
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
