// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Every call of the public interface, against real managers on this machine.
#include <ddict/dictionary.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/segments.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

class DictionaryTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        segments_before_ = segments();
        dict_ = std::make_unique<Dictionary>(
            Dictionary::create({.managers_per_node = 3, .total_mem = 192 << 20, .name = "dictionary_test"}));
    }
    static void TearDownTestSuite() {
        dict_->destroy();
        dict_.reset();
        EXPECT_EQ(segments(), segments_before_);
    }
    void SetUp() override { dict_->clear(); }

    static std::unique_ptr<Dictionary> dict_;
    static std::set<std::string> segments_before_;
};
std::unique_ptr<Dictionary> DictionaryTest::dict_;
std::set<std::string> DictionaryTest::segments_before_;

TEST_F(DictionaryTest, StoresAndReturnsAPair) {
    dict_->put("Hello", "Dragon");
    EXPECT_EQ(dict_->get("Hello"), "Dragon");
    dict_->put("Hello", "World");
    EXPECT_EQ(dict_->get("Hello"), "World");
    EXPECT_EQ(dict_->size(), 1u);
}

TEST_F(DictionaryTest, AMissingKeyIsNotFound) {
    const auto missing = dict_->try_get("nobody");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, Errc::not_found);
    EXPECT_EQ(missing.error().manager, dict_->which_manager("nobody"));
    EXPECT_NE(missing.error().message().find("get of key 'nobody' on manager"), std::string::npos)
        << missing.error().message();
    EXPECT_THROW(dict_->get("nobody"), Exception);
    EXPECT_FALSE(dict_->find("nobody"));
    EXPECT_EQ(dict_->get_or<std::string>("nobody", "else"), "else");
    EXPECT_FALSE(dict_->contains("nobody"));
    EXPECT_FALSE(dict_->erase("nobody"));
}

TEST_F(DictionaryTest, KeepsTypes) {
    struct Particle {
        double x, y;
        std::int32_t charge, spin;
    };
    dict_->put(7, 3.5);
    EXPECT_EQ(dict_->get<double>(7), 3.5);
    dict_->put("vector", std::vector<float>{1, 2, 3});
    EXPECT_EQ(dict_->get<std::vector<float>>("vector"), (std::vector<float>{1, 2, 3}));
    const std::array<Particle, 2> particles{{{1, 2, -1, 1}, {3, 4, 1, -1}}};
    dict_->put("particles", std::span<const Particle>(particles));
    EXPECT_EQ(dict_->get<std::vector<Particle>>("particles").at(1).y, 4);
    const std::string binary("\0\1\2", 3);
    dict_->put(binary, binary);
    EXPECT_EQ(dict_->get(binary), binary);
    EXPECT_EQ(dict_->get<std::vector<std::byte>>("vector").size(), 12u);  // any value can be read as bytes

    const auto wrong = dict_->try_get<std::vector<int>>("vector");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Errc::wrong_type);
    EXPECT_EQ(dict_->get<std::vector<float>>("vector").size(), 3u);
}

TEST_F(DictionaryTest, ValuesOfEverySizeComeBackWhole) {
    std::mt19937_64 random(20250101);
    for (const std::size_t size : {0ul, 1ul, 7ul, 4095ul, 4096ul, 4097ul, 8191ul, 8192ul, 8193ul, 65'537ul,
                                   1'000'003ul, 16'777'217ul}) {
        std::vector<std::uint8_t> value(size);
        std::generate(value.begin(), value.end(), [&] { return static_cast<std::uint8_t>(random()); });
        const std::string key = "size " + std::to_string(size);
        dict_->put(key, value);
        EXPECT_EQ(dict_->get<std::vector<std::uint8_t>>(key), value) << size;
        std::reverse(value.begin(), value.end());
        dict_->put(key, value);
        EXPECT_EQ(dict_->get<std::vector<std::uint8_t>>(key), value) << size;
        EXPECT_TRUE(dict_->erase(key));
    }
    EXPECT_EQ(dict_->size(), 0u);
}

TEST_F(DictionaryTest, KeysAreListedOnceWhereverTheyAre) {
    std::set<std::string> expected;
    for (int i = 0; i < 20'000; ++i) {
        const std::string key = "a key of some length, number " + std::to_string(i);
        dict_->put(key, i);
        expected.insert(key);
    }
    const std::vector<std::string> keys = dict_->try_keys().value();
    EXPECT_EQ(keys.size(), expected.size());
    EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()), expected);
    EXPECT_EQ(dict_->size(), expected.size());
    std::set<std::uint32_t> managers;
    for (const std::string& key : expected)
        managers.insert(dict_->which_manager(key));
    EXPECT_EQ(managers.size(), 3u);
    dict_->clear();
    EXPECT_TRUE(dict_->try_keys().value().empty());
}

TEST_F(DictionaryTest, RefusesBadKeysAndValues) {
    const auto empty = dict_->try_put("", "value");
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().code, Errc::invalid_argument);
    const std::string longest(1024, 'k');
    dict_->put(longest, "fits");
    EXPECT_EQ(dict_->get(longest), "fits");
    const auto too_long = dict_->try_put(longest + "k", "does not");
    ASSERT_FALSE(too_long);
    EXPECT_EQ(too_long.error().code, Errc::too_large);
    EXPECT_EQ(too_long.error().need_bytes, 1025u);
    EXPECT_EQ(too_long.error().have_bytes, 1024u);
    const auto too_large = dict_->try_put("elephant", std::vector<std::byte>(65 << 20));
    ASSERT_FALSE(too_large);
    EXPECT_EQ(too_large.error().code, Errc::too_large);
    EXPECT_FALSE(dict_->contains("elephant"));
    EXPECT_EQ(dict_->size(), 1u);
}

TEST_F(DictionaryTest, AFullPoolSaysSoAndDeletingMakesSpaceAgain) {
    const auto free_bytes = [] {
        std::uint64_t sum = 0;
        for (const ManagerStats& stats : dict_->stats())
            sum += stats.free_bytes;
        return sum;
    };
    const std::uint64_t free_before = free_bytes();
    const std::vector<std::byte> value(1 << 20);
    const auto fill = [&] {
        std::vector<int> stored;
        for (int i = 0; i < 1000; ++i) {
            const auto put = dict_->try_put(i, value);
            if (put) {
                stored.push_back(i);
                continue;
            }
            EXPECT_EQ(put.error().code, Errc::no_space);
            EXPECT_GT(put.error().need_bytes, value.size());
            EXPECT_FALSE(dict_->contains(i));
        }
        return stored;
    };
    const std::vector<int> stored = fill();
    EXPECT_GT(stored.size(), 180u);
    EXPECT_LT(stored.size(), 192u);
    for (const int key : stored)
        EXPECT_EQ(dict_->get<std::vector<std::byte>>(key).size(), value.size());
    for (const int key : stored)
        EXPECT_TRUE(dict_->erase(key));
    EXPECT_EQ(free_bytes(), free_before);
    EXPECT_EQ(fill(), stored);
}

TEST_F(DictionaryTest, StatisticsCount) {
    Dictionary by_message = Dictionary::attach(dict_->serialize(), {.local_reads = false});
    dict_->put("a", 1);
    by_message.get<int>("a");
    const auto all = dict_->stats();
    ASSERT_EQ(all.size(), 3u);
    std::array<char, 256> host{};
    ASSERT_EQ(gethostname(host.data(), host.size()), 0);
    for (std::uint32_t i = 0; i < 3; ++i) {
        EXPECT_EQ(all[i].manager, i);
        EXPECT_EQ(all[i].node, host.data());
        EXPECT_EQ(all[i].pool_bytes, 64u << 20);
        EXPECT_EQ(all[i].used_bytes + all[i].free_bytes, all[i].pool_bytes);
        EXPECT_GE(all[i].sessions, 1u);
        EXPECT_EQ(all[i].rejected_messages, 0u);
        EXPECT_FALSE(all[i].transport.empty());
    }
    const ManagerStats owner = all[dict_->which_manager("a")];
    EXPECT_EQ(owner.keys, 1u);
    EXPECT_GE(owner.puts, 1u);
    EXPECT_GE(owner.hits, 1u);
    EXPECT_EQ(dict_->try_stats(3).error().code, Errc::invalid_argument);
}

TEST_F(DictionaryTest, ServesManyThreads) {
    constexpr int threads = 8;
    constexpr int pairs = 500;
    std::vector<std::thread> running;
    std::atomic<int> wrong = 0;
    for (int t = 0; t < threads; ++t) {
        running.emplace_back([&, t] {
            for (int i = 0; i < pairs; ++i) {
                const std::string key = std::to_string(t) + "/" + std::to_string(i);
                dict_->put(key, key);
                if (dict_->get(key) != key) ++wrong;
            }
        });
    }
    for (std::thread& thread : running)
        thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(dict_->size(), std::uint64_t{threads} * pairs);
    // The threads have ended, and so have their sessions.
    std::uint64_t sessions = 0;
    for (const auto deadline = std::chrono::steady_clock::now() + 5s;
         std::chrono::steady_clock::now() < deadline;) {
        sessions = 0;
        for (const ManagerStats& stats : dict_->stats())
            sessions += stats.sessions;
        if (sessions == 3) break;
    }
    EXPECT_EQ(sessions, 3u);
}

TEST_F(DictionaryTest, TwoDictionariesDoNotMix) {
    Dictionary other = Dictionary::create({.managers_per_node = 1, .total_mem = 16 << 20, .name = "other"});
    dict_->put("key", "first");
    other.put("key", "second");
    EXPECT_EQ(dict_->get("key"), "first");
    EXPECT_EQ(other.get("key"), "second");
    Dictionary again = Dictionary::attach(other.serialize());
    EXPECT_EQ(again.get("key"), "second");
    again.destroy();  // any client may
    const auto put = other.try_put("key", "third");
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Errc::dictionary_gone) << put.error().message();
    EXPECT_EQ(dict_->get("key"), "first");
    static_cast<void>(other.try_destroy());
}

TEST_F(DictionaryTest, ADetachedHandleSaysSo) {
    Dictionary other = Dictionary::attach(dict_->serialize());
    other.put("a", 1);
    other.detach();
    EXPECT_EQ(other.try_put("a", 2).error().code, Errc::not_attached);
    EXPECT_EQ(other.try_size().error().code, Errc::not_attached);
    EXPECT_EQ(other.try_destroy().error().code, Errc::not_attached);
    EXPECT_EQ(dict_->get<int>("a"), 1);
}

}  // namespace
}  // namespace ddict
