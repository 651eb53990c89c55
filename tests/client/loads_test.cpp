// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Loading the newest of several checkpoints, into dictionaries that have something already, with few
// descriptors.
#include <ddict/checkpoint.h>

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "tests/base/seed.h"
#include "tests/client/shared_dictionary.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict {
namespace {

namespace fs = std::filesystem;

class LoadsTest : public SharedDictionaryTest {
  protected:
    static std::string key(int i) { return "key " + std::to_string(i); }
    static void fill(const View& dict, int count, std::size_t bytes, char with) {
        for (int i = 0; i < count; ++i)
            dict.put(key(i), std::string(bytes, with));
    }
    static void expect(const View& dict, int count, std::size_t bytes, char with) {
        for (int i = 0; i < count; ++i)
            ASSERT_EQ(dict.get(key(i)), std::string(bytes, with)) << key(i);
    }
    static Dictionary small() {
        return Dictionary::create({.managers_per_node = 2, .total_mem = 32 << 20, .name = "small"});
    }
    static void cut(const std::string& path) { fs::resize_file(path, fs::file_size(path) - 1); }

    const TemporaryFolder folder_;
    const std::string dir_ = folder_.path().string();
};

TEST_F(LoadsTest, TheLatestIsTheNewestThatIsWhole) {
    EXPECT_EQ(code_of(dict_->try_load_latest(dir_)), Errc::not_found);
    EXPECT_EQ(code_of(dict_->try_load_latest(dir_ + "/none")), Errc::not_found);
    for (const int i : {1, 2, 3, 4}) {
        dict_->put("n", i);
        dict_->save(dir_);
    }
    fs::remove(dir_ + "/shared/000004/commit");  // a save that was killed: not one that is broken
    cut(dir_ + "/shared/000003/manager-000001.ddict");
    std::vector<CheckpointInfo> damaged;
    const auto note = [&](const CheckpointInfo& info) { damaged.push_back(info); };
    EXPECT_EQ(dict_->load_latest(dir_, {.on_damaged = note}).generation, 2u);
    EXPECT_EQ(dict_->get<int>("n"), 2);
    ASSERT_EQ(damaged.size(), 1u);
    EXPECT_EQ(damaged[0].path, dir_ + "/shared/000003");
    EXPECT_EQ(damaged[0].state, CheckpointState::damaged);
    EXPECT_EQ(damaged[0].error.code, Errc::protocol);
    cut(dir_ + "/shared/000002/commit");
    fs::remove(dir_ + "/shared/000001/manager-000000.ddict");
    const auto none = dict_->try_load_latest(dir_);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::protocol) << "that is not the same as that there is none";
    EXPECT_NE(none.error().message().find("000003"), std::string::npos) << none.error().message();
}

/// A job must not begin anew because its saves cannot be read just now.
TEST_F(LoadsTest, WhatCannotBeReadIsNotNothing) {
    const auto error_of = [&](const std::string& dir) {
        const auto loaded = dict_->try_load_latest(dir);
        return loaded ? Error(Errc{}) : loaded.error();
    };
    EXPECT_EQ(error_of(dir_ + "/away/saves").code, Errc::system);
    dict_->put("n", 1);
    dict_->save(dir_);
    fs::create_directory_symlink("000002", dir_ + "/shared/000002");
    EXPECT_EQ(error_of(dir_).code, Errc::system) << "it may be the newest";
    EXPECT_NE(error_of(dir_).message().find("shared/000002"), std::string::npos) << error_of(dir_).message();
    fs::remove(dir_ + "/shared/000002");
    EXPECT_EQ(code_of(dict_->try_load_latest(dir_)), Errc{});
    fs::rename(dir_ + "/shared", dir_ + "/elsewhere");
    fs::create_directory_symlink("/nothing/is/here", dir_ + "/shared");
    EXPECT_EQ(error_of(dir_).code, Errc::system);
}

/// What an older checkpoint would only hide is an error.
TEST_F(LoadsTest, TheLatestThatDoesNotFitIsNotPassedOver) {
    Dictionary little = Dictionary::create({.total_mem = 16 << 20, .name = "shared"});
    little.put("n", 1);
    little.save(dir_);
    fill(*dict_, 40, 1 << 20, 'x');
    dict_->save(dir_);
    EXPECT_EQ(code_of(little.try_load_latest(dir_)), Errc::no_space);
    EXPECT_EQ(little.size(), 1u);
    little.destroy();
}

TEST_F(LoadsTest, AsManyStayAsAreToBeKept) {
    for (int i = 0; i < 3; ++i)
        dict_->save(dir_);
    cut(dir_ + "/shared/000002/commit");
    const CheckpointInfo info = dict_->save(dir_, {.keep = 2});
    EXPECT_EQ(info.error.detail[0], '\0') << info.error.message();
    std::vector<std::string> left;
    const auto listed = Checkpoints::list(dir_).value();
    for (const CheckpointInfo& one : listed)
        left.push_back(fs::path(one.path).filename());
    EXPECT_EQ(left, (std::vector<std::string>{"000002", "000003", "000004"})) << "what is damaged stays";
    std::ofstream(dir_ + "/shared/000003/notes") << "of somebody\n";
    EXPECT_NE(dict_->save(dir_, {.keep = 1}).error.message().find("something else is in"), std::string::npos);
}

/// Half as large as all memory: twice there would be no space for them.
TEST_F(LoadsTest, PairsThatReplaceOthersCount) {
    constexpr int count = 20;
    constexpr std::size_t bytes = 1 << 20;
    fill(*dict_, count, bytes, 's');
    dict_->save(dir_);
    Dictionary other = small();
    fill(other, count, bytes, 'o');
    other.put("other", "stays");
    other.load(dir_);
    expect(other, count, bytes, 's');
    EXPECT_EQ(other.get("other"), "stays");
    EXPECT_EQ(other.size(), static_cast<std::uint64_t>(count) + 1);
    other.destroy();
}

/// Large ones become small and small ones large: in the wrong order there would be no space in between.
TEST_F(LoadsTest, ThoseThatShrinkAreStoredFirst) {
    constexpr int count = 20;
    constexpr std::size_t bytes = 1 << 20;
    for (int i = 0; i < count; ++i)
        dict_->put(key(i), std::string(i % 2 == 0 ? bytes : 10, 's'));
    dict_->save(dir_);
    // All on one manager, so that each byte counts: some 11 of 15 MiB are used before and after.
    Dictionary other = Dictionary::create({.total_mem = 16 << 20, .name = "other"});
    for (int i = 0; i < count; ++i)
        other.put(key(i), std::string(i % 2 == 0 ? 10 : bytes, 'o'));
    const CheckpointInfo info = other.load(dir_, {.threads = 1});
    EXPECT_EQ(info.pairs, static_cast<std::uint64_t>(count));
    for (int i = 0; i < count; ++i)
        EXPECT_EQ(other.get(key(i)).size(), i % 2 == 0 ? bytes : 10) << i;
    other.destroy();
}

TEST_F(LoadsTest, WhatDoesNotFitBesideTheRestIsRefused) {
    fill(*dict_, 20, 1 << 20, 's');
    dict_->save(dir_);
    Dictionary other = small();
    for (int i = 0; i < 5; ++i)
        other.put(key(i), "is replaced");
    for (int i = 0; i < 16; ++i)
        other.put("other " + std::to_string(i), std::string(1 << 20, 'o'));
    const std::vector<ManagerStats> before = other.stats();
    const Result<CheckpointInfo> loaded = other.try_load(dir_);
    ASSERT_FALSE(loaded);
    const Error& error = loaded.error();
    EXPECT_EQ(error.code, Errc::no_space);
    EXPECT_FALSE(error.in_doubt);
    ASSERT_LT(error.manager, 2u);
    EXPECT_GT(error.need_bytes, error.have_bytes);
    EXPECT_EQ(error.have_bytes, before[error.manager].free_bytes);
    const std::string other_manager = "also manager " + std::to_string(1 - error.manager) + " needs ";
    EXPECT_NE(error.message().find(other_manager), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("5 of its pairs replace others"), std::string::npos) << error.message();
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(other.get(key(i)), "is replaced");
    EXPECT_EQ(other.size(), 21u);
    other.destroy();
}

/// Whatever is there: either it is refused and nothing has changed, or all is there.
TEST_F(LoadsTest, AllOrNothingWhateverIsThere) {
    std::mt19937 random(static_cast<std::mt19937::result_type>(test_seed()));
    const auto below = [&](std::size_t n) {
        return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
    std::map<std::string, std::size_t> saved;
    for (int i = 0; i < 60; ++i)
        dict_->put(key(i), std::string(saved[key(i)] = below(512 << 10), 's'));
    dict_->save(dir_);
    int refused = 0;
    int loaded = 0;
    for (int turn = 0; turn < 12; ++turn) {
        Dictionary other = small();
        std::map<std::string, std::size_t> there;
        for (std::size_t i = 0, count = below(150); i < count; ++i) {
            const std::string name = key(static_cast<int>(below(160)));
            const std::size_t bytes = below(512 << 10);
            if (other.try_put(name, std::string(bytes, 'o'))) there[name] = bytes;
        }
        const Result<CheckpointInfo> outcome = other.try_load(dir_);
        if (outcome) {
            ++loaded;
            for (const auto& [name, bytes] : saved)
                ASSERT_EQ(other.get(name), std::string(bytes, 's')) << name;
        } else {
            ++refused;
            ASSERT_EQ(outcome.error().code, Errc::no_space) << outcome.error().message();
            ASSERT_FALSE(outcome.error().in_doubt) << outcome.error().message();
            ASSERT_EQ(other.size(), there.size());
            for (const auto& [name, bytes] : there)
                ASSERT_EQ(other.get(name), std::string(bytes, 'o')) << name;
        }
        other.destroy();
    }
    RecordProperty("refused", refused);
    RecordProperty("loaded", loaded);
}

/// As many files as managers have saved are not open at once.
TEST_F(LoadsTest, FewDescriptorsAreEnough) {
    constexpr std::uint32_t many = 96;
    Dictionary wide =
        Dictionary::create({.managers_per_node = many, .total_mem = many << 20, .name = "wide"});
    fill(wide, 2000, 100, 'w');
    EXPECT_EQ(wide.save(dir_).managers, many);
    wide.destroy();
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const auto open_now =
        static_cast<rlim_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
    const rlimit tight{open_now + 64, before.rlim_max};  // of which threads take most for their sessions
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    const Result<CheckpointInfo> loaded = dict_->try_load(dir_);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(loaded->pairs, 2000u);
    expect(*dict_, 2000, 100, 'w');
}

}  // namespace
}  // namespace ddict
