// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints in memory, by the public library: what each operation does at an older, a kept and a newer one.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <ddict/dictionary.h>

#include "tests/base/seed.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t working_set = 3;

/// By messages, and by reading this node's memory.
class WorkingSetTest : public testing::TestWithParam<bool> {
  protected:
    void SetUp() override {
        CreateOptions options;
        options.managers_per_node = 2;
        options.total_mem = 64 << 20;
        options.working_set = working_set;
        options.attach.local_reads = GetParam();
        dict_.emplace(Dictionary::create(options));
    }
    void TearDown() override { dict_->destroy(); }

    static std::set<std::string> keys_of(const View& view) {
        std::set<std::string> keys;
        for (const std::string& key : view.keys())
            keys.insert(key);
        return keys;
    }
    template <class F>
    static Errc code_of(F call) {
        try {
            call();
        } catch (const Exception& e) {
            return e.error().code;
        }
        return {};
    }

    std::optional<Dictionary> dict_;
};

TEST_P(WorkingSetTest, AReaderAStepBehindSeesItsOwnStep) {
    dict_->put("mesh", "constant");
    dict_->put("field", "of 0");
    EXPECT_EQ(dict_->checkpoint_id(), 0u);
    const View first = dict_->at(0);
    EXPECT_EQ(dict_->checkpoint(), 1u);
    EXPECT_EQ(dict_->get("field"), "of 0");
    dict_->put("field", "of 1");
    dict_->put("only", "of 1");
    EXPECT_EQ(first.get("field"), "of 0");
    EXPECT_FALSE(first.contains("only"));
    EXPECT_EQ(dict_->get("field"), "of 1");
    EXPECT_EQ(dict_->get("mesh"), "constant");
    EXPECT_EQ(dict_->at(newest_checkpoint).get("field"), "of 1");
    EXPECT_EQ(dict_->at(17).get("field"), "of 1");
    EXPECT_EQ(first.size(), 2u);
    EXPECT_EQ(dict_->size(), 3u);
    EXPECT_EQ(keys_of(first), (std::set<std::string>{"field", "mesh"}));
    EXPECT_EQ(keys_of(*dict_), (std::set<std::string>{"field", "mesh", "only"}));
    EXPECT_EQ(dict_->rollback(), 0u);
    EXPECT_EQ(dict_->get("field"), "of 0");
    EXPECT_EQ(dict_->rollback(), 0u);
    EXPECT_EQ(dict_->sync_to_newest_checkpoint(), 1u);
    EXPECT_EQ(dict_->checkpoint_id(), 1u);
    EXPECT_EQ(dict_->get("field"), "of 1");
}

TEST_P(WorkingSetTest, WhatIsErasedIsThereAtOlderOnes) {
    for (int i = 0; i < 100; ++i)
        dict_->put("key/" + std::to_string(i), i);
    const View old = dict_->at(0);
    dict_->checkpoint();
    EXPECT_TRUE(dict_->erase("key/0"));
    EXPECT_FALSE(dict_->erase("key/0"));
    EXPECT_EQ(dict_->pop<int>("key/1"), 1);
    EXPECT_EQ(dict_->pop<int>("key/1"), std::nullopt);
    EXPECT_EQ(dict_->erase_prefix("key/2"), 11u);
    EXPECT_EQ(dict_->count_prefix("key/"), 87u);
    EXPECT_EQ(dict_->size(), 87u);
    EXPECT_EQ(old.size(), 100u);
    EXPECT_EQ(old.count_prefix("key/"), 100u);
    EXPECT_EQ(old.get<int>("key/1"), 1);
    EXPECT_TRUE(dict_->put_if_absent("key/1", 7));
    EXPECT_FALSE(dict_->put_if_absent("key/3", 7));
    EXPECT_TRUE(dict_->put_if_present("key/3", 8));
    EXPECT_EQ(dict_->get<int>("key/3"), 8);
    EXPECT_EQ(old.get<int>("key/3"), 3);
    dict_->clear();
    EXPECT_EQ(dict_->size(), 0u);
    EXPECT_EQ(keys_of(*dict_), std::set<std::string>());
    EXPECT_FALSE(dict_->contains("key/50"));
    EXPECT_EQ(old.size(), 100u);
    EXPECT_EQ(old.get<int>("key/50"), 50);
    dict_->put("new", 1);
    EXPECT_EQ(dict_->size(), 1u);
}

TEST_P(WorkingSetTest, ChangesGoOnFromWhatIsSeen) {
    dict_->put("count", std::int64_t{40});
    dict_->put("log", std::string("a"));
    dict_->put("state", std::string("old"));
    dict_->checkpoint();
    EXPECT_EQ(dict_->fetch_add<std::int64_t>("count", 2), 40);
    EXPECT_EQ(dict_->append("log", std::string("b")), 2u);
    EXPECT_TRUE(dict_->compare_and_swap("state", std::string("old"), std::string("new")));
    EXPECT_EQ(dict_->get<std::int64_t>("count"), 42);
    EXPECT_EQ(dict_->get("log"), "ab");
    EXPECT_EQ(dict_->at(0).get<std::int64_t>("count"), 40);
    EXPECT_EQ(dict_->at(0).get("log"), "a");
    EXPECT_EQ(dict_->at(0).get("state"), "old");
    // A change at an older one is seen at later ones, but where they have written themselves.
    dict_->at(0).put("late", 1);
    dict_->at(0).put("count", std::int64_t{1});
    EXPECT_EQ(dict_->get<int>("late"), 1);
    EXPECT_EQ(dict_->get<std::int64_t>("count"), 42);
}

TEST_P(WorkingSetTest, ManyKeysAtOnce) {
    std::vector<std::pair<std::string, std::string>> pairs;
    std::vector<std::string> keys;
    for (int i = 0; i < 500; ++i) {
        keys.push_back("k" + std::to_string(i));
        pairs.emplace_back(keys.back(), i % 50 == 0 ? std::string(20'000, 'x') : "first");
    }
    dict_->multi_put(pairs);
    dict_->checkpoint();
    for (auto& [key, value] : pairs)
        value = "second";
    dict_->multi_put(pairs);
    std::uint64_t seconds = 0;
    for (const auto& value : dict_->multi_get<std::string>(keys))
        seconds += value == "second" ? 1U : 0U;
    EXPECT_EQ(seconds, 500u);
    std::uint64_t firsts = 0;
    for (const auto& value : dict_->at(0).multi_get<std::string>(keys))
        firsts += value && (*value == "first" || value->size() == 20'000) ? 1U : 0U;
    EXPECT_EQ(firsts, 500u);
    for (const auto& [key, value] : dict_->at(0).items<std::string, std::string>())
        EXPECT_NE(value, "second") << key;
    Pending<void> put = dict_->put_async("k0", std::string("third"));
    put.wait();
    EXPECT_EQ(dict_->get_async("k0").wait(), "third");
    EXPECT_EQ(dict_->at(0).get_async("k0").wait().size(), 20'000u);
}

TEST_P(WorkingSetTest, WhatIsTooOldIsRefused) {
    for (int i = 0; i < 20; ++i)
        dict_->put("key/" + std::to_string(i), i);
    for (std::uint32_t step = 1; step <= working_set; ++step) {
        dict_->checkpoint();
        for (int i = 0; i < 20; ++i)
            dict_->put("key/" + std::to_string(i), i + 100 * static_cast<int>(step));
    }
    const View old = dict_->at(0);
    std::vector<std::string> keys{"key/1", "key/2"};
    EXPECT_EQ(code_of([&] { old.get<int>("key/1"); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.contains("key/1"); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.put("key/1", 1); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.put("large", std::string(100'000, 'x')); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.erase("key/1"); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.pop<int>("key/1"); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.fetch_add<std::int64_t>("key/1", 1); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.size(); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.clear(); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { keys_of(old); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.erase_prefix("key/"); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.wait_for<int>("key/1"); }), Errc::checkpoint_retired);
    EXPECT_EQ(code_of([&] { old.multi_get<int>(keys); }), Errc::checkpoint_retired);
    EXPECT_EQ(dict_->at(1).get<int>("key/1"), 101);
    const Error error = old.try_get<int>("key/1").error();
    EXPECT_NE(error.message().find("sync_to_newest_checkpoint"), std::string::npos) << error.message();
    EXPECT_EQ(code_of([&] { dict_->at(newest_checkpoint + 1); }), Errc::invalid_argument);
    EXPECT_EQ(code_of([&] { dict_->set_checkpoint_id(newest_checkpoint + 1); }), Errc::invalid_argument);
    dict_->set_checkpoint_id(newest_checkpoint);
    EXPECT_EQ(dict_->checkpoint(), newest_checkpoint);
    EXPECT_EQ(dict_->rollback(), newest_checkpoint);
    EXPECT_EQ(dict_->get<int>("key/1"), 301);
    dict_->put("key/1", 7);
    EXPECT_EQ(dict_->at(3).get<int>("key/1"), 7);
}

/// Also one that waits already.
TEST_P(WorkingSetTest, AWaitEndsWhenItsCheckpointIsRetired) {
    const View waiting = dict_->at(0).within(20s);
    Result<int> waited(0);
    std::thread thread([&] { waited = waiting.try_wait_for<int>("nobody"); });
    const auto begin = std::chrono::steady_clock::now();
    while (dict_->stats(dict_->which_manager("nobody")).waiting == 0 &&
           std::chrono::steady_clock::now() < begin + 10s)
        std::this_thread::sleep_for(1ms);
    dict_->set_checkpoint_id(50);
    for (int i = 0; i < 20; ++i)
        dict_->put("key/" + std::to_string(i), i);
    thread.join();
    ASSERT_FALSE(waited.has_value());
    EXPECT_EQ(waited.error().code, Errc::checkpoint_retired) << waited.error().message();
    // And one at a checkpoint that is kept, by a put there.
    std::thread putting([&] { dict_->at(49).put("nobody", 7); });
    EXPECT_EQ(dict_->wait_for<int>("nobody"), 7);
    putting.join();
}

TEST_P(WorkingSetTest, BroadcastsHaveNoCheckpoints) {
    dict_->put("shared", 1);
    dict_->checkpoint();
    dict_->put("shared", 2);
    dict_->bput("shared", 3);
    EXPECT_EQ(dict_->bget<int>("shared"), 3);
    EXPECT_EQ(dict_->at(0).bget<int>("shared"), 3);
    EXPECT_EQ(dict_->at(0).size(), 1u);
    EXPECT_TRUE(dict_->berase("shared"));
    EXPECT_FALSE(dict_->contains("shared"));
    EXPECT_FALSE(dict_->at(0).contains("shared"));
}

TEST_P(WorkingSetTest, FrozenValuesAreViewedAtACheckpoint) {
    dict_->put("field", std::vector<double>{1, 2});
    dict_->checkpoint();
    dict_->put("field", std::vector<double>{3});
    dict_->freeze();
    EXPECT_EQ(dict_->view_frozen("field").size(), sizeof(double));
    EXPECT_EQ(dict_->at(0).view_frozen("field").size(), 2 * sizeof(double));
    EXPECT_EQ(code_of([&] { dict_->erase("field"); }), Errc::frozen);
    dict_->unfreeze();
}

/// Random changes at random checkpoints, while managers are killed.
TEST_P(WorkingSetTest, SurvivesManagersThatAreKilled) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 engine(seed);
    const auto below = [&](std::uint64_t end) { return engine() % end; };
    std::map<std::uint32_t, std::map<std::string, int>> wanted;  // by checkpoint: all of it
    wanted[0];
    std::uint32_t newest = 0;
    for (int step = 0; step < 3000; ++step) {
        if (below(60) == 0) {
            wanted[newest + 1] = wanted[newest];
            ++newest;
            if (wanted.size() > working_set) wanted.erase(wanted.begin());
            dict_->set_checkpoint_id(newest);
            // Each manager has to hear of it.
            for (std::uint32_t manager = 0; manager < 2; ++manager)
                dict_->manager(manager).put("heard", 1);
            for (std::uint32_t manager = 0; manager < 2; ++manager)
                dict_->manager(manager).erase("heard");
        }
        const std::string key = "key/" + std::to_string(below(80));
        if (below(3) != 0) {
            dict_->put(key, step);
            wanted[newest][key] = step;
        } else {
            EXPECT_EQ(dict_->erase(key), wanted[newest].erase(key) == 1);
        }
        if (step % 700 == 699) {
            const ManagerStats before = dict_->stats(static_cast<std::uint32_t>(step / 700 % 2));
            ::kill(before.pid, SIGKILL);
            std::this_thread::sleep_for(std::chrono::milliseconds(below(200)));
        }
        if (step % 50 == 0) {
            for (const auto& [checkpoint, pairs] : wanted) {
                const View view = dict_->at(checkpoint);
                ASSERT_EQ(view.size(), pairs.size()) << "at " << checkpoint << " in step " << step;
                for (const auto& [name, value] : pairs)
                    ASSERT_EQ(view.get<int>(name), value) << name << " at " << checkpoint;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(ByMessageAndInMemory, WorkingSetTest, testing::Bool());

}  // namespace
}  // namespace ddict
