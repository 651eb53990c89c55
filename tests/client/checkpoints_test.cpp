// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A dictionary that is saved, and loaded into others with other numbers of managers.
#include <ddict/checkpoint.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "tests/client/shared_dictionary.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

namespace fs = std::filesystem;

/// By type and bytes of the key: type and bytes of the value.
using Pairs = std::map<std::pair<std::uint16_t, std::string>, std::pair<std::uint16_t, std::string>>;

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Pairs pairs_of(const View& view) {
    Pairs pairs;
    Cursor walk = view.cursor({.values = true});
    while (walk.next().value()) {
        pairs[{walk.key_type(), text_of(walk.key())}] = {walk.value_type(), text_of(walk.value())};
    }
    return pairs;
}

class CheckpointsTest : public SharedDictionaryTest {
  protected:
    /// Of all kinds.
    static void fill(const View& dict) {
        for (int i = 0; i < 3000; ++i)
            dict.put("small " + std::to_string(i), std::string(static_cast<std::size_t>(i % 50), 'v'));
        for (int i = 0; i < 100; ++i) {
            dict.put(i, i * 1.5);
            dict.put(i + 0.25, std::vector<double>{1, 2, static_cast<double>(i)});
        }
        for (const std::size_t bytes :
             {4095U, 4096U, 4097U, 16'385U, 65'536U, 1U << 20, (1U << 20) + 1, 3U << 20})
            dict.put("large " + std::to_string(bytes), std::string(bytes, 'l'));
        dict.put("empty", "");
        dict.fetch_add("counter", 42);
        dict.bput("everywhere", "broadcast");
        dict.manager(2).put("on two", "by number");
        dict.placed_by([](KeyBytes) { return std::uint64_t{1} << 63; }).put("half way", "by hash");
    }
    static void check_special(const View& dict, std::uint32_t managers) {
        EXPECT_EQ(dict.bget("everywhere"), "broadcast");
        EXPECT_EQ(code_of(dict.try_put("everywhere", "x")), Errc::invalid_argument) << "it is a broadcast";
        for (std::uint32_t i = 0; i < managers; ++i)
            EXPECT_EQ(dict.manager(i).stats(i).broadcast_keys, 1u) << "manager " << i;
        EXPECT_EQ(dict.manager(2 % managers).get("on two"), "by number");
        EXPECT_EQ(dict.placed_by([](KeyBytes) { return std::uint64_t{1} << 63; }).get("half way"), "by hash");
        EXPECT_EQ(dict.fetch_add("counter", 1), 42);
    }

    const TemporaryFolder folder_;
    const std::string dir_ = folder_.path().string();
};

TEST_F(CheckpointsTest, HasAllThatWasSavedHoweverItIsRead) {
    fill(*dict_);
    const Pairs before = pairs_of(*dict_);
    const CheckpointInfo here = dict_->save(dir_);
    EXPECT_EQ(here.path, dir_ + "/shared/000001");
    EXPECT_EQ(here.pairs, before.size());
    EXPECT_EQ(here.managers, managers);
    ASSERT_TRUE(Checkpoints::verify(dir_));
    const CheckpointInfo by_message = by_message_->save(dir_);
    EXPECT_EQ(by_message.generation, 2u);
    EXPECT_EQ(by_message.pairs, here.pairs);
    EXPECT_EQ(by_message.value_bytes, here.value_bytes);
    // Neither the manager's way nor that through shared memory leaves anything out.
    for (const CheckpointInfo& info : {here, by_message}) {
        Pairs saved;
        int broadcasts = 0;
        int placed = 0;
        ASSERT_TRUE(Checkpoints::for_each(info.path, [&](const CheckpointPair& pair) -> Result<void> {
            broadcasts += pair.broadcast ? 1 : 0;
            placed += pair.placed_by_hand ? 1 : 0;
            saved[{pair.key.type(), text_of(pair.key.bytes())}] = {pair.value_type, text_of(pair.value)};
            return {};
        }));
        EXPECT_EQ(saved, before);
        EXPECT_EQ(broadcasts, 1);
        EXPECT_EQ(placed, 2);
    }
}

TEST_F(CheckpointsTest, IsLoadedOntoAnyNumberOfManagers) {
    fill(*dict_);
    const Pairs before = pairs_of(*dict_);
    dict_->save(dir_);
    for (const std::uint32_t count : {1U, 2U, 3U, 8U}) {
        Dictionary other = Dictionary::create(
            {.managers_per_node = count, .total_mem = 256 << 20, .name = "other", .load = dir_});
        EXPECT_EQ(pairs_of(other), before) << count << " managers";
        check_special(other, count);
        other.destroy();
    }
}

TEST_F(CheckpointsTest, IsLoadedBesideWhatIsThere) {
    dict_->put("a", "saved");
    dict_->save(dir_);
    dict_->put("a", "newer");
    dict_->put("b", "stays");
    const CheckpointInfo info = dict_->load(dir_ + "/shared");
    EXPECT_EQ(info.pairs, 1u);
    EXPECT_EQ(dict_->get("a"), "saved");
    EXPECT_EQ(dict_->get("b"), "stays");
}

TEST_F(CheckpointsTest, WhatDoesNotFitIsRefusedBeforeAnythingIsChanged) {
    for (int i = 0; i < 40; ++i)
        dict_->put("key " + std::to_string(i), std::string(1 << 20, 'v'));
    dict_->save(dir_);
    Dictionary small = Dictionary::create({.managers_per_node = 2, .total_mem = 32 << 20, .name = "small"});
    const Result<CheckpointInfo> loaded = small.try_load(dir_);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::no_space);
    EXPECT_NE(loaded.error().manager, Error::no_manager);
    EXPECT_GT(loaded.error().need_bytes, loaded.error().have_bytes);
    EXPECT_FALSE(loaded.error().in_doubt);
    EXPECT_EQ(small.size(), 0u);
    small.destroy();
    const Result<Dictionary> none =
        Dictionary::try_create({.total_mem = 16 << 20, .name = "none", .load = dir_});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::no_space);
}

/// Keys of one name on two managers cannot both be on one.
TEST_F(CheckpointsTest, KeysThatWouldMeetAreRefused) {
    dict_->manager(0).put("k", "zero");
    dict_->manager(2).put("k", "two");
    dict_->save(dir_);
    dict_->clear();
    dict_->load(dir_);
    EXPECT_EQ(dict_->manager(0).get("k"), "zero");
    EXPECT_EQ(dict_->manager(2).get("k"), "two");
    const Result<Dictionary> one =
        Dictionary::try_create({.managers_per_node = 1, .total_mem = 16 << 20, .name = "one", .load = dir_});
    ASSERT_FALSE(one);
    EXPECT_EQ(one.error().code, Errc::invalid_argument);
}

TEST_F(CheckpointsTest, ADamagedOneChangesNothing) {
    fill(*dict_);
    const CheckpointInfo info = dict_->save(dir_);
    const std::string path = info.path + "/manager-000001.ddict";
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(path) / 2));
    file.put('!');
    file.close();
    dict_->clear();
    const Result<CheckpointInfo> loaded = dict_->try_load(dir_);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::protocol);
    EXPECT_NE(loaded.error().message().find("manager-000001"), std::string::npos) << loaded.error().message();
    EXPECT_EQ(dict_->size(), 0u);
    EXPECT_EQ(code_of(Checkpoints::verify(dir_)), Errc::protocol);
}

TEST_F(CheckpointsTest, WhatIsNotThere) {
    EXPECT_EQ(code_of(dict_->try_load(dir_)), Errc::not_found);
    EXPECT_EQ(code_of(dict_->try_load(dir_ + "/none")), Errc::not_found);
    EXPECT_EQ(code_of(dict_->try_save(dir_ + "/no/such")), Errc::system);
    EXPECT_EQ(code_of(dict_->try_save("")), Errc::invalid_argument);
    Dictionary detached = Dictionary::attach(dict_->handle());
    detached.detach();
    EXPECT_EQ(code_of(detached.try_save(dir_)), Errc::not_attached);
    EXPECT_EQ(code_of(detached.try_load(dir_)), Errc::not_attached);
}

TEST_F(CheckpointsTest, IsStoppedByItsCaller) {
    fill(*dict_);
    const auto stop = [](const CheckpointProgress&) { return false; };
    EXPECT_EQ(code_of(dict_->try_save(dir_, {.progress = stop})), Errc::timeout);
    EXPECT_EQ(Checkpoints::list(dir_)->size(), 0u) << "what was not committed is removed";
    dict_->save(dir_);
    EXPECT_EQ(code_of(dict_->try_load(dir_, {.progress = stop})), Errc::timeout);
}

TEST_F(CheckpointsTest, AFrozenOneIsSavedAndNotLoadedInto) {
    fill(*dict_);
    dict_->freeze();
    EXPECT_EQ(dict_->save(dir_).pairs, dict_->size());
    for (const bool exclusive : {false, true}) {
        const auto loaded = dict_->try_load(dir_, {.exclusive = exclusive});
        EXPECT_EQ(code_of(loaded), Errc::frozen);
        EXPECT_FALSE(loaded.error().in_doubt) << loaded.error().message();
    }
    dict_->unfreeze();
}

/// Every key that is there all the while is saved, in one of its values; the index grows meanwhile.
TEST_F(CheckpointsTest, WhileOthersWrite) {
    constexpr int staying = 20'000;
    for (int i = 0; i < staying; ++i)
        dict_->put("stays " + std::to_string(i), std::string("first value"));
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        for (int i = 0; !stop; ++i) {
            dict_->put("stays " + std::to_string(i % staying),
                       std::string(i % 2 == 0 ? "a value" : "another value"));
            dict_->put("comes " + std::to_string(i % 50'000), i);
            dict_->erase("comes " + std::to_string((i + 25'000) % 50'000));
        }
    });
    for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
        const CheckpointInfo info = dict->save(dir_);
        int found = 0;
        EXPECT_TRUE(Checkpoints::verify(info.path));
        EXPECT_TRUE(Checkpoints::for_each(info.path, [&](const CheckpointPair& pair) -> Result<void> {
            if (!text_of(pair.key.bytes()).starts_with("stays ")) return {};
            const std::string value = text_of(pair.value);
            EXPECT_TRUE(value == "first value" || value == "a value" || value == "another value") << value;
            ++found;
            return {};
        }));
        EXPECT_EQ(found, staying);
    }
    stop = true;
    writer.join();
}

}  // namespace
}  // namespace ddict
