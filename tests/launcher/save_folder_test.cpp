// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/save_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "os/file_descriptor.h"
#include "os/host_name.h"
#include "tests/os/failing_calls.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict::launcher {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr SaveFolder::Timing quick{.touch = 20ms, .dead_after = 600ms};
/// Of an owner on a host that no lock joins with this one.
constexpr const char* elsewhere =
    R"({"job":"12","host":"far-away","pid":77,"boot_id":"another","id":"0123456789abcdef"})"
    "\n";

class SaveFolderTest : public ::testing::Test {
  protected:
    Result<SaveFolder> take(const SaveFolder::Timing& timing = SaveFolder::Timing()) const {
        return SaveFolder::take(dir_, "d", {{"SLURM_JOB_ID", "4711"}}, timing);
    }
    std::string file() const { return dir_ + "/d/.ddict-launch"; }
    std::string text() const {
        std::ifstream in(file());
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void write(const std::string& text) const {
        fs::create_directories(dir_ + "/d");
        std::ofstream(file()) << text;
    }
    /// What a child of this process finds.
    template <class Check>
    static int in_child(Check check) {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(check());
        int status = -1;
        return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    const TemporaryFolder folder_;
    const std::string dir_ = folder_.path().string();
};

TEST_F(SaveFolderTest, IsOfOneAtATimeWhoIsNamed) {
    auto first = take();
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_TRUE(first->check());
    const auto second = take();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::busy);
    const std::string who = "another ddict-launch (job 4711, host " + os::host_name() + ", process " +
                            std::to_string(::getpid()) + ")";
    EXPECT_NE(second.error().message().find(who), std::string::npos) << second.error().message();
    EXPECT_TRUE(SaveFolder::take(dir_, "other", {})) << "under another name";
    EXPECT_TRUE(first->check()) << "what was refused has changed nothing";
}

TEST_F(SaveFolderTest, IsFreeWhenItsOwnerHasReleasedIt) {
    { ASSERT_TRUE(take()); }
    EXPECT_EQ(text(), "");
    const auto before = steady_clock::now();
    EXPECT_TRUE(take());
    EXPECT_LT(steady_clock::now() - before, 5s);
}

/// By the kernel's word: nobody waits.
TEST_F(SaveFolderTest, OneThatHasDiedOnThisHostIsTakenOverAtOnce) {
    ASSERT_EQ(in_child([&] {
                  const auto taken = take();
                  ::_exit(taken ? 0 : 1);
                  return 2;
              }),
              0);
    EXPECT_NE(text(), "");
    const auto before = steady_clock::now();
    const auto taken = take();
    ASSERT_TRUE(taken) << taken.error().message();
    EXPECT_LT(steady_clock::now() - before, 5s);
    EXPECT_TRUE(taken->check());
}

TEST_F(SaveFolderTest, OneOfAnotherHostThatIsSilentHasDied) {
    write(elsewhere);
    const auto before = steady_clock::now();
    const auto taken = take(quick);
    ASSERT_TRUE(taken) << taken.error().message();
    EXPECT_GE(steady_clock::now() - before, quick.dead_after);
    EXPECT_EQ(text().find("far-away"), std::string::npos);
}

TEST_F(SaveFolderTest, OneOfAnotherHostThatTouchesItLives) {
    write(elsewhere);
    std::atomic<bool> is_over{false};
    std::thread owner([&] {
        for (; !is_over; std::this_thread::sleep_for(20ms))
            ::utimensat(AT_FDCWD, file().c_str(), nullptr, 0);
    });
    const auto taken = take({.touch = 20ms, .dead_after = 20s});
    is_over = true;
    owner.join();
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Errc::busy);
    EXPECT_NE(taken.error().message().find("(job 12, host far-away, process 77)"), std::string::npos)
        << taken.error().message();
    EXPECT_EQ(text(), elsewhere);
}

TEST_F(SaveFolderTest, OneOfAnotherHostThatReleasesItIsNotWaitedFor) {
    write(elsewhere);
    std::thread owner([&] {
        std::this_thread::sleep_for(200ms);
        write("");
    });
    const auto before = steady_clock::now();
    const auto taken = take({.touch = 20ms, .dead_after = 30s});
    owner.join();
    EXPECT_TRUE(taken);
    EXPECT_LT(steady_clock::now() - before, 20s);
}

TEST_F(SaveFolderTest, WithoutLocksTheTouchesTell) {
    EXPECT_EQ(in_child([&] {
                  if (!os::testing::make_fail({SYS_flock}, ENOSYS)) return 2;
                  auto first = take({.touch = 20ms, .dead_after = 20s});
                  if (!first || !first->check()) return 3;
                  const auto second = take({.touch = 20ms, .dead_after = 20s});
                  if (second || second.error().code != Errc::busy) return 4;
                  return first->check() ? 0 : 5;
              }),
              0);
    EXPECT_EQ(text(), "") << "it was released";
}

TEST_F(SaveFolderTest, OneThatAnotherHasTakenSaysSo) {
    auto taken = take(quick);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->take_notice(), std::nullopt);
    write(elsewhere);
    EXPECT_EQ(taken->check().error().code, Errc::busy);
    pollfd event{taken->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&event, 1, 20'000), 1);
    const auto notice = taken->take_notice();
    ASSERT_TRUE(notice);
    EXPECT_NE(notice->find("host far-away"), std::string::npos) << *notice;
    EXPECT_EQ(taken->take_notice(), std::nullopt) << "once";
    { const SaveFolder ends = *std::move(taken); }
    EXPECT_EQ(text(), elsewhere) << "what is the other's stays";
}

TEST_F(SaveFolderTest, ATextThatMakesNoSenseIsNotShown) {
    for (const std::string bad :
         {"\x1b[2J", "{}", R"({"host":"\u001b[2J","pid":1})", R"({"host":"h","pid":-1})", R"(["host"])"}) {
        write(bad);
        const os::FileDescriptor other(::open(file().c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(::flock(other.fd(), LOCK_EX | LOCK_NB), 0);
        const auto refused = take(quick);
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().message().find("another process saves"), std::string::npos)
            << refused.error().message();
        ASSERT_EQ(::flock(other.fd(), LOCK_UN), 0);
        EXPECT_TRUE(take(quick)) << bad;
    }
}

/// In a folder that others may write to, it may lead anywhere.
TEST_F(SaveFolderTest, ALinkInItsPlaceIsNotWrittenThrough) {
    const std::string precious = dir_ + "/precious";
    std::ofstream(precious) << "precious";
    fs::create_directories(dir_ + "/d");
    for (const std::string& target : {precious, dir_ + "/nowhere"}) {
        fs::remove(file());
        fs::create_symlink(target, file());
        const auto taken = take(quick);
        ASSERT_FALSE(taken);
        EXPECT_NE(taken.error().message().find(file() + ": it is a link"), std::string::npos)
            << taken.error().message();
    }
    EXPECT_EQ(fs::file_size(precious), 8U);
    EXPECT_FALSE(fs::exists(dir_ + "/nowhere"));
}

/// From a copy of the folder by hard links, or from somebody who wants the other file to be written over.
TEST_F(SaveFolderTest, AFileWithAnotherNameStaysAsItIs) {
    const std::string precious = dir_ + "/precious";
    std::ofstream(precious) << "precious";
    fs::create_directories(dir_ + "/d");
    fs::create_hard_link(precious, file());
    {
        const auto taken = take(quick);
        ASSERT_TRUE(taken) << taken.error().message();
        EXPECT_NE(text().find("4711"), std::string::npos) << text();
        EXPECT_FALSE(take(quick)) << "the new file is locked as well";
    }
    EXPECT_EQ(fs::file_size(precious), 8U);
    EXPECT_EQ(fs::hard_link_count(file()), 1U);
}

TEST_F(SaveFolderTest, AFolderThatCannotBeMadeIsAnError) {
    std::ofstream(dir_ + "/d") << "in the way";
    const auto taken = take();
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Errc::system);
    EXPECT_NE(taken.error().message().find(dir_ + "/d"), std::string::npos) << taken.error().message();
}

}  // namespace
}  // namespace ddict::launcher
