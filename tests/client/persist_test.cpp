// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A dictionary that is persisted, checkpoint by checkpoint, and restored.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
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

using Ids = std::vector<std::uint32_t>;

class PersistTest : public testing::Test {
  protected:
    CreateOptions options(const std::string& name = "steps") const {
        CreateOptions options;
        options.managers_per_node = 2;
        options.total_mem = 64 << 20;
        options.name = name;
        options.working_set = 3;
        options.persist_path = dir_;
        return options;
    }
    static std::map<std::string, std::string> pairs_of(const View& view) {
        std::map<std::string, std::string> pairs;
        for (const auto& [key, value] : view.items<std::string, std::string>())
            pairs[key] = value;
        return pairs;
    }
    /// Of those pairs whose values are texts.
    static std::map<std::string, std::string> pairs_of_texts(const View& view) {
        std::map<std::string, std::string> pairs;
        for (const std::string& key : view.keys()) {
            if (const Result<std::string> value = view.try_get(key)) pairs[key] = *value;
        }
        return pairs;
    }
    /// Each step writes over one key, adds one, and removes one of two steps ago.
    static void write_step(const Dictionary& dict, std::uint32_t step) {
        dict.put("field", "of step " + std::to_string(step));
        for (int i = 0; i < 20; ++i)
            dict.put("new " + std::to_string(step) + "." + std::to_string(i), std::string(1000, 'v'));
        if (step >= 2) dict.erase_prefix("new " + std::to_string(step - 2) + ".");
    }

    const TemporaryFolder folder_;
    const std::string dir_ = folder_.path().string();
};

TEST_F(PersistTest, AnyStepIsRestoredAndGoneOnFrom) {
    Dictionary dict = Dictionary::create(options());
    EXPECT_EQ(dict.persist_path(), dir_);
    EXPECT_EQ(dict.persisted_ids(), Ids());
    std::vector<std::map<std::string, std::string>> steps;
    dict.put("constant", "of all");
    for (std::uint32_t step = 0; step < 6; ++step) {
        write_step(dict, step);
        const CheckpointInfo info = dict.persist();
        EXPECT_EQ(info.checkpoint, step);
        steps.push_back(pairs_of(dict));
        EXPECT_EQ(info.pairs, steps.back().size());
        dict.checkpoint();
    }
    EXPECT_EQ(dict.persisted_ids(), (Ids{0, 1, 2, 3, 4, 5}));
    for (const std::uint32_t step : {2U, 5U, 0U, 4U, 1U}) {
        EXPECT_EQ(dict.restore(step).checkpoint, step);
        EXPECT_EQ(pairs_of(dict), steps[step]) << "step " << step;
        EXPECT_EQ(dict.checkpoint_id(), step);
        EXPECT_EQ(dict.newest_checkpoint_id(), step);
        if (step > 0) {
            EXPECT_EQ(code_of(dict.at(step - 1).try_get("field")), Errc::checkpoint_retired);
        }
    }
    // Another way from step 1 on: what it makes takes the place of what was, and nothing else goes.
    EXPECT_EQ(dict.checkpoint(), 2U);
    dict.put("field", "another");
    dict.persist();
    EXPECT_EQ(dict.at(1).get("field"), "of step 1");
    EXPECT_EQ(dict.persisted_ids(), (Ids{0, 1, 2, 3, 4, 5}));
    dict.restore(5);
    dict.restore(2);
    EXPECT_EQ(dict.get("field"), "another");
    EXPECT_EQ(Checkpoints::list(dir_)->size(), 6U) << "what was replaced is gone";
    dict.destroy();
}

/// Also what was written at an older one, and whichever of the working set it is.
TEST_F(PersistTest, ACheckpointIsCompleteWhicheverItIs) {
    Dictionary dict = Dictionary::create(options());
    dict.put("a", "0");
    dict.put("b", "0");
    dict.checkpoint();
    dict.put("b", "1");
    dict.checkpoint();
    dict.put("c", "2");
    EXPECT_EQ(dict.persist({.checkpoint = 1}).checkpoint, 1U);
    EXPECT_EQ(dict.persist({.checkpoint = newest_checkpoint}).checkpoint, 2U);
    dict.restore(1);
    EXPECT_EQ(pairs_of(dict), (std::map<std::string, std::string>{{"a", "0"}, {"b", "1"}}));
    dict.restore(2);
    EXPECT_EQ(pairs_of(dict), (std::map<std::string, std::string>{{"a", "0"}, {"b", "1"}, {"c", "2"}}));
    dict.set_checkpoint_id(5);
    dict.put("d", "5");
    EXPECT_EQ(code_of(dict.try_persist({.checkpoint = 2})), Errc::checkpoint_retired);
    EXPECT_EQ(dict.persisted_ids(), (Ids{1, 2}));
    dict.destroy();
}

TEST_F(PersistTest, KeysOfAllKindsComeBack) {
    Dictionary dict = Dictionary::create(options());
    dict.put(7, 1.5);
    dict.fetch_add("counter", 42);
    dict.bput("everywhere", "broadcast");
    dict.manager(1).put("on one", "by number");
    dict.put("large", std::string(3 << 20, 'l'));
    dict.persist();
    dict.bput("everywhere", "another");
    dict.bput("newer", "goes");
    dict.restore(0);
    EXPECT_EQ(dict.get<double>(7), 1.5);
    EXPECT_EQ(dict.fetch_add("counter", 1), 42);
    EXPECT_EQ(dict.bget("everywhere"), "broadcast");
    EXPECT_EQ(code_of(dict.try_bget("newer")), Errc::not_found);
    EXPECT_EQ(dict.manager(1).get("on one"), "by number");
    EXPECT_EQ(dict.get("large").size(), 3U << 20);
    EXPECT_EQ(dict.size(), 5U);
    dict.destroy();
}

TEST_F(PersistTest, ADictionaryBeginsWithOneOnAnyNumberOfManagers) {
    Dictionary first = Dictionary::create(options());
    first.set_checkpoint_id(7);
    write_step(first, 7);
    first.persist();
    const auto pairs = pairs_of(first);
    first.destroy();
    CreateOptions other = options();
    other.managers_per_node = 3;
    other.restore_from = 7;
    Dictionary second = Dictionary::create(other);
    EXPECT_EQ(pairs_of(second), pairs);
    EXPECT_EQ(second.checkpoint_id(), 7U);
    EXPECT_EQ(code_of(second.at(6).try_get("field")), Errc::checkpoint_retired);
    // Whoever attaches knows where it is persisted.
    Dictionary client = Dictionary::attach(second.handle());
    EXPECT_EQ(client.persist_path(), dir_);
    EXPECT_EQ(client.persisted_ids(), Ids{7});
    client.sync_to_newest_checkpoint();
    EXPECT_EQ(client.persist().checkpoint, 7U);
    client.detach();
    second.destroy();
    other.restore_from = 8;
    const Result<Dictionary> none = Dictionary::try_create(other);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::not_found);
    EXPECT_NE(none.error().message().find("checkpoint 8 is not in " + dir_ + "/steps, which has 7"),
              std::string::npos)
        << none.error().message();
    other.load = dir_;
    EXPECT_EQ(code_of(Dictionary::try_create(other)), Errc::invalid_argument) << "two ways to begin";
}

TEST_F(PersistTest, WhatCannotBeRestoredChangesNothing) {
    Dictionary dict = Dictionary::create(options());
    dict.put("key", "kept");
    EXPECT_EQ(code_of(dict.try_restore(0)), Errc::not_found) << "nothing is persisted";
    for (int i = 0; i < 40; ++i)
        dict.put("large " + std::to_string(i), std::string(1 << 20, 'v'));
    dict.persist();
    const auto pairs = pairs_of(dict);
    EXPECT_EQ(code_of(dict.try_restore(1)), Errc::not_found);
    dict.freeze();
    EXPECT_EQ(code_of(dict.try_restore(0)), Errc::frozen);
    dict.unfreeze();
    EXPECT_EQ(pairs_of(dict), pairs);
    // All that it has is no hindrance: it goes.
    EXPECT_EQ(dict.restore(0).pairs, pairs.size());
    EXPECT_EQ(pairs_of(dict), pairs);
    dict.destroy();
    CreateOptions small = options();
    small.total_mem = 32 << 20;
    Dictionary other = Dictionary::create(small);
    other.put("key", "of the small one");
    const Result<CheckpointInfo> restored = other.try_restore(0);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, Errc::no_space);
    EXPECT_GT(restored.error().need_bytes, restored.error().have_bytes);
    EXPECT_FALSE(restored.error().in_doubt);
    EXPECT_EQ(pairs_of(other), (std::map<std::string, std::string>{{"key", "of the small one"}}));
    // Damaged: known by its files, and noticed before anything is changed.
    fs::resize_file(dir_ + "/steps/000001/manager-000000.ddict", 5000);
    EXPECT_EQ(code_of(other.try_restore(0)), Errc::protocol);
    fs::resize_file(dir_ + "/steps/000001/commit", 20);
    EXPECT_EQ(other.persisted_ids(), Ids());
    const Result<CheckpointInfo> damaged = other.try_restore(0);
    ASSERT_FALSE(damaged);
    EXPECT_NE(damaged.error().message().find("000001 is damaged"), std::string::npos);
    EXPECT_EQ(other.get("key"), "of the small one");
    other.destroy();
}

TEST_F(PersistTest, WithoutAPersistPathAllOfItIsRefused) {
    CreateOptions without = options();
    without.persist_path.clear();
    Dictionary dict = Dictionary::create(without);
    EXPECT_EQ(dict.persist_path(), "");
    EXPECT_EQ(code_of(dict.try_persist()), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict.try_persisted_ids()), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict.try_restore(0)), Errc::invalid_argument);
    dict.destroy();
    EXPECT_EQ(code_of(dict.try_persisted_ids()), Errc::not_attached);
    without.persist_count = 2;
    EXPECT_EQ(code_of(Dictionary::try_create(without)), Errc::invalid_argument);
}

TEST_F(PersistTest, SoManyStayAsAreToStay) {
    CreateOptions two = options();
    two.persist_count = 2;
    Dictionary dict = Dictionary::create(two);
    for (std::uint32_t step = 0; step < 5; ++step) {
        write_step(dict, step);
        dict.persist();
        dict.persist();  // once more of the same: it counts once
        dict.checkpoint();
    }
    EXPECT_EQ(dict.persisted_ids(), (Ids{3, 4}));
    // The newest are those that were persisted last, whatever their ids.
    dict.restore(3);
    dict.set_checkpoint_id(3);
    dict.persist();
    EXPECT_EQ(dict.persisted_ids(), (Ids{3, 4}));
    dict.persist({.keep = 1});
    EXPECT_EQ(dict.persisted_ids(), Ids{3});
    dict.destroy();
}

/// A relative path is that of the one who creates the dictionary, wherever it or others go.
TEST_F(PersistTest, APathIsThatOfTheCreator) {
    const fs::path before = fs::current_path();
    fs::current_path(dir_);
    CreateOptions relative = options();
    relative.persist_path = "below";
    Dictionary dict = Dictionary::create(relative);
    fs::current_path("/");
    dict.put("key", "value");
    dict.persist();
    EXPECT_EQ(dict.persist_path(), dir_ + "/below");
    EXPECT_TRUE(fs::exists(dir_ + "/below/steps/000001/commit"));
    EXPECT_EQ(dict.persisted_ids(), Ids{0});
    fs::current_path(before);
    dict.destroy();
}

TEST_F(PersistTest, AFolderThatCannotBeWrittenIsRefusedAtOnce) {
    CreateOptions refused = options();
    refused.persist_path = "/proc";
    EXPECT_EQ(code_of(Dictionary::try_create(refused)), Errc::system);
    refused.persist_path = dir_ + "/no/such";
    EXPECT_EQ(code_of(Dictionary::try_create(refused)), Errc::system);
    std::ofstream(dir_ + "/file") << "x";
    refused.persist_path = dir_ + "/file";
    EXPECT_EQ(code_of(Dictionary::try_create(refused)), Errc::system);
    if (::geteuid() == 0) return;  // who may write everywhere
    Dictionary dict = Dictionary::create(options());
    dict.persist();
    fs::permissions(dir_ + "/steps", fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_EQ(code_of(dict.try_persist()), Errc::system);
    EXPECT_EQ(dict.persisted_ids(), Ids{0});
    fs::permissions(dir_ + "/steps", fs::perms::owner_all);
    dict.destroy();
}

TEST_F(PersistTest, NamesThatBeginAlikeHaveNothingInCommon) {
    CreateOptions one = options("a");
    one.persist_count = 1;
    Dictionary a = Dictionary::create(one);
    Dictionary ab = Dictionary::create(options("a_b"));
    for (std::uint32_t step = 0; step < 3; ++step) {
        for (const Dictionary* dict : {&a, &ab}) {
            dict->put("whose", dict->name());
            dict->persist();
        }
        a.checkpoint();
        ab.checkpoint();
    }
    EXPECT_EQ(a.persisted_ids(), Ids{2});
    EXPECT_EQ(ab.persisted_ids(), (Ids{0, 1, 2}));
    a.restore(2);
    EXPECT_EQ(a.get("whose"), "a");
    ab.restore(0);
    EXPECT_EQ(ab.get("whose"), "a_b");
    EXPECT_EQ(ab.persisted_ids(), (Ids{0, 1, 2}));
    a.destroy();
    ab.destroy();
}

TEST_F(PersistTest, OneDictionaryAtATimeHasAFolderUnderOneName) {
    Dictionary dict = Dictionary::create(options());
    const Result<Dictionary> second = Dictionary::try_create(options());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::busy);
    EXPECT_NE(second.error().message().find(dir_), std::string::npos) << second.error().message();
    Dictionary other = Dictionary::create(options("other"));
    other.destroy();
    dict.destroy();
    Dictionary::create(options()).destroy();
}

/// A process that is killed while it persists leaves those that are there, and nothing of its own.
TEST_F(PersistTest, AKilledPersistIsNone) {
    Dictionary dict = Dictionary::create(options());
    write_step(dict, 0);
    dict.persist();
    const auto pairs = pairs_of(dict);
    dict.checkpoint();
    for (int i = 0; i < 40; ++i)
        dict.put("large " + std::to_string(i), std::string(1 << 20, 'v'));
    int killed = 0;
    for (bool is_killed = true; is_killed; killed += is_killed ? 1 : 0) {
        const pid_t child = ::fork();
        if (child == 0) {
            Dictionary client = Dictionary::attach(dict.handle());
            client.set_checkpoint_id(1);
            int left = killed;  // calls before it
            client.persist({.progress = [&](const CheckpointProgress&) {
                if (left-- == 0) ::kill(::getpid(), SIGKILL);
                return true;
            }});
            ::_exit(0);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        is_killed = WIFSIGNALED(status);
        EXPECT_EQ(dict.persisted_ids(), (is_killed ? Ids{0} : Ids{0, 1}));
    }
    EXPECT_GE(killed, 2);
    EXPECT_EQ(Checkpoints::list(dir_)->size(), 2U) << "what the dead have left is gone";
    dict.restore(0);
    EXPECT_EQ(pairs_of(dict), pairs);
    dict.destroy();
}

/// What a process that was killed has restored in part is restored whole by the next one; meanwhile nobody
/// writes to a dictionary that is read-only.
TEST_F(PersistTest, AKilledRestoreIsMadeGoodByTheNext) {
    Dictionary writer = Dictionary::create(options());
    for (int i = 0; i < 20; ++i)
        writer.put("large " + std::to_string(i), std::string(1 << 20, 'v'));
    writer.persist();
    const auto pairs = pairs_of(writer);
    CreateOptions reading = options();
    reading.read_only = true;
    reading.restore_from = 0;
    Dictionary reader = Dictionary::create(reading);
    for (Dictionary* dict : {&writer, &reader}) {
        const pid_t child = ::fork();
        if (child == 0) {
            Dictionary client = Dictionary::attach(dict->handle());
            // With the first extent, while that of the other manager may be stored already, and one is not.
            client.restore(0, {.progress = [&](const CheckpointProgress&) {
                               ::kill(::getpid(), SIGKILL);
                               return true;
                           }});
            ::_exit(0);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status));
        EXPECT_LT(dict->size(), pairs.size());
        EXPECT_EQ(code_of(dict->try_put("key", "x")), dict == &reader ? Errc::frozen : Errc{});
        EXPECT_EQ(dict->restore(0).pairs, pairs.size());
        EXPECT_EQ(pairs_of(*dict), pairs);
    }
    reader.destroy();
    writer.destroy();
}

/// All that would change a pair is refused, whoever asks and however; and nothing is written to its folder.
TEST_F(PersistTest, AReadOnlyDictionaryIsOnlyRestored) {
    Dictionary writer = Dictionary::create(options());
    for (std::uint32_t step = 0; step < 4; ++step) {
        write_step(writer, step);
        writer.put("counter", std::int64_t{step});
        writer.bput("everywhere", std::to_string(step));
        if (step != 2) writer.persist();
        writer.checkpoint();
    }
    CreateOptions reading = options();
    reading.read_only = true;
    EXPECT_EQ(code_of(Dictionary::try_create(reading)), Errc::invalid_argument) << "what is there to read?";
    reading.restore_from = 0;
    Dictionary reader = Dictionary::create(reading);  // while the other one has the folder
    EXPECT_TRUE(reader.is_read_only());
    EXPECT_FALSE(writer.is_read_only());
    Dictionary client = Dictionary::attach(reader.handle());
    const auto pairs = pairs_of_texts(reader);
    for (const Dictionary* dict : {&reader, &client}) {
        EXPECT_EQ(code_of(dict->try_put("field", "x")), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_put("large", std::string(1 << 20, 'l'))), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_erase("field")), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_pop("field")), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_fetch_add("counter", 1)), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_append("field", "x")), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_bput("everywhere", "x")), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_berase("everywhere")), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_clear()), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_erase_prefix("new")), Errc::frozen);
        const auto erased = dict->try_multi_erase(std::vector<std::string>{"field"});
        ASSERT_EQ(erased.size(), 1U);
        EXPECT_EQ(erased[0].code, Errc::frozen);
        EXPECT_EQ(code_of(dict->put_async("field", "x").try_wait()), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_unfreeze()), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_load(dir_)), Errc::frozen);
        EXPECT_EQ(code_of(dict->try_persist()), Errc::frozen);
        const Result<void> put = dict->try_put("field", "x");
        EXPECT_FALSE(put.error().in_doubt);
        EXPECT_NE(put.error().message().find("read-only"), std::string::npos) << put.error().message();
    }
    EXPECT_EQ(pairs_of_texts(reader), pairs);
    EXPECT_EQ(reader.get<std::int64_t>("counter"), 0);
    EXPECT_TRUE(reader.is_frozen()) << "so that values may be used where they are";
    // From one to the next, also of those that come later.
    EXPECT_EQ(reader.advance().checkpoint, 1U);
    EXPECT_EQ(reader.get<std::int64_t>("counter"), 1);
    EXPECT_EQ(reader.bget("everywhere"), "1");
    EXPECT_EQ(reader.advance().checkpoint, 3U);
    const Result<CheckpointInfo> end = reader.try_advance();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, Errc::not_found);
    EXPECT_NE(end.error().message().find("no checkpoint after 3"), std::string::npos)
        << end.error().message();
    EXPECT_EQ(reader.checkpoint_id(), 3U);
    write_step(writer, 4);
    writer.put("counter", std::int64_t{4});
    writer.persist();
    EXPECT_EQ(reader.advance().checkpoint, 4U);
    EXPECT_EQ(code_of(client.try_get("field")), Errc::checkpoint_retired);
    client.sync_to_newest_checkpoint();
    EXPECT_EQ(client.get<std::int64_t>("counter"), 4);
    EXPECT_EQ(client.restore(1).checkpoint, 1U) << "any client may, and any checkpoint";
    EXPECT_EQ(code_of(client.try_put("field", "x")), Errc::frozen);
    EXPECT_EQ(code_of(writer.try_advance()), Errc::invalid_argument);
    EXPECT_EQ(writer.persisted_ids(), (Ids{0, 1, 3, 4}));
    client.detach();
    reader.destroy();
    writer.destroy();
}

/// Managers are not frozen while a dictionary is restored; clients know what it is all the same.
TEST_F(PersistTest, NobodyWritesWhileAReadOnlyDictionaryIsRestored) {
    Dictionary writer = Dictionary::create(options());
    for (int i = 0; i < 2000; ++i)
        writer.put("key " + std::to_string(i), std::string(1000, 'v'));
    writer.persist();
    writer.destroy();
    CreateOptions reading = options();
    reading.read_only = true;
    reading.restore_from = 0;
    Dictionary reader = Dictionary::create(reading);
    Dictionary other = Dictionary::attach(reader.handle());
    std::atomic<bool> ended{false};
    std::atomic<int> refused{0};
    std::thread putting([&] {
        while (!ended)
            refused += code_of(other.try_put("another", "x")) == Errc::frozen ? 1 : 1'000'000;
    });
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(reader.restore(0).pairs, 2000U);
        EXPECT_EQ(reader.size(), 2000U);
    }
    ended = true;
    putting.join();
    EXPECT_GT(refused, 0);
    EXPECT_LT(refused, 1'000'000);
    reader.destroy();
}

/// Whoever asks for nothing to be stored gets nothing.
TEST_F(PersistTest, AStoppedPersistIsNone) {
    Dictionary dict = Dictionary::create(options());
    dict.put("key", std::string(1 << 20, 'v'));
    const Result<CheckpointInfo> stopped =
        dict.try_persist({.progress = [](const CheckpointProgress&) { return false; }});
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Errc::timeout);
    EXPECT_EQ(stopped.error().operation, Operation::persist);
    EXPECT_EQ(dict.persisted_ids(), Ids());
    dict.destroy();
}

}  // namespace
}  // namespace ddict
