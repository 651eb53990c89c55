// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Many clients at once, without faults: none of them may see an error, and every answer must be explainable.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/sim/seeds.h"
#include "tests/sim/workload.h"
#include "wire/items.h"

namespace ddict::sim {
namespace {

using wire::Verb;

/// A client with keys of its own: one operation on a key at a time, several keys at once. What it has written
/// is what it must read, whatever the others do on the same managers.
class OwningClient {
  public:
    OwningClient(Cluster& cluster, SimClient& client, unsigned number, unsigned operations)
        : cluster_(cluster), client_(client), left_(operations) {
        for (unsigned i = 0; i < 8; ++i)
            keys_.push_back("own" + std::to_string(number) + "-" + std::to_string(i));
    }

    void start() {
        for (const std::string& key : keys_)
            next(key);
        scan(cluster_.managers() - 1, 0);
    }
    unsigned scans() const { return scans_; }
    std::uint64_t values_checked() const { return values_checked_; }

  private:
    struct Stored {
        std::vector<std::byte> bytes;
        std::uint16_t type = 0;
    };

    void begin(const std::string& key, Ask ask, std::function<void(const Outcome&)> check) {
        ask.key = key;
        ask.manager = cluster_.manager_of_key(key);
        client_.start(std::move(ask), [this, &key, check = std::move(check)](const Outcome& outcome) {
            check(outcome);
            next(key);
        });
    }

    void next(const std::string& key) {
        if (left_ == 0) return;
        --left_;
        const auto found = model_.find(key);
        const bool there = found != model_.end();
        switch (cluster_.random().below(5)) {
            case 0:
                return begin(key, {.verb = Verb::contains}, [there](const Outcome& outcome) {
                    ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
                    EXPECT_EQ(outcome.reply->argument, there ? 1u : 0u);
                });
            case 1:
                if (there) comes_or_goes(key);
                begins_to_write(key);
                return begin(key, {.verb = Verb::erase}, [this, key, there](const Outcome& outcome) {
                    EXPECT_EQ(outcome.code(), there ? Errc{} : Errc::not_found);
                    changing_.erase(key);
                    writing_.erase(key);
                    model_.erase(key);
                });
            case 2:
            case 3: {
                const std::uint64_t id = cluster_.random().number();
                const Stored stored{value_number(id), type_of_value(id)};
                if (!there) comes_or_goes(key);
                begins_to_write(key);
                return begin(key, {.verb = Verb::put, .value = stored.bytes, .value_type = stored.type},
                             [this, key, stored](const Outcome& outcome) {
                                 ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
                                 changing_.erase(key);
                                 writing_.erase(key);
                                 model_[key] = stored;
                             });
            }
            default:
                return begin(key, {.verb = Verb::get}, [this, key, there](const Outcome& outcome) {
                    ASSERT_EQ(outcome.code(), there ? Errc{} : Errc::not_found);
                    if (!there) return;
                    EXPECT_TRUE(outcome.value == model_[key].bytes);
                    EXPECT_EQ(outcome.reply->value_type, model_[key].type);
                });
        }
    }

    /// Reads all pages, and then looks for the keys that did not come or go meanwhile, and at the values that
    /// were not overwritten.
    void scan(std::uint32_t manager, std::uint64_t cursor) {
        if (cursor == 0) {
            scanned_.clear();
            contents_.clear();
            unstable_ = changing_;
            written_ = writing_;
            with_values_ = cluster_.random().chance(50);
            prefix_ = cluster_.random().chance(50) ? keys_[0].substr(0, keys_[0].find('-') + 1) : "";
            there_at_start_.clear();
            for (const auto& [key, stored] : model_)
                there_at_start_.insert(key);
        }
        client_.start({.verb = Verb::scan,
                       .manager = manager,
                       .key = prefix_,
                       .argument = cursor,
                       .flags = with_values_ ? wire::scan_values : std::uint16_t{0}},
                      [this, manager](const Outcome& outcome) {
                          ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
                          take_page(outcome.value);
                          if (outcome.reply->argument != 0) return scan(manager, outcome.reply->argument);
                          check_scan(manager);
                          if (left_ > 0) scan((manager + 1) % cluster_.managers(), 0);
                      });
    }

    void take_page(Bytes page) {
        if (!with_values_) {
            for (std::string& key : keys_of_page(page))
                ++scanned_[key];
            return;
        }
        wire::ItemReader in(page);
        for (wire::PackedPair pair; in.pair(pair);) {
            const std::string key = name_of(pair.key);
            ++scanned_[key];
            if (!pair.ask_alone) contents_[key] = content_of(pair.value, pair.value_type);
        }
        EXPECT_TRUE(in.at_end());
    }

    void check_scan(std::uint32_t manager) {
        ++scans_;
        for (const auto& [key, times] : scanned_)
            EXPECT_TRUE(key.starts_with(prefix_)) << key;
        for (const auto& [key, content] : contents_) {
            const auto mine = model_.find(key);
            if (mine == model_.end() || written_.contains(key)) continue;
            ++values_checked_;
            EXPECT_EQ(content, content_of(mine->second.bytes, mine->second.type)) << key;
        }
        for (const std::string& key : keys_) {
            const bool mine = cluster_.manager_of_key(key) == manager;
            EXPECT_LE(scanned_[key], mine ? 1u : 0u) << key;
            if (!mine || unstable_.contains(key)) continue;
            EXPECT_EQ(scanned_[key], there_at_start_.contains(key) ? 1u : 0u) << key;
        }
    }

    void begins_to_write(const std::string& key) {
        writing_.insert(key);
        written_.insert(key);
    }

    void comes_or_goes(const std::string& key) {
        changing_.insert(key);
        unstable_.insert(key);
    }

    Cluster& cluster_;
    SimClient& client_;
    unsigned left_;
    unsigned scans_ = 0;
    std::vector<std::string> keys_;
    std::map<std::string, Stored> model_;
    std::set<std::string> changing_;  // being put for the first time, or being erased
    std::map<std::string, unsigned> scanned_;
    std::set<std::string> there_at_start_;  // of the scan
    std::set<std::string> unstable_;        // came or went since then
    std::string prefix_;
    bool with_values_ = false;
    std::map<std::string, std::uint64_t> contents_;  // of the values that the scan brought
    std::set<std::string> writing_;                  // being put or erased
    std::set<std::string> written_;                  // since the scan began
    std::uint64_t values_checked_ = 0;
};

TEST(Concurrent, OwnKeysAreAMap) {
    std::uint64_t overtakings = 0;
    std::uint64_t scans = 0;
    std::uint64_t values_checked = 0;
    for_each_seed(60, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed);
        std::vector<shm::PoolUsage> empty;
        for (std::uint32_t m = 0; m < cluster.managers(); ++m)
            empty.push_back(cluster.manager(m).pool().usage());
        std::deque<OwningClient> clients;
        constexpr unsigned operations = 60;
        for (unsigned i = 0; i < 6; ++i) {
            clients.emplace_back(cluster, cluster.add_client(i % 3), i, operations).start();
            tally.operations += operations;
        }
        ASSERT_TRUE(cluster.network().run());
        for (const OwningClient& client : clients) {
            scans += client.scans();
            values_checked += client.values_checked();
        }
        SimClient& last = cluster.add_client(0);
        for (std::uint32_t m = 0; m < cluster.managers(); ++m) {
            EXPECT_TRUE(last.call({.verb = Verb::clear, .manager = m}).ok());
            EXPECT_EQ(cluster.manager(m).pool().usage().used_bytes, empty[m].used_bytes);
        }
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.events += cluster.network().counters().events;
        overtakings += cluster.network().counters().overtakings;
    });
    EXPECT_TRUE((overtakings > 0 && scans > 0 && values_checked > 100) || repeats_one_seed())
        << values_checked;
}

/// Erases all keys with a prefix at each manager, a part at a time, and goes on until nothing is left to ask.
class Eraser {
  public:
    explicit Eraser(SimClient& client, std::string prefix) : client_(client), prefix_(std::move(prefix)) {}
    void start(std::uint32_t manager, std::uint64_t cursor = 0) {
        client_.start({.verb = Verb::erase_prefix, .manager = manager, .key = prefix_, .argument = cursor},
                      [this, manager](const Outcome& outcome) {
                          ASSERT_TRUE(outcome.ok()) << outcome.reply.error().message();
                          erased_ += outcome.reply->argument2;
                          ++parts_;
                          if (outcome.reply->argument != 0) start(manager, outcome.reply->argument);
                      });
    }
    std::uint64_t erased() const { return erased_; }
    std::uint64_t parts() const { return parts_; }

  private:
    SimClient& client_;
    std::string prefix_;
    std::uint64_t erased_ = 0;
    std::uint64_t parts_ = 0;
};

/// However many erase the same keys at once, each key is counted by one of them, and the others stay.
TEST(Concurrent, EachKeyOfAPrefixIsErasedOnce) {
    std::uint64_t parts = 0;
    std::uint64_t managers_asked = 0;
    for_each_seed(20, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed);
        SimClient& writer = cluster.add_client(0);
        std::uint64_t keys = 0;
        const std::string filler(500, '-');  // so that they do not fit into one page
        for (int i = 0; i < 900; ++i) {
            for (const std::string& key :
                 {"gone/" + filler + std::to_string(i), "stay/" + std::to_string(i)}) {
                const Ask put{.verb = Verb::put, .manager = cluster.manager_of_key(key), .key = key};
                ASSERT_TRUE(writer.call(put).ok());
            }
            ++keys;
        }
        std::deque<Eraser> erasers;
        for (std::uint32_t i = 0; i < 4; ++i) {
            erasers.emplace_back(cluster.add_client(i % 3), "gone/");
            for (std::uint32_t manager = 0; manager < cluster.managers(); ++manager, ++managers_asked)
                erasers.back().start(manager);
        }
        ASSERT_TRUE(cluster.network().run());
        std::uint64_t erased = 0;
        for (const Eraser& eraser : erasers) {
            erased += eraser.erased();
            parts += eraser.parts();
        }
        EXPECT_EQ(erased, keys);
        std::uint64_t left = 0;
        for (std::uint32_t manager = 0; manager < cluster.managers(); ++manager)
            left += writer.call({.verb = Verb::size, .manager = manager}).reply->argument;
        EXPECT_EQ(left, keys);
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += 2 * keys;
        tally.events += cluster.network().counters().events;
    });
    EXPECT_GT(parts, managers_asked) << "each manager did it in one part";
}

TEST(Concurrent, SharedKeysAreLinearizable) {
    for_each_seed(250, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 2, .hosts = 2});
        Book book;
        std::deque<SharingClient> clients;
        for (unsigned i = 0; i < 5; ++i)
            clients.emplace_back(cluster, cluster.add_client(i % 3), book, WorkloadOptions{}).start();
        ASSERT_TRUE(cluster.network().run());
        for (const SharingClient& client : clients)
            EXPECT_TRUE(client.finished());
        for (const auto& [code, count] : book.errors())
            EXPECT_EQ(code, Errc::not_found) << count << " times " << name(code);
        EXPECT_EQ(book.unknown(), 0u);
        EXPECT_EQ(book.contradictions(), "");
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += book.operations();
        tally.histories += book.histories();
        tally.events += cluster.network().counters().events;
    });
}

/// One key, many writers and readers: the most contended history.
TEST(Concurrent, OneKeyIsLinearizable) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        Book book;
        std::deque<SharingClient> clients;
        for (unsigned i = 0; i < 4; ++i) {
            clients
                .emplace_back(cluster, cluster.add_client(i % 2), book,
                              WorkloadOptions{.operations = 20, .in_flight_max = 2, .keys = 1})
                .start();
        }
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(book.unknown(), 0u);
        EXPECT_EQ(book.contradictions(), "");
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.operations += book.operations();
        tally.histories += book.histories();
        tally.events += cluster.network().counters().events;
    });
}

}  // namespace
}  // namespace ddict::sim
