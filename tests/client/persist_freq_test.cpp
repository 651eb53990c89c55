// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints that are persisted by themselves: by a process beside the managers, or by one of the program's.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <ddict/dictionary.h>

#include "tests/client/shared_dictionary.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

using Ids = std::vector<std::uint32_t>;
using Order = PersistEveryOptions::Order;

bool comes_true(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + 40s;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(20ms);
    }
    return true;
}

class PersistFreqTest : public testing::Test {
  protected:
    CreateOptions options() const {
        CreateOptions options;
        options.managers_per_node = 2;
        options.total_mem = 64 << 20;
        options.name = "steps";
        options.working_set = 2;
        options.persist_path = dir_;
        return options;
    }
    static void write_step(const Dictionary& dict, std::uint32_t step) {
        for (int i = 0; i < 50; ++i)
            dict.put("key " + std::to_string(i), "of step " + std::to_string(step));
        dict.put("only " + std::to_string(step), "x");
    }
    /// Each key has the value of that step, and there are as many as there were.
    void expect_step(std::uint32_t step) const {
        const std::vector<CheckpointInfo> all = Checkpoints::list(dir_).value();
        for (const CheckpointInfo& info : all) {
            if (info.checkpoint != step || info.state != CheckpointState::committed) continue;
            std::map<std::string, std::string> pairs;
            ASSERT_TRUE(Checkpoints::for_each(info.path, [&](const CheckpointPair& pair) -> Result<void> {
                const auto key = pair.key.bytes();
                pairs[std::string(reinterpret_cast<const char*>(key.data()), key.size())] =
                    std::string(reinterpret_cast<const char*>(pair.value.data()), pair.value.size());
                return {};
            }));
            EXPECT_EQ(pairs.size(), 50 + step + 1) << "step " << step;
            for (const auto& [key, value] : pairs) {
                if (key.starts_with("key ")) {
                    EXPECT_EQ(value, "of step " + std::to_string(step)) << key;
                }
            }
            return;
        }
        FAIL() << "step " << step << " is not there";
    }

    const TemporaryFolder folder_;
    const std::string dir_ = folder_.path().string();
};

TEST_F(PersistFreqTest, EveryThirdIsPersistedOnceItIsRetired) {
    CreateOptions with_freq = options();
    with_freq.persist_freq = 3;
    Dictionary dict = Dictionary::create(with_freq);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
    EXPECT_EQ(dict.persist_status().every, 3U);
    for (std::uint32_t step = 0; step <= 8; ++step, dict.checkpoint()) {
        write_step(dict, step);
        // Not before newer ones have retired it, and then at once.
        const std::uint64_t due = step < 2 ? 0 : (step - 2) / 3 + 1;
        ASSERT_TRUE(comes_true([&] { return dict.persist_status().persisted >= due; })) << "step " << step;
        EXPECT_EQ(dict.persist_status().persisted, due);
    }
    EXPECT_EQ(dict.persisted_ids(), (Ids{0, 3, 6}));
    for (const std::uint32_t step : {0U, 3U, 6U})
        expect_step(step);
    const PersistStatus status = dict.persist_status();
    EXPECT_EQ(status.last_persisted, 6U);
    EXPECT_EQ(status.overtaken + status.failed, 0U);
    EXPECT_FALSE(status.error);
    EXPECT_FALSE(status.last_missed);
    dict.destroy();
}

TEST_F(PersistFreqTest, SoManyStayAsAreToStay) {
    CreateOptions with_freq = options();
    with_freq.persist_freq = 1;
    with_freq.persist_count = 2;
    with_freq.working_set = 1;
    Dictionary dict = Dictionary::create(with_freq);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
    for (std::uint32_t step = 0; step <= 5; ++step, dict.checkpoint()) {
        write_step(dict, step);
        ASSERT_TRUE(comes_true([&] { return dict.persist_status().persisted == step; })) << "step " << step;
    }
    EXPECT_EQ(dict.persisted_ids(), (Ids{3, 4}));
    expect_step(4);
    dict.destroy();
}

/// What was accepted at a checkpoint is in what is persisted of it, on every manager.
TEST_F(PersistFreqTest, NobodyChangesOneThatIsBeingWritten) {
    Dictionary dict = Dictionary::create(options());
    std::atomic<bool> in_save{false};
    std::atomic<bool> go_on{false};
    std::atomic<Order> order{Order::go_on};
    const Dictionary other = Dictionary::attach(dict.handle());
    std::thread persists([&] {
        PersistEveryOptions every{.every = 1};
        every.order = [&] { return order.load(); };
        every.on_persisted = [&](const CheckpointInfo&) {
            in_save = true;
            while (!go_on)
                std::this_thread::sleep_for(1ms);
        };
        EXPECT_TRUE(other.try_persist_every(every));
    });
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
    // The key of the other manager is written at step 0 only: that manager knows of no other step.
    std::string near = "a";
    while (dict.which_manager(near) != 0)
        near += 'a';
    std::string far = "b";
    while (dict.which_manager(far) != 1)
        far += 'b';
    dict.at(0).put(far, "0");
    for (std::uint32_t step = 0; step <= 2; ++step)
        dict.at(step).put(near, std::to_string(step));
    ASSERT_TRUE(comes_true([&] { return in_save.load(); }));
    EXPECT_EQ(code_of(dict.at(0).try_put(far, "late")), Errc::checkpoint_retired);
    EXPECT_EQ(code_of(dict.at(0).try_put(near, "late")), Errc::checkpoint_retired);
    EXPECT_TRUE(dict.at(newest_checkpoint).try_put(far, "goes on"));
    order = Order::stop;
    go_on = true;
    persists.join();
    dict.restore(0);
    EXPECT_EQ(dict.get(near), "0");
    EXPECT_EQ(dict.get(far), "0");
    dict.destroy();
}

/// Whoever writes never waits for the file system: what cannot be held is overtaken, and said so.
TEST_F(PersistFreqTest, AFileSystemThatHangsHoldsNobodyUp) {
    CreateOptions slow = options();
    slow.persist_freq = 1;
    Dictionary dict = Dictionary::create(slow);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
    // Saves of this name wait for it: 10 s each.
    fs::create_directories(fs::path(dir_) / "steps");
    const int lock = ::open((fs::path(dir_) / "steps/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    ASSERT_EQ(::flock(lock, LOCK_EX), 0);
    const auto began = std::chrono::steady_clock::now();
    for (std::uint32_t step = 0; step <= 4; ++step, dict.checkpoint())
        write_step(dict, step);
    ASSERT_TRUE(comes_true([&] { return dict.stats(0).held_checkpoint; })) << "0 is held";
    EXPECT_EQ(dict.at(0).get("key 1"), "of step 0") << "what is held is read";
    for (std::uint32_t step = 5; step <= 20; ++step, dict.checkpoint())
        write_step(dict, step);
    EXPECT_LT(std::chrono::steady_clock::now() - began, 8s) << "nobody has waited";
    EXPECT_FALSE(dict.stats(0).held_checkpoint);
    ::close(lock);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().overtaken >= 19; }));
    const PersistStatus status = dict.persist_status();
    EXPECT_EQ(status.persisted + status.overtaken, 19U) << "0 to 18 are retired";
    ASSERT_TRUE(status.error);
    EXPECT_EQ(status.error->code, Errc::checkpoint_retired);
    for (std::uint32_t step = 21; step <= 23; ++step, dict.checkpoint())
        write_step(dict, step);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().last_persisted == 21U; })) << "it goes on";
    expect_step(21);
    dict.destroy();
}

TEST_F(PersistFreqTest, WantOfMemoryEndsAHoldAndFailsNobody) {
    CreateOptions small = options();
    small.managers_per_node = 1;
    small.total_mem = 8 << 20;
    Dictionary dict = Dictionary::create(small);
    std::atomic<Order> order{Order::go_on};
    std::atomic<int> missed{0};
    const Dictionary other = Dictionary::attach(dict.handle());
    fs::create_directories(fs::path(dir_) / "steps");
    const int lock = ::open((fs::path(dir_) / "steps/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    ASSERT_EQ(::flock(lock, LOCK_EX), 0);
    std::thread persists([&] {
        PersistEveryOptions every{.every = 100};
        every.order = [&] { return order.load(); };
        every.on_missed = [&](std::uint32_t id, const Error& error) {
            EXPECT_EQ(id, 0U);
            EXPECT_EQ(error.code, Errc::checkpoint_retired);
            ++missed;
        };
        EXPECT_TRUE(other.try_persist_every(every));
    });
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
    // Two steps fit, and three do not.
    for (std::uint32_t step = 0; step < 6; ++step, dict.checkpoint())
        for (int i = 0; i < 20; ++i)
            dict.put("large " + std::to_string(i), std::string(100'000, static_cast<char>('a' + step)));
    EXPECT_EQ(dict.get("large 7"), std::string(100'000, 'f'));
    ::close(lock);
    EXPECT_TRUE(comes_true([&] { return missed == 1; }));
    order = Order::stop;
    persists.join();
    EXPECT_EQ(dict.persisted_ids(), Ids());
    dict.destroy();
}

TEST_F(PersistFreqTest, WhatCannotBeWrittenIsToldAndStopsNobody) {
    CreateOptions with_freq = options();
    with_freq.persist_freq = 2;
    Dictionary dict = Dictionary::create(with_freq);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
    // A file is where the folder of the dictionary is to be.
    fs::rename(fs::path(dir_) / "steps", fs::path(dir_) / "elsewhere");
    ASSERT_EQ(::close(::creat((fs::path(dir_) / "steps").c_str(), 0666)), 0);
    for (std::uint32_t step = 0; step <= 2; ++step, dict.checkpoint())
        write_step(dict, step);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().failed == 1; }));
    PersistStatus status = dict.persist_status();
    EXPECT_EQ(status.last_missed, 0U);
    ASSERT_TRUE(status.error);
    EXPECT_EQ(status.error->code, Errc::system);
    EXPECT_NE(std::string(status.error->detail.data()).find("steps"), std::string::npos);
    EXPECT_TRUE(status.running);
    fs::remove(fs::path(dir_) / "steps");
    fs::rename(fs::path(dir_) / "elsewhere", fs::path(dir_) / "steps");
    for (std::uint32_t step = 3; step <= 4; ++step, dict.checkpoint())
        write_step(dict, step);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().last_persisted == 2U; }));
    expect_step(2);
    dict.destroy();
}

TEST_F(PersistFreqTest, GoesOnAfterARestoreAndAKilledManager) {
    CreateOptions with_freq = options();
    with_freq.persist_freq = 2;
    Dictionary dict = Dictionary::create(with_freq);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
    for (std::uint32_t step = 0; step <= 6; ++step, dict.checkpoint()) {
        write_step(dict, step);
        ASSERT_TRUE(comes_true([&] { return dict.persist_status().persisted >= step / 2; }));
    }
    EXPECT_EQ(dict.persist_status().persisted, 3U);
    dict.restart(1);
    dict.restore(2);
    for (std::uint32_t step = 3; step <= 6; ++step) {
        dict.checkpoint();
        write_step(dict, step);
        ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
        std::this_thread::sleep_for(300ms);  // a step takes its time
    }
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().persisted == 5U; })) << "2 and 4 again";
    EXPECT_EQ(dict.persist_status().last_persisted, 4U);
    expect_step(4);
    EXPECT_EQ(dict.persist_status().overtaken + dict.persist_status().failed, 0U);
    dict.destroy();
}

/// Keys of a step that wait for the next: it is persisted when all of them are there.
TEST_F(PersistFreqTest, WhereCheckpointsWaitForKeys) {
    CreateOptions waiting = options();
    waiting.persist_freq = 1;
    waiting.wait_for_keys = true;
    Dictionary dict = Dictionary::create(waiting);
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().running; }));
    for (std::uint32_t step = 0; step <= 3; ++step, dict.checkpoint())
        for (int i = 0; i < 50; ++i)
            dict.put("key " + std::to_string(i), "of step " + std::to_string(step));
    ASSERT_TRUE(comes_true([&] { return dict.persist_status().last_persisted == 1U; }));
    EXPECT_EQ(dict.persisted_ids(), (Ids{0, 1}));
    EXPECT_EQ(dict.stats(0).transient_pairs + dict.stats(1).transient_pairs, 100U);
    dict.destroy();
}

TEST_F(PersistFreqTest, NeedsAPathThatIsWrittenTo) {
    CreateOptions without = options();
    without.persist_path.clear();
    without.persist_freq = 2;
    EXPECT_EQ(code_of(Dictionary::try_create(without)), Errc::invalid_argument);
    without.persist_freq = 0;
    Dictionary dict = Dictionary::create(without);
    EXPECT_EQ(code_of(dict.try_persist_every({.every = 1})), Errc::invalid_argument);
    EXPECT_EQ(dict.persist_status().every, 0U) << "there is nothing of the kind";
    dict.destroy();
    CreateOptions with = options();
    Dictionary writes = Dictionary::create(with);
    EXPECT_EQ(code_of(writes.try_persist_every({.every = 0})), Errc::invalid_argument);
    writes.put("a", "1");
    writes.persist();
    writes.destroy();
    with.restore_from = 0;
    with.read_only = true;
    Dictionary reads = Dictionary::create(with);
    EXPECT_EQ(code_of(reads.try_persist_every({.every = 1})), Errc::frozen);
    reads.destroy();
}

}  // namespace
}  // namespace ddict
