// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints that wait for keys or for writers, by the public library: what each operation does at an older,
// a kept and a newer one.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <ddict/dictionary.h>

namespace ddict {
namespace {

using namespace std::chrono_literals;

/// By messages, and by reading this node's memory.
class WaitingCheckpointsTest : public testing::TestWithParam<bool> {
  protected:
    void create(bool for_keys, bool for_writers, std::uint32_t managers = 2, std::uint32_t working_set = 2) {
        CreateOptions options;
        options.managers_per_node = managers;
        options.total_mem = 64 << 20;
        options.working_set = working_set;
        options.wait_for_keys = for_keys;
        options.wait_for_writers = for_writers;
        options.attach.local_reads = GetParam();
        dict_.emplace(Dictionary::create(options));
    }
    void TearDown() override {
        if (dict_) dict_->destroy();
    }
    Dictionary attach() const {
        AttachOptions options;
        options.local_reads = GetParam();
        return Dictionary::attach(dict_->handle(), options);
    }
    template <class F>
    static Error error_of(F call) {
        try {
            call();
        } catch (const Exception& e) {
            return e.error();
        }
        return {};
    }
    static bool says(const Error& error, std::string_view part) {
        return error.message().find(part) != std::string::npos;
    }

    std::optional<Dictionary> dict_;
};

TEST_P(WaitingCheckpointsTest, WithKeysAValueIsOfItsStepUnlessItPersists) {
    create(true, false);
    dict_->put("step", 0);
    dict_->persistent().put("settings", "of all");
    EXPECT_EQ(dict_->size(), 2u);
    dict_->checkpoint();
    EXPECT_EQ(dict_->size(), 1u);
    EXPECT_EQ(dict_->try_keys().value(), std::vector<std::string>{"settings"});
    EXPECT_EQ(dict_->get("settings"), "of all");
    EXPECT_EQ(dict_->find("step"), std::nullopt);
    EXPECT_EQ(dict_->get_or<int>("step", 7), 7);
    EXPECT_FALSE(dict_->contains("step"));
    EXPECT_EQ(dict_->type_and_size("step"), std::nullopt);
    EXPECT_FALSE(dict_->erase("step"));
    EXPECT_EQ(dict_->at_once().pop("step"), std::nullopt);
    EXPECT_EQ(dict_->multi_get<int>(std::vector<std::string>{"step"})[0], std::nullopt);
    const Error late = error_of([&] { dict_->within(50ms).get("step"); });
    EXPECT_EQ(late.code, Errc::timeout);
    EXPECT_TRUE(says(late, "waits for keys, and nothing was written at checkpoint 1")) << late.message();
    EXPECT_EQ(late.manager_state, ManagerState::answered);
    EXPECT_EQ(error_of([&] { dict_->within(50ms).pop("step"); }).code, Errc::timeout);
    dict_->put("step", 1);
    EXPECT_EQ(dict_->get<int>("step"), 1);
    EXPECT_EQ(dict_->at(0).get<int>("step"), 0);
    // What is made of what is seen is this step's own.
    dict_->put("count", 5);
    dict_->checkpoint();
    EXPECT_EQ(dict_->fetch_add("count", 1), 0);
    EXPECT_EQ(dict_->at(1).get<int>("count"), 5);
}

/// Who reads whom reads it, so nobody is further ahead of another than there are hops between them: two in a
/// ring of five. So much more than one is the working set.
TEST_P(WaitingCheckpointsTest, NobodyIsFurtherAheadThanThereAreHopsBetweenThem) {
    constexpr int ranks = 5;
    constexpr int steps = 200;
    create(true, false, 3, 3);
    std::atomic<int> exchanged{0};
    const auto field = [](int rank) { return "field/" + std::to_string((rank + ranks) % ranks); };
    const auto run = [&](int rank) {
        Dictionary mine = attach();
        for (int step = 0; step < steps; ++step, mine.checkpoint()) {
            mine.put(field(rank), step);
            for (const int other : {rank - 1, rank + 1})
                exchanged += mine.get<int>(field(other)) == step ? 1 : 0;
        }
    };
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] { EXPECT_NO_THROW(run(rank)) << rank; });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(exchanged, 2 * ranks * steps);
}

TEST_P(WaitingCheckpointsTest, AGetWaitsForItsKey) {
    create(true, false);
    std::atomic<int> read{0};
    std::thread reader([&] {
        Dictionary mine = attach();
        mine.set_checkpoint_id(1);
        EXPECT_EQ(mine.get<int>("k"), 1);
        ++read;
        EXPECT_EQ(mine.pop<int>("popped"), 2);
        ++read;
        auto pending = mine.get_async<int>("later");
        EXPECT_EQ(pending.wait(), 3);
        ++read;
    });
    const auto await = [&](int wanted) {
        for (int i = 0; read != wanted && i < 5000; ++i)
            std::this_thread::sleep_for(1ms);
        EXPECT_EQ(read, wanted);
    };
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(read, 0);
    dict_->put("k", 0);
    dict_->checkpoint();
    dict_->put("k", 1);
    await(1);
    dict_->put("popped", 2);
    await(2);
    const std::string large(100'000, 'x');
    dict_->put("other", large);
    dict_->put("later", 3);
    await(3);
    reader.join();
}

/// A pipeline without a barrier, but for the first step: from then on each manager knows whom to wait for.
TEST_P(WaitingCheckpointsTest, StepsOfSeveralWritersAndAReader) {
    create(true, true);
    constexpr int steps = 30;
    constexpr int writers = 3;
    const auto part = [](int writer) { return "part/" + std::to_string(writer); };
    const auto large = [](int writer) { return "large/" + std::to_string(writer); };
    dict_->put("seen", 0);
    for (int writer = 0; writer < writers; ++writer) {
        dict_->put(part(writer), writer);
        dict_->put(large(writer), "");
    }
    dict_->set_checkpoint_id(steps);
    dict_->size();  // asks both managers: they see that this writer of the first step has left it
    std::vector<std::thread> threads;
    for (int writer = 0; writer < writers; ++writer) {
        threads.emplace_back([&, writer] {
            Dictionary mine = attach();
            for (int step = 1; step < steps; ++step) {
                mine.checkpoint();
                mine.put(part(writer), step * 100 + writer);
                mine.put(large(writer), std::string(step % 7 == 0 ? 50'000 : 5, 'x'));
            }
        });
    }
    threads.emplace_back([&] {
        Dictionary mine = attach();
        for (int step = 1; step < steps; ++step) {
            mine.checkpoint();
            for (int writer = 0; writer < writers; ++writer) {
                EXPECT_EQ(mine.get<int>(part(writer)), step * 100 + writer);
            }
            mine.put("seen", step);  // so that the writers wait for it
        }
    });
    for (std::thread& thread : threads)
        thread.join();
}

TEST_P(WaitingCheckpointsTest, WhatComesTooEarlyEndsInTimeAndSaysWhy) {
    create(true, false, 1);
    dict_->put("k", 0);
    dict_->put("m", 0);
    dict_->checkpoint();
    dict_->put("k", 1);
    const View early = dict_->at(2).within(100ms);
    for (const auto& call : std::vector<std::function<void()>>{
             [&] { early.put("k", 2); }, [&] { early.put("k", std::string(50'000, 'x')); },
             [&] { early.erase("k"); }, [&] { early.fetch_add("n", 1); }, [&] { early.clear(); },
             [&] {
                 early.multi_put(std::vector<std::pair<std::string, int>>{{"k", 2}});
             }}) {
        const Error late = error_of(call);
        EXPECT_EQ(late.code, Errc::timeout);
        EXPECT_TRUE(
            says(late, "checkpoint 2 begins when 0 is retired, and 1 key of that is not written at 1"))
            << late.message();
    }
    EXPECT_EQ(dict_->newest_checkpoint_id(), 1u) << "none of them has taken effect";
    EXPECT_EQ(dict_->at(0).size(), 2u);
    dict_->put("m", 1);
    dict_->at(2).put("k", 2);
    EXPECT_EQ(dict_->newest_checkpoint_id(), 2u);
    EXPECT_EQ(error_of([&] { dict_->at(0).get("k"); }).code, Errc::checkpoint_retired);
}

TEST_P(WaitingCheckpointsTest, AWriterThatEndsIsNotWaitedFor) {
    create(false, true, 1);
    std::atomic<bool> may_end{false};
    std::thread other([&] {
        Dictionary mine = attach();
        mine.put("k", 0);
        while (!may_end)
            std::this_thread::sleep_for(1ms);
    });
    while (!dict_->contains("k"))
        std::this_thread::sleep_for(1ms);
    dict_->at(1).put("k", 1);
    const Error late = error_of([&] { dict_->at(2).within(100ms).put("k", 2); });
    EXPECT_EQ(late.code, Errc::timeout);
    EXPECT_TRUE(says(late, "1 client writes there still")) << late.message();
    EXPECT_EQ(dict_->at(2).get<int>("k"), 1) << "every key persists";
    may_end = true;
    dict_->at(2).put("k", 2);
    other.join();
    EXPECT_EQ(dict_->at(2).get<int>("k"), 2);
}

/// Also of a request that waits, and of who has written where.
TEST_P(WaitingCheckpointsTest, AManagerThatIsKilledComesBackWithAllOfIt) {
    create(true, true, 1);
    dict_->put("k", 0);
    dict_->put("m", 0);
    dict_->checkpoint();
    dict_->put("k", 1);
    std::atomic<bool> is_done{false};
    std::thread early([&] {
        Dictionary mine = attach();
        mine.set_checkpoint_id(2);
        mine.within(30s).put("k", 2);
        is_done = true;
    });
    std::this_thread::sleep_for(30ms);
    for (std::uint64_t kills = 1; kills <= 2; ++kills) {
        ::kill(dict_->stats(0).pid, SIGKILL);
        while (dict_->stats(0).restarts != kills)
            std::this_thread::sleep_for(5ms);
        EXPECT_EQ(dict_->find<int>("m"), std::nullopt);
        EXPECT_EQ(dict_->at(0).get<int>("m"), 0);
        EXPECT_EQ(dict_->size(), 1u);
    }
    std::this_thread::sleep_for(50ms);
    EXPECT_FALSE(is_done);
    dict_->put("m", 1);
    early.join();
    EXPECT_TRUE(is_done);
    EXPECT_EQ(dict_->at(2).get<int>("k"), 2);
}

INSTANTIATE_TEST_SUITE_P(ByMessageAndInMemory, WaitingCheckpointsTest, testing::Bool());

TEST(WaitingCheckpoints, NeedTwoOfThem) {
    CreateOptions options;
    options.wait_for_keys = true;
    const Result<Dictionary> made = Dictionary::try_create(options);
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code, Errc::invalid_argument) << made.error().message();
    EXPECT_NE(made.error().message().find("--working-set 2"), std::string::npos) << made.error().message();
}

}  // namespace
}  // namespace ddict
