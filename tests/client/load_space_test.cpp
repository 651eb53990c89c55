// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a load needs, less what the pairs that it replaces give back: broadcasts, managers of other sizes, and
// managers that are asked by message.
#include <ddict/checkpoint.h>

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "tests/client/shared_dictionary.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t mebibyte = 1 << 20;

class LoadSpaceTest : public SharedDictionaryTest {
  protected:
    void SetUp() override {
        SharedDictionaryTest::SetUp();
        other_ = std::make_unique<Dictionary>(
            Dictionary::create({.managers_per_node = 2, .total_mem = 32 * mebibyte, .name = "other"}));
    }
    void TearDown() override {
        other_->destroy();
        for (int i = 0; i < 20; ++i)
            static_cast<void>(dict_->try_berase(name(i)));
    }
    static std::string name(int i) { return "broadcast " + std::to_string(i); }
    /// On a manager of the other dictionary.
    std::string other_key_on(std::uint32_t manager, const std::string& prefix) const {
        for (int i = 0;; ++i) {
            const std::string key = prefix + std::to_string(i);
            if (other_->which_manager(key) == manager) return key;
        }
    }
    /// Values of a mebibyte until that manager has no space for `but` of them more.
    void fill(std::uint32_t manager, std::size_t but) const {
        const std::uint64_t free_bytes = other_->stats().at(manager).free_bytes;
        for (std::size_t i = 0; i + but < free_bytes / mebibyte; ++i)
            other_->put(other_key_on(manager, "fill " + std::to_string(i) + " "), std::string(mebibyte, 'f'));
    }

    const TemporaryFolder folder_;
    const std::string dir_ = folder_.path().string();
    std::unique_ptr<Dictionary> other_;
};

/// Twice there would be no space for them, on either manager.
TEST_F(LoadSpaceTest, BroadcastsThatReplaceOthersCount) {
    constexpr int count = 8;
    for (int i = 0; i < count; ++i) {
        dict_->bput(name(i), std::string(mebibyte, 's'));
        other_->bput(name(i), std::string(mebibyte, 'o'));
    }
    dict_->save(dir_);
    const Result<CheckpointInfo> loaded = other_->try_load(dir_);
    ASSERT_TRUE(loaded) << loaded.error().message();
    for (int i = 0; i < count; ++i)
        ASSERT_EQ(other_->get(name(i)), std::string(mebibyte, 's'));
}

/// Whether it fits is no question then.
TEST_F(LoadSpaceTest, AFrozenOneIsToldBeforeWhatDoesNotFit) {
    for (int i = 0; i < 30; ++i)
        dict_->put("key " + std::to_string(i), std::string(2 * mebibyte, 's'));
    dict_->save(dir_);
    EXPECT_EQ(code_of(other_->try_load(dir_)), Errc::no_space);
    other_->freeze();
    const Result<CheckpointInfo> loaded = other_->try_load(dir_);
    EXPECT_EQ(code_of(loaded), Errc::frozen);
    EXPECT_FALSE(loaded.error().in_doubt) << loaded.error().message();
    other_->unfreeze();
}

/// It grows on one manager and shrinks on no other, or is not there at all: each manager is counted alone.
TEST_F(LoadSpaceTest, BroadcastsThatDoNotFitAreRefused) {
    dict_->bput(name(0), std::string(3 * mebibyte, 's'));
    dict_->save(dir_);
    other_->bput(name(0), std::string(mebibyte, 'o'));
    fill(1, 1);
    const Result<CheckpointInfo> loaded = other_->try_load(dir_);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Errc::no_space) << loaded.error().message();
    EXPECT_EQ(loaded.error().manager, 1u);
    EXPECT_FALSE(loaded.error().in_doubt);
    EXPECT_EQ(other_->get(name(0)), std::string(mebibyte, 'o'));
}

/// Manager 0 replaces a large value, which needs as much again for a moment. Manager 1 does not.
TEST_F(LoadSpaceTest, ALargeValueIsNeededOfItsManagerOnly) {
    std::vector<std::pair<std::string, std::size_t>> pairs{{other_key_on(0, "large"), 5 * mebibyte},
                                                           {other_key_on(0, "middle"), 3 * mebibyte}};
    for (const char* const prefix : {"a", "b", "c"})
        pairs.emplace_back(other_key_on(1, prefix), mebibyte);
    for (const auto& [key, bytes] : pairs) {
        dict_->put(key, std::string(bytes, 's'));
        other_->put(key, std::string(bytes, 'o'));
    }
    dict_->save(dir_);
    fill(0, 7);
    fill(1, 2);
    ASSERT_LT(other_->stats().at(0).free_bytes, 8 * mebibyte) << "it lacks some, but for what is replaced";
    ASSERT_LT(other_->stats().at(1).free_bytes, 3 * mebibyte);
    const Result<CheckpointInfo> loaded = other_->try_load(dir_);
    ASSERT_TRUE(loaded) << loaded.error().message();
    for (const auto& [key, bytes] : pairs)
        ASSERT_TRUE(other_->get(key) == std::string(bytes, 's')) << key;
}

/// What a manager says by message is the same as what stands in its memory: keys that are not there give
/// nothing back.
TEST_F(LoadSpaceTest, ManagersThatAreAskedByMessage) {
    const Dictionary by_message = Dictionary::attach(other_->serialize(), {.local_reads = false});
    for (int i = 0; i < 20; ++i)
        dict_->put("key " + std::to_string(i), std::string(mebibyte, 's'));
    dict_->save(dir_);
    for (int i = 0; i < 5; ++i)
        other_->put("key " + std::to_string(i), "is replaced");
    for (int i = 0; i < 16; ++i)
        other_->put("other " + std::to_string(i), std::string(mebibyte, 'o'));
    for (const Dictionary* dict : {&by_message, &std::as_const(*other_)}) {
        const Result<CheckpointInfo> refused = dict->try_load(dir_);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::no_space) << refused.error().message();
        EXPECT_FALSE(refused.error().in_doubt);
        EXPECT_NE(refused.error().message().find("5 of its pairs replace others"), std::string::npos)
            << refused.error().message();
        EXPECT_EQ(other_->size(), 21u);
    }
    for (int i = 0; i < 16; ++i)
        other_->erase("other " + std::to_string(i));
    EXPECT_TRUE(by_message.try_load(dir_));
    EXPECT_EQ(other_->size(), 20u);
}

}  // namespace
}  // namespace ddict
