// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Queues whose managers hang, take no changes, are lost, or become fewer, and whose calls end too early.
#include <ddict/queue.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <chrono>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"
#include "tests/client/without_restarts.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds lease = 400ms;

/// One manager has all of them.
class QueueFaultsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        dict_ = Dictionary::create({.managers_per_node = 1, .total_mem = 32 << 20, .name = "faults"});
    }
    void TearDown() override { dict_.destroy(); }
    /// The manager does nothing for so long, or until `call` has ended; then it does what it was asked.
    template <class Call>
    void hang(std::chrono::milliseconds time, Call call) {
        const pid_t pid = dict_.stats(0).pid;
        ASSERT_EQ(::kill(pid, SIGSTOP), 0);
        const auto end = std::chrono::steady_clock::now() + time;
        call();
        std::this_thread::sleep_until(end);
        ASSERT_EQ(::kill(pid, SIGCONT), 0);
        dict_.put("awake", 1);
    }

    Dictionary dict_;
};

TEST_F(QueueFaultsTest, WhatWasTakenForACallThatHadEndedIsHandedOutAgain) {
    const Queue queue = dict_.queue("steps", {.items = 4, .lease = lease});
    const Queue other = dict_.queue("steps");
    for (const Queue& next : {queue, other}) {
        queue.push(1);
        hang(0ms, [&] {
            const auto taken = queue.within(100ms).try_take();
            EXPECT_EQ(code_of(taken), Errc::timeout);
            EXPECT_TRUE(taken.error().in_doubt);
        });
        auto item = next.within(10s).try_take();
        ASSERT_TRUE(item.has_value()) << item.error().message();
        (*item)->finish();
    }
    EXPECT_EQ(queue.stats().items, 0u);
}

/// Some before anything is sent, some when the change is made and its answer on its way.
TEST_F(QueueFaultsTest, OfCallsThatEndAtAnyMomentNoItemIsLostOrDoneTwice) {
    constexpr int items = 400;
    constexpr unsigned consumers = 3;
    const Queue queue = dict_.queue("steps", {.items = 16, .lease = 1s});
    std::atomic<int> doubts{0};
    std::array<std::atomic<int>, items> done{};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < consumers; ++i) {
        threads.emplace_back([&, i] {
            std::mt19937 random(i);
            const Queue own = i == 0 ? dict_.queue("steps") : queue;
            for (const auto end = std::chrono::steady_clock::now() + 40s;
                 std::chrono::steady_clock::now() < end;) {
                auto taken = own.within(std::chrono::microseconds(20 + random() % 200)).try_take();
                if (!taken.has_value()) {
                    EXPECT_EQ(taken.error().code, Errc::timeout) << taken.error().message();
                    doubts += taken.error().in_doubt;
                    continue;
                }
                if (!*taken) return;
                const int value = (*taken)->get<int>();
                if (random() % 5 == 0) continue;  // it goes back
                const Result<void> finished = (*taken)->try_finish();
                EXPECT_TRUE(finished) << finished.error().message();
                done.at(static_cast<std::size_t>(value)) += 1;
            }
            ADD_FAILURE() << "there is no end";
        });
    }
    for (int i = 0; i < items; ++i) {
        const Result<void> pushed = queue.within(30s).try_push(i);
        EXPECT_TRUE(pushed) << pushed.error().message();
        if (!pushed) break;
    }
    queue.close();
    for (std::thread& thread : threads)
        thread.join();
    for (int i = 0; i < items; ++i)
        EXPECT_EQ(done.at(static_cast<std::size_t>(i)), 1) << "item " << i;
    EXPECT_EQ(queue.stats().items, 0u);
    std::cout << doubts << " takes in doubt\n";
}

TEST_F(QueueFaultsTest, WhoHasWaitedForAMomentOnlyHasTimeToFinish) {
    const Queue queue = dict_.queue("steps", {.items = 4});
    queue.push(std::vector<char>(100'000, 'v'));
    std::optional<QueueItem> item = queue.within(100ms).take();
    ASSERT_TRUE(item);
    std::thread manager([&] { hang(400ms, [] {}); });
    std::this_thread::sleep_for(100ms);
    const Result<void> finished = item->try_finish();
    manager.join();
    EXPECT_TRUE(finished) << finished.error().message();
}

TEST_F(QueueFaultsTest, WhatWasReservedForACallThatHadEndedIsGivenBack) {
    const Queue queue = dict_.queue("steps", {.items = 1, .lease = lease});
    queue.join();
    hang(0ms, [&] {
        const Result<void> pushed = queue.within(100ms).try_push(1);
        EXPECT_EQ(code_of(pushed), Errc::timeout);
        EXPECT_TRUE(pushed.error().in_doubt);
    });
    const Result<void> pushed = queue.within(10s).try_push(2);
    ASSERT_TRUE(pushed) << pushed.error().message();
    EXPECT_EQ(queue.take()->get<int>(), 2);
}

TEST_F(QueueFaultsTest, TheEndOfAQueueGivesBackWhatNobodyKnowsOf) {
    const Queue other = dict_.queue("steps", {.items = 4});
    other.push(1);
    {
        const Queue queue = dict_.queue("steps");
        queue.renew();
        hang(0ms, [&] { EXPECT_EQ(code_of(queue.within(100ms).try_take()), Errc::timeout); });
        EXPECT_EQ(other.stats().taken, 1u);
    }
    EXPECT_TRUE(other.within(5s).try_take().has_value()) << "long before its lease of 10 s has run out";
}

/// Nobody can count, and what others read from memory stands still: that says nothing of them.
TEST_F(QueueFaultsTest, WhoCannotShowThatHeLivesKeepsWhatHeHolds) {
    const Queue queue = dict_.queue("steps", {.items = 4, .lease = lease});
    queue.push(1);
    std::optional<QueueItem> item = queue.take();
    ASSERT_TRUE(item);
    std::vector<Queue> others;
    for (int i = 0; i < 6; ++i) {
        others.push_back(dict_.queue("steps", {.renew_by_hand = i % 2 == 1}));
        others.back().renew();
    }
    hang(3 * lease, [] {});
    std::this_thread::sleep_for(2 * lease);
    EXPECT_TRUE(item->try_renew()) << "the manager was stopped";
    for (int i = 0; i < 3; ++i) {
        dict_.freeze();
        std::this_thread::sleep_for(3 * lease);
        dict_.unfreeze();
        std::this_thread::sleep_for(lease);
        EXPECT_TRUE(item->try_renew()) << "the dictionary was frozen";
    }
    const Result<void> finished = item->try_finish();
    EXPECT_TRUE(finished) << finished.error().message();
    EXPECT_EQ(queue.stats().producers, 1u);
}

/// The threads of other queues wait for a manager that hangs.
TEST(QueuesOfManyManagers, AManagerThatHangsIsWaitedForByItsOwnQueuesOnly) {
    Dictionary dict = Dictionary::create({.managers_per_node = 2, .total_mem = 32 << 20, .name = "faults"});
    Dictionary elsewhere = Dictionary::attach(dict.serialize());
    std::vector<Queue> hanging;
    for (int i = 0; i < 8; ++i) {
        hanging.push_back(dict.manager(0).queue("steps" + std::to_string(i), {.items = 4, .lease = 4s}));
        hanging.back().renew();
    }
    const Queue queue = dict.manager(1).queue("steps", {.items = 4, .lease = lease});
    queue.push(1);
    std::optional<QueueItem> item = queue.take();
    const Queue other = elsewhere.manager(1).queue("steps");
    const pid_t pid = dict.stats(0).pid;
    ASSERT_EQ(::kill(pid, SIGSTOP), 0);
    EXPECT_EQ(code_of(other.within(6s).try_take()), Errc::timeout) << "nothing is wrong with its holder";
    ASSERT_EQ(::kill(pid, SIGCONT), 0);
    const Result<void> finished = item->try_finish();
    EXPECT_TRUE(finished) << finished.error().message();
    item.reset();
    hanging.clear();
    elsewhere.detach();
    dict.destroy();
}

/// What lay there is lost; the others, and the space of the shares, are not.
TEST(QueuesOfManyManagers, AManagerThatIsLostTakesItsValuesOnly) {
    const WithoutRestarts without;
    Dictionary dict = Dictionary::create({.managers_per_node = 3, .total_mem = 48 << 20, .name = "faults"});
    std::string name;
    for (int i = 0; name.empty() || dict.which_manager("ddict.queue/" + name + "/state") == 2; ++i)
        name = "steps" + std::to_string(i);
    const Queue queue = dict.queue(name, {.items = 6, .lease = lease});
    for (int i = 0; i < 6; ++i)
        queue.push(i);
    ASSERT_EQ(::kill(dict.stats(2).pid, SIGKILL), 0);
    int lost = 0;
    for (int i = 0; i < 6; ++i) {
        std::optional<QueueItem> item = queue.within(20s).take();
        ASSERT_TRUE(item);
        lost += !item->try_get<int>().has_value();
        item->finish();
    }
    EXPECT_LE(lost, 2);
    EXPECT_EQ(queue.stats().items, 0u);
    for (int i = 0; i < 6; ++i) {
        const Result<void> pushed = queue.within(20s).try_push(i);
        EXPECT_TRUE(pushed) << pushed.error().message();
    }
    for (int i = 0; i < 6; ++i) {
        std::optional<QueueItem> item = queue.within(20s).take();
        ASSERT_TRUE(item);
        EXPECT_EQ(item->get<int>(), i);
        item->finish();
    }
    dict.destroy();
}

/// Its record names managers that there are no more.
TEST(QueuesOfManyManagers, WhatWasSavedIsTakenWithFewerManagers) {
    const TemporaryFolder folder;
    Dictionary before = Dictionary::create({.managers_per_node = 3, .total_mem = 48 << 20, .name = "faults"});
    {
        const Queue queue = before.queue("steps", {.items = 6, .lease = lease});
        for (int i = 0; i < 6; ++i)
            queue.push(i);
    }
    before.save(folder.path().string());
    before.destroy();
    Dictionary after = Dictionary::create({.managers_per_node = 1, .total_mem = 32 << 20, .name = "faults"});
    after.load(folder.path().string());
    {
        const Queue queue = after.queue("steps");
        for (int i = 0; i < 6; ++i) {
            auto item = queue.within(20s).try_take();
            ASSERT_TRUE(item.has_value()) << item.error().message();
            EXPECT_EQ((*item)->get<int>(), i);
            (*item)->finish();
        }
        EXPECT_EQ(queue.stats().items, 0u);
        EXPECT_EQ(after.size(), 2u) << "the record, and the lease of one that lives";
    }
    after.destroy();
}

}  // namespace
}  // namespace ddict
