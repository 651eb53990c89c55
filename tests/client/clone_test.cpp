// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Pairs that go from one dictionary to another, without a file.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <ddict/dictionary.h>

#include "tests/client/segments.h"
#include "tests/client/shared_dictionary.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

CreateOptions of(std::uint32_t managers, const std::string& name) {
    CreateOptions options;
    options.managers_per_node = managers;
    options.total_mem = std::uint64_t{16 << 20} * managers;
    options.name = name;
    return options;
}

/// Of every kind.
void fill(const Dictionary& dict, int count) {
    for (int i = 0; i < count; ++i)
        dict.put("key " + std::to_string(i), "value " + std::to_string(i));
    for (std::int64_t i = 0; i < 50; ++i)
        dict.put(i, i * i);
    dict.put("large", std::string(3 << 20, 'l'));
    dict.put("empty", "");
    dict.bput("everywhere", "b");
    dict.placed_at([](KeyBytes) { return 1U; }).put("placed", "by hand");
}

void expect_filled(const View& dict, int count) {
    EXPECT_EQ(dict.size(), static_cast<std::uint64_t>(count) + 50 + 4);
    for (int i = 0; i < count; ++i)
        ASSERT_EQ(dict.get("key " + std::to_string(i)), "value " + std::to_string(i));
    for (std::int64_t i = 0; i < 50; ++i)
        ASSERT_EQ(dict.get<std::int64_t>(i), i * i);
    EXPECT_EQ(dict.get("large"), std::string(3 << 20, 'l'));
    EXPECT_EQ(dict.get("empty"), "");
    EXPECT_EQ(dict.bget("everywhere"), "b");
    EXPECT_EQ(dict.placed_at([](KeyBytes) { return 1U; }).get("placed"), "by hand");
}

TEST(CloneTest, TakesThePlaceOfEverythingOnAnyNumberOfManagers) {
    Dictionary source = Dictionary::create(of(3, "source"));
    fill(source, 5000);
    for (const std::uint32_t managers : {1U, 3U, 5U}) {
        Dictionary target = Dictionary::create(of(managers, "target"));
        target.put("old", "goes");
        target.bput("old of all", "goes too");
        source.clone_to(target);
        EXPECT_FALSE(target.contains("old"));
        EXPECT_EQ(code_of(target.try_bget("old of all")), Errc::not_found);
        expect_filled(target, 5000);
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            EXPECT_EQ(target.manager(manager).bget("everywhere"), "b");
        target.destroy();
    }
    expect_filled(source, 5000);
    source.destroy();
}

TEST(CloneTest, IsOfOneCheckpoint) {
    CreateOptions with_steps = of(2, "source");
    with_steps.working_set = 3;
    Dictionary source = Dictionary::create(with_steps);
    for (int step = 0; step < 3; ++step) {
        source.put("step", step);
        source.put("only " + std::to_string(step), step);
        if (step < 2) source.checkpoint();
    }
    with_steps.name = "target";
    Dictionary target = Dictionary::create(with_steps);
    source.clone_to(target, {.checkpoint = 1});
    EXPECT_EQ(target.checkpoint_id(), 1U);
    EXPECT_EQ(target.newest_checkpoint_id(), 1U);
    EXPECT_EQ(target.get<int>("step"), 1);
    EXPECT_EQ(target.size(), 3U);
    source.clone_to(target);
    EXPECT_EQ(target.checkpoint_id(), 2U);
    EXPECT_EQ(target.get<int>("step"), 2);
    EXPECT_EQ(code_of(target.at(1).try_get<int>("step")), Errc::checkpoint_retired);
    EXPECT_EQ(code_of(source.try_clone_to(target, {.checkpoint = 0})), Errc{}) << "is kept";
    target.destroy();
    source.destroy();
}

/// What is of a step only stays so.
TEST(CloneTest, KnowsWhatIsTransient) {
    CreateOptions waiting = of(2, "source");
    waiting.working_set = 2;
    waiting.wait_for_keys = true;
    Dictionary source = Dictionary::create(waiting);
    source.put("of the step", "t");
    source.persistent().put("of all", "p");
    Dictionary copy = source.copy();
    EXPECT_EQ(copy.name(), "source-copy");
    EXPECT_EQ(copy.manager_count(), 2U);
    EXPECT_EQ(copy.get("of the step"), "t");
    EXPECT_FALSE(copy.at(1).contains("of the step"));
    EXPECT_EQ(copy.at(1).get("of all"), "p");
    std::uint64_t transient = 0;
    for (const ManagerStats& one : copy.stats()) {
        EXPECT_TRUE(one.waits_for_keys);
        transient += one.transient_pairs;
    }
    EXPECT_EQ(transient, 1U);
    copy.destroy();
    source.destroy();
}

/// Also in a save, whether it was read in this node's memory or asked for.
TEST(CloneTest, ASaveKnowsWhatIsTransient) {
    CreateOptions waiting = of(2, "source");
    waiting.working_set = 2;
    waiting.wait_for_keys = true;
    const TemporaryFolder folder;
    Dictionary source = Dictionary::create(waiting);
    source.put("small", "s");
    source.put("medium", std::string(100'000, 'm'));
    source.put("large", std::string(2 << 20, 'l'));
    source.persistent().put("of all", "p");
    source.save((folder.path() / "here").string());
    AttachOptions by_messages;
    by_messages.local_reads = false;
    Dictionary::attach(source.handle(), by_messages).save((folder.path() / "asked").string());
    source.destroy();
    for (const char* how : {"here", "asked"}) {
        waiting.managers_per_node = 3;
        waiting.load = (folder.path() / how).string();
        Dictionary loaded = Dictionary::create(waiting);
        EXPECT_EQ(loaded.get("small"), "s") << how;
        EXPECT_EQ(loaded.get("medium"), std::string(100'000, 'm'));
        EXPECT_EQ(loaded.get("large"), std::string(2 << 20, 'l'));
        for (const char* key : {"small", "medium", "large"})
            EXPECT_FALSE(loaded.at(1).contains(key)) << key << ", " << how;
        EXPECT_EQ(loaded.at(1).get("of all"), "p") << how;
        loaded.destroy();
    }
}

TEST(CloneTest, WhatCannotFitIsRefusedBeforeAnythingIsChanged) {
    Dictionary source = Dictionary::create(of(2, "source"));
    fill(source, 1000);
    for (int i = 0; i < 15; ++i)
        source.put("more " + std::to_string(i), std::string(1 << 20, 'm'));
    Dictionary small = Dictionary::create(of(1, "small"));
    small.put("stays", "here");
    const Result<void> cloned = source.try_clone_to(small);
    ASSERT_FALSE(cloned);
    EXPECT_EQ(cloned.error().code, Errc::no_space);
    EXPECT_GT(cloned.error().need_bytes, cloned.error().have_bytes);
    EXPECT_FALSE(cloned.error().in_doubt);
    EXPECT_EQ(small.get("stays"), "here");
    small.freeze();
    EXPECT_EQ(code_of(source.try_clone_to(small)), Errc::frozen);
    small.unfreeze();
    EXPECT_EQ(code_of(source.try_clone_to(source)), Errc::invalid_argument);
    EXPECT_EQ(code_of(source.try_synchronize_from(source)), Errc::invalid_argument);
    Dictionary same = Dictionary::attach(source.handle());
    EXPECT_EQ(code_of(source.try_clone_to(same)), Errc::invalid_argument);
    CreateOptions too_small;
    too_small.total_mem = 4 << 20;
    EXPECT_EQ(code_of(source.try_copy(too_small)), Errc::no_space);
    small.destroy();
    // Two keys of one name on different managers do not fit onto one.
    source.placed_at([](KeyBytes) { return 0U; }).put("twice", "0");
    source.placed_at([](KeyBytes) { return 1U; }).put("twice", "1");
    Dictionary one = Dictionary::create({.total_mem = 128 << 20, .name = "one"});
    one.put("stays", "here");
    EXPECT_EQ(code_of(source.try_clone_to(one)), Errc::invalid_argument);
    EXPECT_EQ(one.get("stays"), "here");
    one.destroy();
    source.destroy();
}

TEST(CloneTest, WhoeverGoesOnWritingIsNotHeldUp) {
    Dictionary source = Dictionary::create(of(2, "source"));
    fill(source, 3000);
    Dictionary target = Dictionary::create(of(3, "target"));
    std::atomic<bool> ends{false};
    std::atomic<int> written{0};
    std::thread writer([&] {
        for (; !ends; ++written)
            source.put("changing", std::to_string(written));
    });
    for (int i = 0; i < 3; ++i)
        source.clone_to(target);
    ends = true;
    writer.join();
    EXPECT_GT(written, 0);
    target.erase("changing");
    expect_filled(target, 3000);
    target.destroy();
    source.destroy();
}

/// A manager whose pool has gone is filled from another dictionary that has had the same pairs.
TEST(SynchronizeTest, FillsTheManagersThatBeganEmpty) {
    Dictionary other = Dictionary::create(of(2, "other"));
    fill(other, 2000);
    const std::set<std::string> before = segments();
    CreateOptions options = of(3, "parallel");
    Dictionary first = Dictionary::create(options);
    fill(first, 2000);
    // It was not synchronized for a while: what is there is not overwritten.
    std::string of_another = "key 7";
    for (int i = 8; first.which_manager(of_another) == 1; ++i)
        of_another = "key " + std::to_string(i);
    first.put(of_another, "newer here");
    const std::uint64_t all = first.size();
    const std::uint64_t lost = first.manager(1).size();
    first.destroy({.keep_pools = true});
    for (const std::string& name : segments())
        if (!before.contains(name) && name.ends_with("-m1")) {
            ASSERT_EQ(::unlink(("/dev/shm/" + name).c_str()), 0);
        }
    options.resume = true;
    options.allow_empty = true;
    Dictionary resumed = Dictionary::create(options);
    ASSERT_EQ(resumed.empty_managers(), std::vector<std::uint32_t>{1});
    ASSERT_EQ(resumed.size(), all - lost);
    resumed.synchronize_from(other);
    EXPECT_EQ(resumed.get(of_another), "newer here");
    resumed.put(of_another, other.get(of_another));
    expect_filled(resumed, 2000);
    EXPECT_EQ(code_of(other.try_synchronize_from(resumed)), Errc::invalid_argument)
        << "it began empty itself, and is still known as such";
    EXPECT_TRUE(other.try_synchronize_from(Dictionary::attach(other.handle())).error().code ==
                Errc::invalid_argument);
    resumed.destroy();
    other.destroy();
}

}  // namespace
}  // namespace ddict
