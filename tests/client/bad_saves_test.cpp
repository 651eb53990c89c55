// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Saves in bad places, and at bad moments: each ends with a clear error, or whole.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
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

class BadSavesTest : public testing::Test {
  protected:
    CreateOptions options(std::uint32_t managers = 2) const {
        CreateOptions options;
        options.managers_per_node = managers;
        options.total_mem = 64 << 20;
        options.name = "bad";
        return options;
    }
    static void fill(const Dictionary& dict) {
        for (int i = 0; i < 2000; ++i)
            dict.put("key " + std::to_string(i), std::string(1000, static_cast<char>('a' + i % 26)));
    }
    static void expect_whole(const std::string& path) {
        const Result<void> whole = Checkpoints::verify(path);
        EXPECT_TRUE(whole) << whole.error().message();
        EXPECT_EQ(Checkpoints::find(path)->pairs, 2000U);
    }
    const TemporaryFolder folder_;
    const fs::path dir_ = folder_.path();
};

/// It is that of the folder where the program is at the call, whatever comes afterwards.
TEST_F(BadSavesTest, ARelativePathIsThatOfTheCall) {
    Dictionary dict = Dictionary::create(options());
    fill(dict);
    const fs::path before = fs::current_path();
    fs::create_directories(dir_ / "one");
    fs::create_directories(dir_ / "other");
    fs::current_path(dir_ / "one");
    const CheckpointInfo info = dict.save("saves", {.progress = [&](const CheckpointProgress&) {
                                              fs::current_path(dir_ / "other");
                                              return true;
                                          }});
    EXPECT_EQ(info.path, (dir_ / "one/saves/bad/000001").string());
    expect_whole(info.path);
    EXPECT_EQ(code_of(dict.try_load("saves")), Errc::not_found) << "there is none here";
    EXPECT_FALSE(fs::exists(dir_ / "other/saves"));
    fs::current_path(dir_ / "one");
    EXPECT_TRUE(dict.try_load("saves"));
    fs::current_path(before);
    dict.destroy();
}

/// As of a quota: a limit that only large files meet.
TEST_F(BadSavesTest, AFileThatMayNotBecomeSoLarge) {
    Dictionary dict = Dictionary::create(options());
    dict.put("small", "s");
    dict.save(dir_.string());
    fill(dict);
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit was{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &was), 0);
    rlimit small = was;
    small.rlim_cur = 300'000;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const Result<CheckpointInfo> saved = dict.try_save(dir_.string());
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &was), 0);
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().code, Errc::system);
    EXPECT_NE(saved.error().message().find("File too large"), std::string::npos) << saved.error().message();
    EXPECT_NE(saved.error().message().find("manager-"), std::string::npos) << saved.error().message();
    EXPECT_FALSE(fs::exists(dir_ / "bad/000002")) << "its space is given back";
    EXPECT_EQ(Checkpoints::find(dir_.string())->pairs, 1U);
    dict.erase("small");
    dict.save(dir_.string());
    expect_whole((dir_ / "bad").string());
    dict.destroy();
}

/// The managers are away for some milliseconds each time: a save waits for them, or says so.
TEST_F(BadSavesTest, WhileManagersAreRestarted) {
    Dictionary dict = Dictionary::create(options());
    fill(dict);
    std::atomic<bool> ends{false};
    std::thread restarts([&] {
        for (std::uint32_t i = 0; !ends; ++i) {
            static_cast<void>(dict.try_restart(i % 2));
            std::this_thread::sleep_for(6s);  // a third time within ten seconds ends it
        }
    });
    const Dictionary by_messages =
        Dictionary::attach(dict.handle(), {.timeout = {}, .attach_timeout = 10s, .local_reads = false});
    int saved = 0;
    const auto until = std::chrono::steady_clock::now() + 8s;
    while (std::chrono::steady_clock::now() < until) {
        for (const Dictionary* one : {&static_cast<const Dictionary&>(dict), &by_messages}) {
            const Result<CheckpointInfo> info = one->try_save(dir_.string(), {.keep = 2});
            ASSERT_TRUE(info) << info.error().message();
            expect_whole(info->path);
            ++saved;
        }
    }
    ends = true;
    restarts.join();
    EXPECT_GE(saved, 2);
    dict.destroy();
}

/// A host that has another folder under that path says so, rather than to persist where nobody looks.
TEST_F(BadSavesTest, APersistPathThatIsNotShared) {
    CreateOptions persisted = options();
    persisted.persist_path = (dir_ / "steps").string();
    Dictionary dict = Dictionary::create(persisted);
    fill(dict);
    dict.persist();
    fs::rename(dir_ / "steps", dir_ / "mounted elsewhere");
    for (int i = 0; i < 2; ++i) {  // not there at all; another one
        for (const Result<CheckpointInfo>& refused : {dict.try_persist(), dict.try_restore(0)}) {
            ASSERT_FALSE(refused);
            EXPECT_EQ(refused.error().code, Errc::system);
            EXPECT_NE(refused.error().message().find("shared with this host"), std::string::npos)
                << refused.error().message();
            EXPECT_NE(refused.error().message().find((dir_ / "steps/bad").string()), std::string::npos);
        }
        EXPECT_EQ(code_of(dict.try_persisted_ids()), Errc::system);
        fs::create_directories(dir_ / "steps/bad");
    }
    EXPECT_EQ(dict.size(), 2000U);
    fs::remove_all(dir_ / "steps");
    fs::rename(dir_ / "mounted elsewhere", dir_ / "steps");
    EXPECT_EQ(dict.persisted_ids(), std::vector<std::uint32_t>{0});
    dict.destroy();
}

/// Nothing is half changed, and the dictionary is as it was.
TEST_F(BadSavesTest, WhileItIsDestroyed) {
    Dictionary dict = Dictionary::create(options());
    fill(dict);
    dict.save(dir_.string());
    const Dictionary other = Dictionary::attach(dict.handle());
    std::atomic<bool> begins{false};
    std::thread saves([&] {
        for (;;) {
            const Result<CheckpointInfo> info = other.try_save(dir_.string());
            begins = true;
            if (!info) {
                const Errc code = info.error().code;
                EXPECT_TRUE(code == Errc::dictionary_gone || code == Errc::manager_lost)
                    << info.error().message();
                return;
            }
        }
    });
    while (!begins)
        std::this_thread::sleep_for(1ms);
    dict.destroy();
    saves.join();
    const Result<std::vector<CheckpointInfo>> all = Checkpoints::list(dir_.string());
    ASSERT_TRUE(all);
    EXPECT_GE(all->size(), 2U);
    for (const CheckpointInfo& info : *all) {
        EXPECT_EQ(info.state, CheckpointState::committed) << info.path;
        expect_whole(info.path);
    }
}

}  // namespace
}  // namespace ddict
