// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Bounded queues.
#include <ddict/array.h>
#include <ddict/queue.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::size_t mebibyte = 1 << 20;

using QueueTest = SharedDictionaryTest;

std::size_t keys_with(const Dictionary& dict, const std::string& part) {
    std::size_t count = 0;
    for (const std::string& key : dict.keys("ddict.queue/"))
        count += key.find(part) != std::string::npos;
    return count;
}

TEST_F(QueueTest, WhatIsPushedIsTakenInItsOrder) {
    const Queue producer = dict_->queue("steps", {.items = 8});
    const Queue consumer = by_message_->queue("steps");
    EXPECT_EQ(consumer.name(), "steps");
    producer.push("text");
    producer.push(42);
    producer.push(std::vector<double>(100'000, 0.5));
    const QueueStats full = consumer.stats();
    EXPECT_EQ(full.items, 3u);
    EXPECT_EQ(full.ready, 3u);
    EXPECT_EQ(full.bytes, 4 + 4 + 800'000u);
    EXPECT_EQ(full.producers, 1u);
    EXPECT_EQ(full.items_max, 8u);
    std::optional<QueueItem> item = consumer.take();
    ASSERT_TRUE(item);
    EXPECT_EQ(item->get(), "text");
    EXPECT_EQ(item->get(), "text") << "it may be read again";
    EXPECT_EQ(item->number(), 0u);
    EXPECT_EQ(item->attempt(), 1u);
    EXPECT_EQ(item->bytes(), 4u);
    EXPECT_EQ(item->type(), type_text);
    item->renew();
    item->finish();
    EXPECT_EQ(code_of(item->try_finish()), Errc::invalid_argument);
    item = consumer.take();
    EXPECT_EQ(item->get<int>(), 42);
    EXPECT_EQ(code_of(item->try_get<std::vector<double>>()), Errc::wrong_type);
    item->finish();
    item = consumer.take();
    std::vector<double> field;
    item->get_into(field);
    EXPECT_EQ(field, std::vector<double>(100'000, 0.5));
    item->finish();
    EXPECT_EQ(consumer.stats().items, 0u);
    EXPECT_EQ(consumer.stats().finished, 3u);
    EXPECT_EQ(keys_with(*dict_, "/item/"), 0u);
    EXPECT_EQ(code_of(consumer.within(100ms).try_take()), Errc::timeout);
}

TEST_F(QueueTest, AnItemThatIsNotFinishedGoesBack) {
    const Queue queue = dict_->queue("steps", {.items = 8});
    queue.push(1);
    queue.push(2);
    {
        const std::optional<QueueItem> item = queue.take();
        EXPECT_EQ(item->get<int>(), 1);
    }
    std::optional<QueueItem> item = queue.take();
    EXPECT_EQ(item->get<int>(), 1) << "and is the next";
    EXPECT_EQ(item->attempt(), 2u);
    item->put_back();
    EXPECT_EQ(code_of(item->try_finish()), Errc::invalid_argument);
    QueueItem first = *queue.take();
    QueueItem second = *queue.take();
    EXPECT_EQ(second.get<int>(), 2);
    second = std::move(first);  // the second goes back
    EXPECT_EQ(second.get<int>(), 1);
    second.finish();
    EXPECT_EQ(queue.take()->get<int>(), 2);
}

TEST_F(QueueTest, APushWaitsForItsOwnShareOnly) {
    const Queue first = dict_->queue("steps", {.bytes = 8 * mebibyte, .producers = 2});
    const Queue second = by_message_->queue("steps");
    const std::vector<std::byte> half(2 * mebibyte);
    first.push(half);
    first.push(half);
    const auto begin = steady_clock::now();
    const Result<void> full = first.within(200ms).try_push(half);
    EXPECT_EQ(code_of(full), Errc::timeout);
    EXPECT_NE(full.error().message().find("share"), std::string::npos) << full.error().message();
    EXPECT_GE(steady_clock::now() - begin, 190ms);
    second.push(std::vector<std::byte>(4 * mebibyte));
    EXPECT_EQ(code_of(first.try_push(std::vector<std::byte>(5 * mebibyte))), Errc::too_large) << "at once";
    std::thread consumer([&] {
        std::this_thread::sleep_for(100ms);
        second.take()->finish();
    });
    first.within(20s).push(half);
    consumer.join();
    EXPECT_EQ(first.stats().items, 3u);
    EXPECT_EQ(first.stats().waiting_producers, 0u);

    const Queue third = dict_->queue("steps");
    EXPECT_EQ(code_of(third.within(100ms).try_join()), Errc::timeout) << "both shares are taken";
    std::thread leaver([&] {
        std::this_thread::sleep_for(100ms);
        first.leave();
    });
    EXPECT_EQ(third.within(20s).join(), 0u);
    leaver.join();
    EXPECT_EQ(code_of(third.within(100ms).try_push(half)), Errc::timeout)
        << "who had it before has left items";
}

TEST_F(QueueTest, TheBoundIsOfTheElementsOfArrays) {
    const Queue queue = dict_->queue("steps", {.bytes = 16'000, .producers = 2});
    queue.push(Array<double>({1000}));
    EXPECT_EQ(queue.stats().bytes, 8'000u);
    const Result<void> larger = queue.try_push(Array<double>({1001}));
    EXPECT_EQ(code_of(larger), Errc::too_large);
    EXPECT_EQ(larger.error().need_bytes, 8'008u);
    QueueItem item = *queue.take();
    EXPECT_EQ(item.bytes(), 8'016u) << "what get_bytes() gives";
    EXPECT_EQ(item.get<Array<double>>().size(), 1000u);
    item.finish();
    EXPECT_EQ(queue.stats().bytes, 0u);
}

TEST_F(QueueTest, AfterCloseThereIsWhatWasThere) {
    const Queue queue = dict_->queue("steps", {.items = 4});
    const Queue consumer = dict_->queue("steps");
    queue.push(1);
    queue.push(2);
    queue.close();
    EXPECT_EQ(code_of(queue.try_push(3)), Errc::invalid_argument);
    EXPECT_EQ(code_of(queue.try_join()), Errc::invalid_argument);
    std::optional<QueueItem> first = consumer.take();
    std::optional<QueueItem> second = consumer.take();
    EXPECT_EQ(second->get<int>(), 2);
    EXPECT_FALSE(consumer.take()) << "there are its own only";
    EXPECT_EQ(code_of(queue.within(100ms).try_take()), Errc::timeout) << "those may come back to others";
    second->put_back();
    second = queue.take();
    EXPECT_EQ(second->get<int>(), 2);
    std::atomic<bool> ended{false};
    std::thread other([&] {
        EXPECT_FALSE(dict_->queue("steps").within(20s).take());
        ended = true;
    });
    std::this_thread::sleep_for(100ms);
    EXPECT_FALSE(ended);
    first->finish();
    second->finish();
    other.join();
    EXPECT_TRUE(queue.stats().closed);
}

TEST_F(QueueTest, ALoopWaitsForAsLongAsAnItemMayCome) {
    const Queue queue = dict_->queue("steps", {.items = 4});
    queue.push(1);
    std::optional<QueueItem> held = queue.take();
    queue.close();
    const Queue brief = by_message_->queue("steps").within(300ms);
    EXPECT_EQ(code_of(brief.try_take()), Errc::timeout);
    const auto begin = steady_clock::now();
    std::thread holder([&] {
        std::this_thread::sleep_for(900ms);
        held->put_back();
    });
    std::optional<QueueItem> item = brief.next();
    holder.join();
    ASSERT_TRUE(item);
    EXPECT_GE(steady_clock::now() - begin, 890ms);
    EXPECT_EQ(item->attempt(), 2u);
    item->finish();
    EXPECT_FALSE(brief.next()) << "there is nothing to wait for";
    // However long the making takes: what is left is of the point of time, so it waits no longer than that.
    const Queue until = by_message_->until(steady_clock::now() + 3s).queue("open", {.items = 1});
    EXPECT_EQ(code_of(until.try_next()), Errc::timeout) << "a point of time bounds all of it";
    queue.remove();
    EXPECT_EQ(code_of(brief.try_next()), Errc::not_found);
}

TEST_F(QueueTest, EndsWhenTheProducersAreGone) {
    const Queue consumer = dict_->queue("steps", {.items = 4, .producers = 2});
    EXPECT_EQ(code_of(consumer.within(50ms).try_take(QueueEnd::producers_gone)), Errc::timeout);
    std::thread producers([&] {
        const Queue first = dict_->queue("steps");
        const Queue second = dict_->queue("steps");
        first.push(1);
        second.push(2);
    });
    std::set<int> seen;
    while (std::optional<QueueItem> item = consumer.within(20s).take(QueueEnd::producers_gone)) {
        seen.insert(item->get<int>());
        item->finish();
    }
    producers.join();
    EXPECT_EQ(seen, (std::set<int>{1, 2}));
}

TEST_F(QueueTest, IsMadeOnceAndWaitedFor) {
    EXPECT_EQ(code_of(dict_->within(100ms).try_queue("later")), Errc::timeout);
    std::thread maker([] {
        std::this_thread::sleep_for(100ms);
        dict_->queue("later", {.bytes = mebibyte, .items = 10, .producers = 2});
    });
    const Queue queue = dict_->within(20s).queue("later");
    maker.join();
    EXPECT_EQ(queue.stats().shares, 2u);
    EXPECT_EQ(queue.stats().bytes_max, mebibyte);
    const auto other = dict_->try_queue("later", {.bytes = 2 * mebibyte});
    EXPECT_EQ(code_of(other), Errc::invalid_argument);
    EXPECT_NE(other.error().message().find("bytes is 1048576"), std::string::npos) << other.error().message();
    EXPECT_TRUE(dict_->try_queue("later", {.items = 10}).has_value());
    EXPECT_EQ(code_of(dict_->try_queue("", {.items = 1})), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_queue(std::string(201, 'n'), {.items = 1})), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_queue("wrong", {.items = 1, .producers = 2})), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_queue("wrong", {.items = 5000})), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_queue("wrong", {.items = 1, .lease = 1ms})), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_queue("wrong", {.items = 1, .lease = std::chrono::milliseconds::max()})),
              Errc::invalid_argument);
    EXPECT_EQ(code_of(Queue().try_push(1)), Errc::not_attached);
}

TEST_F(QueueTest, IsRemovedWithAllThatIsInIt) {
    const Queue queue = dict_->queue("steps", {.items = 4});
    const Queue waiting = dict_->queue("steps");
    queue.push(1);
    QueueItem item = *queue.take();
    std::thread consumer([&] { EXPECT_EQ(code_of(waiting.within(20s).try_take()), Errc::not_found); });
    while (queue.stats().waiting_consumers == 0) {
    }
    queue.remove();
    consumer.join();
    EXPECT_EQ(code_of(item.try_finish()), Errc::not_found);
    EXPECT_EQ(code_of(queue.try_push(1)), Errc::not_found);
    EXPECT_EQ(keys_with(*dict_, "/item/") + keys_with(*dict_, "/state"), 0u);
    const Queue anew = dict_->queue("steps", {.items = 5});
    EXPECT_EQ(code_of(queue.try_stats()), Errc::not_found) << "that is another one";
    anew.push(1);
    EXPECT_EQ(anew.stats().items, 1u);
}

TEST_F(QueueTest, WhoIsLateLosesWhatHeHolds) {
    const Queue late = dict_->queue("steps", {.items = 4, .lease = 300ms, .renew_by_hand = true});
    const Queue other = dict_->queue("steps");
    late.push(1);
    std::optional<QueueItem> item = late.take();
    ASSERT_TRUE(item);
    for (int i = 0; i < 10; ++i) {  // in time
        std::this_thread::sleep_for(50ms);
        item->renew();
    }
    EXPECT_EQ(code_of(other.within(50ms).try_take()), Errc::timeout);
    std::optional<QueueItem> again = other.within(20s).take();  // not in time
    ASSERT_TRUE(again);
    EXPECT_EQ(again->get<int>(), 1);
    EXPECT_EQ(again->attempt(), 2u);
    const Result<void> renewed = item->try_renew();
    EXPECT_EQ(code_of(renewed), Errc::not_found);
    EXPECT_NE(renewed.error().message().find("lease lost"), std::string::npos) << renewed.error().message();
    again->finish();
    const Result<int> value = item->try_get<int>();
    EXPECT_EQ(code_of(value), Errc::not_found);
    EXPECT_NE(value.error().message().find("queue 'steps': lease lost"), std::string::npos)
        << value.error().message();
    EXPECT_EQ(code_of(item->try_finish()), Errc::not_found);
    EXPECT_EQ(code_of(item->try_get<int>()), Errc::invalid_argument) << "it is this one's no more";
    EXPECT_EQ(other.stats().finished, 1u);
    EXPECT_TRUE(eventually(10s, [&] { return other.stats().producers == 0; })) << "the share too";
    late.push(2);
    EXPECT_EQ(other.take()->get<int>(), 2);
}

TEST_F(QueueTest, AnIdleHolderKeepsWhatItHolds) {
    const Queue idle = dict_->queue("steps", {.items = 4, .lease = 400ms});
    const Queue other = by_message_->queue("steps");
    idle.push(1);
    QueueItem item = *idle.take();
    EXPECT_EQ(code_of(other.within(2s).try_take()), Errc::timeout);
    item.finish();
    EXPECT_EQ(idle.stats().producers, 1u);
}

TEST_F(QueueTest, DetachingAndDestroyingEndLeases) {
    Dictionary mine = Dictionary::attach(dict_->serialize());
    const Queue queue = mine.queue("steps", {.items = 4, .lease = 100ms});
    queue.push(1);
    QueueItem item = *queue.take();
    mine.detach();
    EXPECT_EQ(code_of(queue.try_push(2)), Errc::not_attached);
    EXPECT_EQ(code_of(item.try_finish()), Errc::not_attached);
    EXPECT_EQ(dict_->queue("steps").within(20s).take()->get<int>(), 1);
}

/// Its copies of the parent's queue and item are neither used nor waited for.
TEST_F(QueueTest, AChildOfForkEndsAndLeavesItsParentsItem) {
    auto queue = std::make_unique<Queue>(dict_->queue("steps", {.items = 4}));
    queue->push(1);
    auto item = std::make_unique<QueueItem>(*queue->take());
    std::this_thread::sleep_for(50ms);  // its thread waits
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(20);
        const bool is_refused = code_of(item->try_finish()) == Errc::not_attached &&
                                code_of(queue->try_take()) == Errc::not_attached &&
                                code_of(queue->try_leave()) == Errc::not_attached;
        item.reset();
        queue.reset();
        ::_exit(is_refused ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "it has not ended by itself, or was not refused";
    EXPECT_EQ(dict_->queue("steps").stats().taken, 1u);
    item->finish();
}

TEST_F(QueueTest, ManyThreadsOfOneQueue) {
    constexpr int threads = 4;
    constexpr int each = 100;
    const Queue queue = dict_->queue("steps", {.items = 7});
    std::atomic<int> sum{0};
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i) {
        all.emplace_back([&] {
            for (int n = 0; n < each; ++n)
                queue.within(60s).push(1);
        });
        all.emplace_back([&] {
            while (std::optional<QueueItem> item = queue.within(60s).take()) {
                sum += item->get<int>();
                item->finish();
                if (sum == threads * each) queue.close();
            }
        });
    }
    for (std::thread& thread : all)
        thread.join();
    EXPECT_EQ(sum, threads * each);
    EXPECT_EQ(queue.stats().items, 0u);
    EXPECT_EQ(queue.stats().finished, static_cast<std::uint64_t>(threads * each));
    EXPECT_EQ(keys_with(*dict_, "/item/"), 0u);
}

TEST_F(QueueTest, IsOfOneManagerInAViewOfIt) {
    const Queue queue = dict_->manager(1).queue("mine", {.items = 4});
    queue.push(1);
    queue.push(2);
    EXPECT_EQ(dict_->manager(0).size() + dict_->manager(2).size(), 0u);
    EXPECT_EQ(dict_->manager(1).queue("mine").take()->get<int>(), 1);
}

TEST_F(QueueTest, ManagersThatAreStartedAgainAreNotNoticed) {
    constexpr int items = 300;
    const Queue queue = dict_->queue("steps", {.items = 5});
    std::thread producer([&] {
        for (int i = 0; i < items; ++i)
            queue.within(60s).push(i);
        queue.close();
    });
    std::thread restarter([] {
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            dict_->restart(manager);
    });
    int next = 0;
    while (std::optional<QueueItem> item = queue.within(60s).take()) {
        EXPECT_EQ(item->get<int>(), next++);
        item->finish();
    }
    producer.join();
    restarter.join();
    EXPECT_EQ(next, items);
    EXPECT_EQ(queue.stats().finished, static_cast<std::uint64_t>(items));
}

TEST_F(QueueTest, IsOfNoCheckpoint) {
    for (const bool waits : {false, true}) {
        Dictionary steps = Dictionary::create({.managers_per_node = 2,
                                               .total_mem = 32 * mebibyte,
                                               .name = "checkpoints",
                                               .working_set = 2,
                                               .wait_for_keys = waits});
        const Queue queue = steps.queue("steps", {.items = 2});
        for (int step = 0; step < 5; ++step) {
            queue.within(20s).push(step);
            steps.checkpoint();
            steps.put("key", step);
            std::optional<QueueItem> item = queue.within(20s).take();
            EXPECT_EQ(item->get<int>(), step);
            item->finish();
        }
        EXPECT_EQ(queue.stats().items, 0u);
        EXPECT_EQ(keys_with(steps, "/item/"), 0u);
        steps.destroy();
    }
}

/// A manager is full of other things: the share's other managers have space.
TEST_F(QueueTest, AValueGoesToAManagerOfTheShareThatHasSpace) {
    const Queue queue = dict_->queue("steps", {.items = 8});
    const View first = dict_->manager(0);
    for (int i = 0; first.try_put("fill/" + std::to_string(i), std::vector<std::byte>(8 * mebibyte)); ++i) {
    }
    for (int i = 0; i < 4; ++i)
        queue.within(20s).push(std::vector<std::byte>(10 * mebibyte));
    for (int i = 0; i < 4; ++i) {
        QueueItem item = *queue.take();
        EXPECT_EQ(item.get<std::vector<std::byte>>().size(), 10 * mebibyte);
        item.finish();
    }
}

}  // namespace
}  // namespace ddict
