// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Loads into a dictionary that nobody else uses: each extent is read once, and whatever fails leaves nothing.
#include <ddict/checkpoint.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>

#include "tests/client/shared_dictionary.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

namespace fs = std::filesystem;

class LoadExclusiveTest : public SharedDictionaryTest {
  protected:
    void SetUp() override {
        SharedDictionaryTest::SetUp();
        other_ = std::make_unique<Dictionary>(
            Dictionary::create({.managers_per_node = 2, .total_mem = 96 << 20, .name = "shared"}));
    }
    void TearDown() override { other_->destroy(); }
    /// Values of all the sizes that travel in different ways.
    static std::string value(int i) {
        constexpr std::size_t sizes[] = {0,    8,      300,    4000,   4096,    5000,
                                         8192, 16'384, 16'385, 40'000, 1 << 20, 3 << 20};
        return std::string(sizes[static_cast<std::size_t>(i) % std::size(sizes)],
                           static_cast<char>('a' + i % 26));
    }
    static std::string key(int i) { return "key " + std::to_string(i); }
    static void fill(int count) {
        for (int i = 0; i < count; ++i)
            dict_->put(key(i), value(i));
    }
    void expect(int count) const {
        EXPECT_EQ(other_->size(), static_cast<std::uint64_t>(count));
        for (int i = 0; i < count; ++i)
            ASSERT_TRUE(other_->get(key(i)) == value(i)) << key(i);
    }
    /// Flips a byte of the values in the last extents of a file.
    static void damage(const std::string& file) {
        std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
        const auto at = static_cast<std::streamoff>(fs::file_size(file) * 9 / 10);
        stream.seekg(at);
        const char byte = static_cast<char>(stream.get() ^ 1);
        stream.seekp(at);
        stream.put(byte);
    }
    Result<CheckpointInfo> load(const std::string& path) const {
        return other_->try_load(path, {.exclusive = true});
    }

    const TemporaryFolder folder_;
    const std::string dir_ = folder_.path().string();
    std::unique_ptr<Dictionary> other_;
};

TEST_F(LoadExclusiveTest, StoresAllOfIt) {
    fill(200);
    dict_->put(std::uint64_t{7}, 1.5);
    dict_->bput("broadcast", std::string(100'000, 'b'));
    dict_->save(dir_);
    const auto loaded = load(dir_);
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(loaded->pairs, 202u);
    EXPECT_EQ(other_->get<double>(std::uint64_t{7}), 1.5);
    EXPECT_EQ(other_->get("broadcast"), std::string(100'000, 'b'));
    EXPECT_FALSE(other_->try_put("broadcast", "x")) << "it is one here, too";
    other_->erase(std::uint64_t{7});
    other_->berase("broadcast");
    dict_->berase("broadcast");
    expect(200);
}

TEST_F(LoadExclusiveTest, OverMessagesToo) {
    fill(150);
    dict_->save(dir_);
    const Dictionary by_message = Dictionary::attach(other_->serialize(), {.local_reads = false});
    ASSERT_TRUE(by_message.try_load(dir_, {.threads = 2, .exclusive = true}));
    expect(150);
}

TEST_F(LoadExclusiveTest, WhatIsDamagedLeavesNothing) {
    fill(120);
    dict_->bput("broadcast", "b");
    const std::string newest = dict_->save(dir_).path;
    dict_->berase("broadcast");
    damage(newest + "/manager-000001.ddict");
    const auto loaded = load(dir_);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::protocol) << loaded.error().message();
    EXPECT_FALSE(loaded.error().in_doubt);
    EXPECT_EQ(other_->size(), 0u);
    EXPECT_FALSE(other_->contains("broadcast"));
}

TEST_F(LoadExclusiveTest, TheLatestThatIsWhole) {
    fill(100);
    dict_->save(dir_);
    dict_->put("later", "in the newest only");
    damage(dict_->save(dir_).path + "/manager-000002.ddict");
    std::vector<std::string> damaged;
    const auto note = [&](const CheckpointInfo& info) { damaged.push_back(fs::path(info.path).filename()); };
    const auto loaded = other_->try_load_latest(dir_, {.exclusive = true, .on_damaged = note});
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(loaded->generation, 1u);
    EXPECT_EQ(damaged, std::vector<std::string>{"000002"});
    expect(100);
}

TEST_F(LoadExclusiveTest, WhatDoesNotFitIsRefusedWithWhatIsNeeded) {
    for (int i = 0; i < 110; ++i)
        dict_->put(key(i), std::string(1 << 20, 'x'));
    dict_->save(dir_);
    const auto loaded = load(dir_);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::no_space) << loaded.error().message();
    EXPECT_FALSE(loaded.error().in_doubt);
    EXPECT_GT(loaded.error().need_bytes, loaded.error().have_bytes);
    EXPECT_EQ(other_->size(), 0u);
}

TEST_F(LoadExclusiveTest, WhatIsThereStays) {
    fill(60);
    const std::string path = dict_->save(dir_).path;
    other_->put("mine", "stays");
    ASSERT_TRUE(load(dir_));
    EXPECT_EQ(other_->get("mine"), "stays");
    damage(path + "/manager-000000.ddict");
    EXPECT_FALSE(load(dir_));
    EXPECT_EQ(other_->get("mine"), "stays");
    EXPECT_EQ(other_->size(), 61u);
}

TEST_F(LoadExclusiveTest, KeysPlacedByHandThatWouldMeetAreRefused) {
    dict_->placed_at([](KeyBytes) { return 0u; }).put("key", "of 0");
    dict_->placed_at([](KeyBytes) { return 2u; }).put("key", "of 2");
    dict_->save(dir_);
    const auto loaded = load(dir_);
    // Whether they meet on one of two managers is told by the careful way.
    EXPECT_EQ(code_of(loaded), code_of(other_->try_load(dir_)));
    if (!loaded) {
        EXPECT_EQ(other_->size(), 0u);
    }
    dict_->clear();
}

TEST_F(LoadExclusiveTest, OneThatIsStoppedLeavesNothing) {
    fill(100);
    dict_->save(dir_);
    int calls = 0;
    const auto loaded = other_->try_load(
        dir_, {.progress = [&](const CheckpointProgress&) { return ++calls < 3; }, .exclusive = true});
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::timeout);
    EXPECT_EQ(other_->size(), 0u);
}

TEST_F(LoadExclusiveTest, AsCreateLoads) {
    fill(50);
    const std::string path = dict_->save(dir_).path;
    {
        Dictionary loaded = Dictionary::create({.total_mem = 96 << 20, .name = "third", .load = dir_});
        EXPECT_EQ(loaded.size(), 50u);
        loaded.destroy();
    }
    damage(path + "/manager-000000.ddict");
    EXPECT_EQ(code_of(Dictionary::try_create({.total_mem = 96 << 20, .name = "third", .load = dir_})),
              Errc::protocol);
}

}  // namespace
}  // namespace ddict
