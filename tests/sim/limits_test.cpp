// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who is refused, and what happens when there is no more space.
#include <gtest/gtest.h>

#include <map>

#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {
namespace {

using std::chrono::milliseconds;
using wire::Verb;

constexpr milliseconds stranger_timeout = limits::silence_until_lost + milliseconds(3'000);

/// Calls a manager with credentials that are not right, several times; others are not disturbed.
void call_with(const std::function<void(Credentials&)>& spoil,
               const std::function<void(const Outcome&, bool same_host, Time::duration)>& check) {
    for_each_seed(10, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1});
        Credentials wrong = cluster.credentials();
        spoil(wrong);
        SimClient& stranger = cluster.add_client(static_cast<std::uint32_t>(seed % 2), wrong);
        SimClient& client = cluster.add_client(0);
        for (int i = 0; i < 3; ++i) {
            const Time began = cluster.network().now();
            const Outcome outcome =
                stranger.call({.verb = Verb::put, .key = "k", .timeout = stranger_timeout});
            check(outcome, stranger.process().host() == 0, cluster.network().now() - began);
            EXPECT_EQ(client.call({.verb = Verb::get, .key = "k"}).code(), Errc::not_found);
            tally.operations += 2;
        }
        EXPECT_EQ(cluster.manager(0).shard().sessions().connected(), 1u);
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.events += cluster.network().counters().events;
    });
}

/// Who does not know the dictionary gets no answer, wherever he is; he hears that there was none, in time.
void expect_no_answer(const std::function<void(Credentials&)>& spoil) {
    call_with(spoil, [](const Outcome& outcome, bool same_host, Time::duration took) {
        EXPECT_EQ(outcome.code(), same_host ? Errc::timeout : Errc::manager_lost);
        const std::string message = outcome.reply.error().message();
        EXPECT_NE(message.find("the handle is not of this dictionary"), std::string::npos) << message;
        EXPECT_LE(took, (same_host ? stranger_timeout : limits::silence_until_lost) + milliseconds(10));
    });
}

TEST(Refusal, WrongSecret) {
    expect_no_answer([](Credentials& c) { c.secret[15] ^= std::byte{1}; });
}
TEST(Refusal, OtherDictionary) {
    expect_no_answer([](Credentials& c) { ++c.dictionary_id; });
}
TEST(Refusal, OtherVersionOfUcx) {
    call_with([](Credentials& c) { ++c.ucx_version; },
              [](const Outcome& outcome, bool, Time::duration took) {
                  EXPECT_EQ(outcome.code(), Errc::incompatible) << outcome.reply.error().message();
                  EXPECT_LT(took, milliseconds(10)) << "not detected at once";
              });
}

TEST(FullPool, IsAnAnswerAndErasingMakesSpaceAgain) {
    for_each_seed(20, [](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1, .pool_bytes = limits::pool_bytes_min});
        Random& random = cluster.random();
        const shm::Pool& pool = cluster.manager(0).pool();
        const std::uint64_t empty = pool.usage().used_bytes;
        SimClient& client = cluster.add_client(0);
        std::map<std::string, std::vector<std::byte>> model;
        unsigned refused = 0;
        for (int i = 0; i < 300; ++i, ++tally.operations) {
            const std::string key = "key" + std::to_string(random.below(40));
            const std::vector<std::byte> value = random.bytes(random.below(80'000));
            const std::uint64_t used = pool.usage().used_bytes;
            const Outcome outcome = client.call({.verb = Verb::put, .key = key, .value = value});
            if (outcome.ok()) {
                model[key] = value;
                continue;
            }
            ++refused;
            ASSERT_EQ(outcome.code(), Errc::no_space) << outcome.reply.error().message();
            const Error& error = outcome.reply.error();
            EXPECT_EQ(error.need_bytes, key.size() + value.size());
            EXPECT_LT(error.have_bytes, error.need_bytes);
            // Pairs that were moved without success may have got, or lost, some padding.
            EXPECT_LE(pool.usage().used_bytes, used + 16 * model.size()) << "something was half-written";
            EXPECT_GE(pool.usage().used_bytes + 16 * model.size(), used);
            EXPECT_EQ(pool.size(), model.size());
            // What was there before is there still; then it makes space.
            const auto old = model.find(key);
            const Outcome read = client.call({.verb = Verb::get, .key = key});
            ASSERT_EQ(read.code(), old == model.end() ? Errc::not_found : Errc{});
            EXPECT_TRUE(old == model.end() || read.value == old->second);
            const std::string victim =
                std::next(model.begin(), static_cast<std::ptrdiff_t>(random.below(model.size())))->first;
            EXPECT_TRUE(client.call({.verb = Verb::erase, .key = victim}).ok());
            model.erase(victim);
            ASSERT_TRUE(cluster.network().run());  // until nothing is pinned
            EXPECT_LT(pool.usage().used_bytes, used);
        }
        EXPECT_GT(refused, 10u);
        for (const auto& [key, value] : model) {
            const Outcome read = client.call({.verb = Verb::get, .key = key});
            EXPECT_TRUE(read.ok() && read.value == value);
            EXPECT_TRUE(client.call({.verb = Verb::erase, .key = key}).ok());
        }
        ASSERT_TRUE(cluster.network().run());
        EXPECT_EQ(pool.usage().used_bytes, empty);
        EXPECT_EQ(cluster.problems_at_rest(), "");
        tally.events += cluster.network().counters().events;
    });
}

/// Pairs of 20 kB, half of which have gone, and then values that each take the place of hundreds.
class MovedPairs {
  public:
    MovedPairs(std::uint64_t seed, Tally& tally)
        : tally_(tally),
          cluster_(seed, {.managers = 1, .hosts = 1, .pool_bytes = std::uint64_t{48} << 20}),
          client_(cluster_.add_client(0)) {
        for (; put(key(count_), 20'000).ok(); ++count_) {
        }
        for (unsigned i = 0; i < count_; ++i) {
            if (!cluster_.random().chance(50)) continue;
            EXPECT_TRUE(client_.call({.verb = Verb::erase, .key = key(i)}).ok());
            EXPECT_EQ(model_.erase(key(i)), 1u);
        }
    }
    Outcome put(const std::string& key, std::size_t bytes) {
        ++tally_.operations;
        const std::vector<std::byte> value = cluster_.random().bytes(bytes);
        Outcome outcome = client_.call({.verb = Verb::put, .key = key, .value = value});
        if (outcome.ok()) model_[key] = value;
        return outcome;
    }
    void finish() {
        for (const auto& [key, value] : model_)
            EXPECT_TRUE(client_.call({.verb = Verb::get, .key = key}).value == value);
        EXPECT_EQ(pool().size(), model_.size());
        EXPECT_EQ(pool().inconsistency(), "");
        EXPECT_EQ(cluster_.problems_at_rest(), "");
        tally_.events += cluster_.network().counters().events;
    }
    const shm::Pool& pool() { return cluster_.manager(0).pool(); }
    Cluster& cluster() { return cluster_; }

  private:
    static std::string key(unsigned i) { return "key" + std::to_string(i); }

    Tally& tally_;
    Cluster cluster_;
    SimClient& client_;
    unsigned count_ = 0;
    std::map<std::string, std::vector<std::byte>> model_;
};

TEST(FullPool, ALargeValueIsMadeSpaceForInManySteps) {
    for_each_seed(2, [](std::uint64_t seed, Tally& tally) {
        MovedPairs pairs(seed, tally);
        constexpr std::size_t large = std::size_t{16} << 20;
        ASSERT_LT(pairs.pool().usage().largest_free_bytes, large / 4);
        const std::uint64_t steps = pairs.pool().compaction().steps;
        const Outcome outcome = pairs.put("large", large);
        EXPECT_TRUE(outcome.ok()) << outcome.reply.error().message();
        EXPECT_GT(pairs.pool().compaction().steps, steps + 1) << "others are served in between";
        EXPECT_GT(pairs.pool().compaction().moved_pairs, 200u);
        EXPECT_EQ(pairs.put("too much", 2 * large).code(), Errc::no_space);
        pairs.finish();
    });
}

TEST(FullPool, NobodyMakesSpaceForAClientThatHasGone) {
    for_each_seed(2, [](std::uint64_t seed, Tally& tally) {
        MovedPairs pairs(seed, tally);
        SimClient& other = pairs.cluster().add_client(0);
        ASSERT_TRUE(other.call({.verb = Verb::ping}).ok());
        const std::uint64_t used = pairs.pool().usage().used_bytes;
        const std::vector<std::byte> value(std::size_t{16} << 20);
        other.start({.verb = Verb::put, .key = "large", .value = value}, [](const Outcome&) {});
        const std::uint64_t steps = pairs.pool().compaction().steps;
        ASSERT_TRUE(pairs.cluster().network().run_until(
            [&] { return pairs.pool().compaction().steps > steps; }, 100'000));
        other.kill();
        ASSERT_TRUE(pairs.cluster().network().run());
        // Padding apart, nothing is left of it.
        EXPECT_LE(pairs.pool().usage().used_bytes, used + 16 * pairs.pool().size());
        pairs.finish();
    });
}

TEST(FullPool, AValueThatCanNeverFitIsTooLarge) {
    Cluster cluster(1, {.managers = 1, .hosts = 1, .pool_bytes = limits::pool_bytes_min});
    SimClient& client = cluster.add_client(0);
    const Outcome outcome = client.call(
        {.verb = Verb::put, .key = "k", .value = std::vector<std::byte>(2 * limits::pool_bytes_min)});
    ASSERT_EQ(outcome.code(), Errc::too_large);
    EXPECT_EQ(outcome.reply.error().need_bytes, 2 * limits::pool_bytes_min + 1);
    EXPECT_EQ(outcome.reply.error().have_bytes, cluster.manager(0).pool().capacity_bytes());
    EXPECT_EQ(client.call({.verb = Verb::size}).reply->argument, 0u);
    EXPECT_EQ(cluster.problems_at_rest(), "");
}

/// More large values asked for at once than a manager will have on their way: some are refused, none is lost,
/// and afterwards all is as before.
TEST(PayloadsInFlight, AreBounded) {
    Cluster cluster(1, {.managers = 1, .hosts = 1});
    SimClient& writer = cluster.add_client(0);
    const std::vector<std::byte> value = cluster.random().bytes(20'000);
    ASSERT_TRUE(writer.call({.verb = Verb::put, .key = "k", .value = value}).ok());
    const std::uint64_t used = cluster.manager(0).pool().usage().used_bytes;
    constexpr unsigned clients = limits::payloads_in_flight_max / limits::operations_in_flight_max + 2;
    unsigned good = 0;
    unsigned refused = 0;
    std::size_t most = 0;
    std::vector<SimClient*> readers;
    for (unsigned i = 0; i < clients; ++i) {
        readers.push_back(&cluster.add_client(0));
        ASSERT_TRUE(readers.back()->call({.verb = Verb::ping}).ok());
    }
    for (SimClient* reader : readers) {
        for (unsigned n = 0; n < limits::operations_in_flight_max; ++n) {
            reader->start({.verb = Verb::get, .key = "k"}, [&](const Outcome& outcome) {
                most = std::max(most, cluster.manager(0).statistics().payloads_in_flight);
                if (outcome.ok()) {
                    ++good;
                    EXPECT_TRUE(outcome.value == value);
                } else {
                    ++refused;
                    EXPECT_EQ(outcome.code(), Errc::busy);
                }
            });
        }
    }
    ASSERT_TRUE(cluster.network().run());
    EXPECT_EQ(good + refused, clients * limits::operations_in_flight_max);
    EXPECT_GE(good, limits::payloads_in_flight_max);
    EXPECT_GT(refused, 0u);
    EXPECT_LE(most, limits::payloads_in_flight_max);
    EXPECT_EQ(cluster.manager(0).pool().usage().used_bytes, used);
    EXPECT_EQ(cluster.problems_at_rest(), "");
}

}  // namespace
}  // namespace ddict::sim
