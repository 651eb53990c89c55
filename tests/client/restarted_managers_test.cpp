// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Managers that are killed and come back, while programs use the dictionary: nothing that was acknowledged is
// lost, each operation takes effect once, and nobody attaches again. No manager is killed more than twice:
// at the third time within ten seconds it would be given up.
#include <ddict/dictionary.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <map>
#include <numeric>
#include <thread>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t managers = 3;

class RestartedManagersTest : public ::testing::Test {
  protected:
    /// Kills the process that serves a shard. Another one serves it afterwards.
    void kill_manager(std::uint32_t manager) {
        Result<ManagerStats> stats = dict.try_stats(manager);
        ASSERT_TRUE(stats) << stats.error().message();
        ASSERT_EQ(::kill(stats->pid, SIGKILL), 0);
        pids_[manager] = stats->pid;
    }
    /// One that was killed serves again: says another process.
    bool is_back(std::uint32_t manager) {
        const Result<ManagerStats> stats = dict.try_stats(manager);
        EXPECT_TRUE(stats) << stats.error().message();
        return stats && stats->pid != pids_[manager];
    }
    void kill_all() {
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            kill_manager(manager);
    }
    std::string key_on(std::uint32_t manager) {
        std::string key = "key";
        while (dict.which_manager(key) != manager)
            key += "x";
        return key;
    }
    std::uint64_t gets_by_message() {
        std::uint64_t sum = 0;
        for (const ManagerStats& stats : dict.stats())
            sum += stats.gets;
        return sum;
    }
    void TearDown() override {
        dict.destroy();
        EXPECT_EQ(segments(), before_);
    }

  private:
    const std::set<std::string> before_ = segments();

  protected:
    Dictionary dict = Dictionary::create({.managers_per_node = managers, .total_mem = 96 << 20});

  private:
    std::map<std::uint32_t, std::int32_t> pids_;
};

TEST_F(RestartedManagersTest, WhatWasAcknowledgedIsThere) {
    const Dictionary by_message = Dictionary::attach(dict.serialize(), {.local_reads = false});
    const auto large = [](int i) { return std::vector<double>(100'000, i); };
    for (int i = 0; i < 3000; ++i)
        dict.put(i, i * i);
    for (int i = 0; i < 10; ++i)
        dict.put("large " + std::to_string(i), large(i));
    dict.erase(7);
    dict.bput("everywhere", std::string("copies"));
    const std::size_t size = dict.size();
    for (int round = 0; round < 2; ++round) {
        kill_all();
        EXPECT_EQ(dict.size(), size);
        for (const Dictionary* view : {static_cast<const Dictionary*>(&dict), &by_message}) {
            for (int i = 0; i < 3000; ++i) {
                if (i != 7) {
                    ASSERT_EQ(view->get<int>(i), i * i);
                }
            }
            for (int i = 0; i < 10; ++i)
                ASSERT_EQ(view->get<std::vector<double>>("large " + std::to_string(i)), large(i));
            EXPECT_FALSE(view->contains(7));
            for (std::uint32_t manager = 0; manager < managers; ++manager)
                EXPECT_EQ(view->manager(manager).bget<std::string>("everywhere"), "copies");
        }
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            EXPECT_TRUE(is_back(manager));
    }
    dict.put(7, 49);
    EXPECT_EQ(by_message.get<int>(7), 49);
    EXPECT_EQ(dict.size(), size + 1);
}

TEST_F(RestartedManagersTest, ReadersOfItsMemoryReadItAgain) {
    for (int i = 0; i < 300; ++i)
        dict.put(i, i);
    EXPECT_EQ(dict.get<int>(0), 0);
    kill_all();
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        EXPECT_TRUE(is_back(manager));
    const auto read_all = [&] {
        for (int i = 0; i < 300; ++i)
            EXPECT_EQ(dict.get<int>(i), i);
    };
    // It is noticed within a tenth of a second.
    EXPECT_TRUE(eventually(5s, [&] {
        const std::uint64_t before = gets_by_message();
        read_all();
        return gets_by_message() == before;
    }));
    const std::uint64_t before = gets_by_message();
    read_all();
    EXPECT_EQ(gets_by_message(), before);
}

TEST_F(RestartedManagersTest, EachOperationTakesEffectOnce) {
    constexpr unsigned threads = 4;
    const std::string handle = dict.serialize();
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> errors{0};
    std::array<std::uint64_t, threads> added{};
    std::array<std::uint64_t, threads> appended{};
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            Dictionary own = Dictionary::attach(handle, {.local_reads = t % 2 == 0});
            const std::string me = std::to_string(t);
            const auto expect = [&](bool good, const Error& error) {
                if (!good && errors++ == 0) ADD_FAILURE() << error.message();
            };
            for (std::uint64_t i = 0; !stop; ++i) {
                for (std::uint32_t shard = 0; shard < 3; ++shard) {
                    const auto sum = own.try_fetch_add<std::uint64_t>("counter" + std::to_string(shard));
                    expect(sum.has_value(), sum ? Error() : sum.error());
                    added[t] += sum.has_value() ? 1u : 0u;
                }
                const auto list = own.try_append("list" + me, std::string(1 + i % 40, 'a'));
                expect(list.has_value(), list ? Error() : list.error());
                if (list) appended[t] += 1 + i % 40;
                // Its own keys are as it has left them.
                const std::string key = "own" + me + "-" + std::to_string(i % 50);
                const std::string value(i % 7 == 0 ? 20'000 : 20, static_cast<char>('a' + i % 26));
                const auto put = own.try_put(key, value);
                expect(put.has_value(), put ? Error() : put.error());
                const auto got = own.try_get<std::string>(key);
                expect(got.has_value() && *got == value, got ? Error(Errc::wrong_type, key) : got.error());
                if (i % 3 == 0) {
                    const auto taken = own.try_pop<std::string>(key);
                    expect(taken.has_value() && **taken == value,
                           taken.has_value() ? Error(Errc::wrong_type, key) : taken.error());
                    expect(!own.contains(key), Error(Errc::protocol, "it is still there: " + key));
                }
            }
        });
    }
    for (int round = 0; round < 2; ++round) {
        for (std::uint32_t manager = 0; manager < managers; ++manager) {
            std::this_thread::sleep_for(150ms);
            kill_manager(manager);
            EXPECT_TRUE(eventually(5s, [&] { return is_back(manager); }));
        }
    }
    stop = true;
    for (std::thread& worker : workers)
        worker.join();
    EXPECT_EQ(errors, 0u);
    const std::uint64_t sum = std::accumulate(added.begin(), added.end(), std::uint64_t{0});
    std::uint64_t counted = 0;
    for (std::uint32_t shard = 0; shard < 3; ++shard)
        counted += dict.get<std::uint64_t>("counter" + std::to_string(shard));
    EXPECT_EQ(counted, sum);
    EXPECT_GT(sum, 30u);
    for (unsigned t = 0; t < threads; ++t)
        EXPECT_EQ(dict.get<std::string>("list" + std::to_string(t)).size(), appended[t]);
    std::cout << sum << " additions\n";
}

TEST_F(RestartedManagersTest, WaitsGoOn) {
    const std::string key = key_on(1);
    std::thread waiter([&] {
        Dictionary own = Dictionary::attach(dict.serialize());
        EXPECT_EQ(own.wait_for<int>(key), 5);
    });
    EXPECT_TRUE(eventually(5s, [&] { return dict.stats(1).waiting == 1; }));
    kill_manager(1);
    EXPECT_TRUE(eventually(5s, [&] { return dict.stats(1).waiting == 1; }));
    EXPECT_TRUE(is_back(1));
    dict.put(key, 5);
    waiter.join();
}

/// What was there all the time is seen once; or the iteration says that it cannot.
TEST_F(RestartedManagersTest, IterationsAreNeverSilentlyShort) {
    for (int i = 0; i < 5000; ++i)
        dict.put(i, i);
    for (std::uint32_t manager = 0; manager < managers; ++manager) {
        std::set<int> seen;
        std::size_t count = 0;
        for (const auto& [key, value] : dict.items<int, int>()) {
            EXPECT_EQ(key, value);
            seen.insert(key);
            if (++count == 100 + 1500 * manager) kill_manager(manager);
        }
        EXPECT_EQ(seen.size(), 5000u);
        EXPECT_EQ(count, 5000u) << "some were seen twice";
    }
}

TEST_F(RestartedManagersTest, WhatIsFrozenStaysSo) {
    const std::string key = key_on(2);
    dict.put(key, std::string("seventeen"));
    dict.freeze();
    const FrozenValue before = dict.view_frozen(key);
    EXPECT_EQ(before.size(), 9u);
    for (int round = 0; round < 2; ++round) {
        kill_manager(2);
        for (int i = 0; i < 200; ++i) {
            const Result<FrozenValue> view = dict.try_view_frozen(key);
            ASSERT_TRUE(view) << view.error().message();
            EXPECT_EQ(view->size(), 9u);
            std::this_thread::sleep_for(1ms);
        }
        EXPECT_TRUE(is_back(2));
    }
    EXPECT_TRUE(before.valid()) << "the pool is the same, and was never thawed";
    const Result<void> put = dict.try_put(key, 18);
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Errc::frozen);
    dict.unfreeze();
    dict.put(key, 18);
    EXPECT_EQ(dict.get<int>(key), 18);
}

TEST_F(RestartedManagersTest, BroadcastsStayRight) {
    for (int i = 0; i < 20; ++i) {
        const auto killed = static_cast<std::uint32_t>(i) % managers;
        if (i == 3 || i == 7 || i == 11) kill_manager(killed);
        dict.bput("key", i);
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            EXPECT_EQ(dict.manager(manager).bget<int>("key"), i);
    }
    EXPECT_TRUE(dict.berase("key"));
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        EXPECT_FALSE(dict.manager(manager).try_bget<int>("key"));
}

/// As often as is wanted: only ends that nobody has asked for count.
TEST_F(RestartedManagersTest, OnRequestAManagerIsRestarted) {
    const std::string key = key_on(1);
    dict.put(key, 1);
    for (std::uint64_t i = 1; i <= 5; ++i) {
        const std::int32_t before = dict.stats(1).pid;
        dict.restart(1);
        EXPECT_EQ(dict.stats(1).restarts, i);
        EXPECT_EQ(dict.health().at(1).restarts, i);
        EXPECT_NE(dict.stats(1).pid, before);
        EXPECT_EQ(dict.get<int>(key), 1);
    }
    EXPECT_EQ(dict.stats(0).restarts, 0u);
    EXPECT_EQ(dict.health().at(0).restarts, 0u);
    for (const ManagerHealth& one : dict.health())
        EXPECT_TRUE(one.alive() && !one.restarting) << one.manager;
    EXPECT_EQ(dict.try_restart(managers).error().code, Errc::invalid_argument);
    EXPECT_EQ(dict.try_restart(managers).error().operation, Operation::restart);
}

TEST(WithoutRestarts, NoneIsMadeOnRequestEither) {
    Dictionary dict = Dictionary::create({.total_mem = 16 << 20, .restart = false});
    const Result<void> restarted = dict.try_restart(0);
    ASSERT_FALSE(restarted);
    EXPECT_EQ(restarted.error().code, Errc::invalid_argument);
    EXPECT_NE(restarted.error().message().find("restart on manager 0 "), std::string::npos)
        << restarted.error().message();
    EXPECT_NE(restarted.error().message().find("--no-restart"), std::string::npos)
        << restarted.error().message();
    dict.put("it", "lives");
    dict.destroy();
}

TEST_F(RestartedManagersTest, DestroyDoesNotWaitForOneThatIsDown) {
    kill_manager(0);  // and TearDown() follows
}

}  // namespace
}  // namespace ddict
