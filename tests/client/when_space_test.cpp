// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Changes that wait for space.
#include <ddict/interrupt.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::size_t mebibyte = 1 << 20;
constexpr std::size_t most_at_once = mebibyte;  // of compare_and_swap and append

class WhenSpaceTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        dict_ = std::make_unique<Dictionary>(
            Dictionary::create({.managers_per_node = 1, .total_mem = 64 * mebibyte, .name = "full"}));
    }
    static void TearDownTestSuite() {
        dict_->destroy();
        dict_.reset();
    }
    void SetUp() override { dict_->clear(); }

    /// Until another one of as many bytes is refused; returns how many there are.
    static int fill(std::size_t bytes) {
        const std::vector<std::byte> value(bytes);
        for (int i = 0;; ++i) {
            const Result<void> put = dict_->try_put("fill/" + std::to_string(i), value);
            if (!put) {
                EXPECT_EQ(put.error().code, Errc::no_space);
                return i;
            }
        }
    }
    /// Nor is there space for smaller ones then.
    static void fill_up() {
        const std::vector<std::byte> value(mebibyte / 2);
        for (int i = 0; dict_->try_put("more/" + std::to_string(i), value); ++i) {
        }
    }
    static void erase_later(const std::string& key) {
        std::this_thread::sleep_for(100ms);
        EXPECT_TRUE(dict_->erase(key));
    }

    static inline std::unique_ptr<Dictionary> dict_;
};

TEST_F(WhenSpaceTest, EachChangeOfAKeyWaitsUntilThereIsSpace) {
    const std::vector<std::byte> value(6 * mebibyte);
    const View waiting = dict_->within(20s).when_space();
    using Change = void (*)(const View&, const std::vector<std::byte>&);
    const std::array<Change, 6> changes{
        [](const View& view, const auto& v) { view.put("new", v); },
        [](const View& view, const auto& v) { EXPECT_TRUE(view.put_if_absent("new", v)); },
        [](const View& view, const auto& v) { view.bput("new", v); },
        [](const View& view, const auto& v) {
            view.multi_put(std::map<std::string, std::vector<std::byte>>{{"new", v}, {"small", {}}});
        },
        [](const View& view, const auto&) {
            const std::vector<std::byte> most(most_at_once);
            EXPECT_TRUE(view.compare_and_swap("new", std::nullopt, most));
        },
        [](const View& view, const auto&) {
            const std::vector<std::byte> most(most_at_once);
            EXPECT_EQ(view.append("new", most), most_at_once);
        },
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        dict_->clear();
        fill(8 * mebibyte);
        fill_up();
        const auto begin = steady_clock::now();
        std::thread eraser([] { erase_later("fill/3"); });
        try {
            changes[i](waiting, value);
        } catch (const Exception& error) {
            ADD_FAILURE() << "change " << i << ": " << error.what();
        }
        EXPECT_GE(steady_clock::now() - begin, 100ms) << "change " << i;
        eraser.join();
        EXPECT_TRUE(dict_->contains("new"));
    }
}

TEST_F(WhenSpaceTest, WithoutSpaceItEndsInTimeAndSaysWhy) {
    fill(8 * mebibyte);
    const std::vector<std::byte> value(8 * mebibyte);
    dict_->put("old", 1);
    const auto begin = steady_clock::now();
    const Result<void> put = dict_->within(300ms).when_space().try_put("old", value);
    const auto took = steady_clock::now() - begin;
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Errc::timeout);
    EXPECT_FALSE(put.error().in_doubt);
    EXPECT_EQ(put.error().operation, Operation::put);
    EXPECT_GE(put.error().need_bytes, 8 * mebibyte);
    EXPECT_LT(put.error().have_bytes, 8 * mebibyte);
    EXPECT_NE(put.error().message().find("waited for space"), std::string::npos) << put.error().message();
    EXPECT_GE(took, 290ms);
    EXPECT_LT(took, 5s);
    EXPECT_EQ(dict_->get<int>("old"), 1) << "what was there stays";

    const auto statuses = dict_->within(300ms).when_space().try_multi_put(
        std::map<std::string, std::vector<std::byte>>{{"new", value}, {"small", {}}});
    ASSERT_EQ(statuses.size(), 2u);
    EXPECT_EQ(statuses[0].code, Errc::timeout);
    EXPECT_TRUE(statuses[1].ok());
    EXPECT_EQ(code_of(dict_->within(0ms).when_space().try_put("new", value)), Errc::timeout);
}

TEST_F(WhenSpaceTest, WhatCanNeverFitIsRefusedAtOnce) {
    const auto begin = steady_clock::now();
    const Result<void> put = dict_->within(20s).when_space().try_put("new", std::vector<char>(65 * mebibyte));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Errc::too_large);
    EXPECT_LT(steady_clock::now() - begin, 10s);
    // Also what a pool could hold if it had nothing of its own in it.
    EXPECT_EQ(code_of(dict_->within(20s).when_space().try_put(
                  "new", std::vector<char>(dict_->stats(0).pool_bytes - 64))),
              Errc::too_large);
    EXPECT_EQ(code_of(dict_->when_space().try_get("nobody")), Errc::not_found);
}

TEST_F(WhenSpaceTest, WaitsAskSeldom) {
    fill(8 * mebibyte);
    const std::uint64_t before = dict_->stats(0).refused_puts;
    EXPECT_EQ(code_of(dict_->within(2s).when_space().try_put("new", std::vector<char>(8 * mebibyte))),
              Errc::timeout);
    const std::uint64_t tries = dict_->stats(0).refused_puts - before;
    EXPECT_GE(tries, 10u);
    EXPECT_LE(tries, 150u);
}

/// Those for which there is no space yet are not sent again each time that there is space for one.
TEST_F(WhenSpaceTest, ManyThatWaitAreNotTriedAllAtOnce) {
    constexpr int pairs = 1000;
    constexpr int erased = 40;
    constexpr std::size_t bytes = 60'000;
    const int filled = fill(bytes);
    std::map<std::string, std::vector<std::byte>> many;
    for (int i = 0; i < pairs; ++i)
        many.emplace("many/" + std::to_string(i), std::vector<std::byte>(bytes));
    const std::uint64_t before = dict_->stats(0).refused_puts;
    std::thread eraser([&] {
        for (int i = 0; i < erased; ++i) {
            std::this_thread::sleep_for(20ms);
            EXPECT_TRUE(dict_->erase("fill/" + std::to_string(i)));
        }
    });
    const auto statuses = dict_->within(2s).when_space().try_multi_put(many);
    eraser.join();
    ASSERT_GT(filled, erased);
    const auto stored = std::count_if(statuses.begin(), statuses.end(), [](const auto& s) { return s.ok(); });
    EXPECT_GE(stored, erased - 1);
    EXPECT_LE(stored, erased + 1);
    // Once each, and while one waits.
    EXPECT_LT(dict_->stats(0).refused_puts - before, 3u * pairs);
}

/// Each has its turn, though there is space for one at a time.
TEST_F(WhenSpaceTest, OfManyThatWaitNobodyIsForgotten) {
    constexpr int waiters = 8;
    constexpr int rounds = 5;
    fill(8 * mebibyte);
    std::array<std::atomic<int>, waiters> done{};
    std::vector<std::thread> threads;
    for (int i = 0; i < waiters; ++i) {
        threads.emplace_back([&, i] {
            const std::vector<std::byte> value(8 * mebibyte);
            const std::string key = "turn/" + std::to_string(i);
            for (int round = 0; round < rounds; ++round) {
                const Result<void> put = dict_->within(60s).when_space().try_put(key, value);
                EXPECT_TRUE(put) << put.error().message();
                done[static_cast<std::size_t>(i)] += 1;
                EXPECT_TRUE(dict_->erase(key));
            }
        });
    }
    EXPECT_TRUE(dict_->erase("fill/0"));
    for (std::thread& thread : threads)
        thread.join();
    for (const std::atomic<int>& one : done)
        EXPECT_EQ(one.load(), rounds);
}

std::atomic<bool> wants_the_end{false};

TEST_F(WhenSpaceTest, AnInterruptEndsIt) {
    fill(8 * mebibyte);
    set_interrupt_check([] { return wants_the_end.load(); });
    std::thread user([] {
        std::this_thread::sleep_for(200ms);
        wants_the_end = true;
    });
    const auto begin = steady_clock::now();
    const Result<void> put = dict_->within(60s).when_space().try_put("new", std::vector<char>(8 * mebibyte));
    user.join();
    set_interrupt_check(nullptr);
    EXPECT_EQ(code_of(put), Errc::timeout);
    EXPECT_LT(steady_clock::now() - begin, 20s);
}

}  // namespace
}  // namespace ddict
