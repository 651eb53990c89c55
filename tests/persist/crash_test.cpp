// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A save that is killed at any of its system calls, or that the file system refuses: the earlier ones stay,
// the new one is absent, and its space is free again.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "persist/folder.h"
#include "tests/persist/samples.h"

namespace ddict::persist {
namespace {

/// Runs a save, and kills it when it has entered or left so many system calls. True if it ended before.
bool save_until(const fs::path& dir, int stops) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::raise(SIGSTOP);
        const bool saved = save(dir, "d", {some_pairs(), some_pairs()}).has_value();
        ::_exit(saved ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    for (int i = 0; i < stops; ++i) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            EXPECT_EQ(WEXITSTATUS(status), 0);
            return true;
        }
    }
    ::kill(child, SIGKILL);
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return false;
}

std::uint64_t files_in(const fs::path& dir) {
    std::uint64_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(dir))
        files += entry.is_regular_file() ? 1U : 0U;
    return files;
}

TEST(Crash, AtEverySystemCall) {
    const TemporaryFolder dir;
    ASSERT_TRUE(save(dir.path(), "d", {some_pairs(), some_pairs()}));
    const std::uint64_t files_of_one = files_in(dir.path());
    int whole = 0;
    int absent = 0;
    for (int stops = 0;; ++stops) {
        const bool ended = save_until(dir.path(), stops);
        const auto listed = list_checkpoints(dir.path());
        ASSERT_TRUE(listed) << listed.error().message();
        ASSERT_EQ(listed->at(0).state, CheckpointState::committed);
        for (const Listed& one : *listed) {
            ASSERT_TRUE(one.state == CheckpointState::committed || one.state == CheckpointState::unfinished)
                << "after " << stops << " stops";
            if (one.state != CheckpointState::committed) continue;
            const Checkpoint checkpoint{one.folder, one.commit};
            ASSERT_TRUE(verify(checkpoint, nullptr)) << "after " << stops << " stops";
            ASSERT_EQ(pairs_of(checkpoint)->size(), 2 * some_pairs().size());
        }
        const auto newest = find_checkpoint(dir.path());
        ASSERT_TRUE(newest) << newest.error().message();
        ++(newest->commit.generation == 1 ? absent : whole);
        // The next save removes what is left.
        const auto next = save(dir.path(), "d", {some_pairs(), some_pairs()});
        ASSERT_TRUE(next) << "after " << stops << " stops: " << next.error().message();
        const std::vector<Listed> left = list_checkpoints(dir.path()).value();
        for (const Listed& one : left)
            ASSERT_EQ(one.state, CheckpointState::committed) << "after " << stops << " stops";
        for (std::size_t i = 1; i < left.size(); ++i)
            ASSERT_TRUE(remove_checkpoint(left[i].folder));
        ASSERT_EQ(files_in(dir.path()), files_of_one) << "after " << stops << " stops";
        if (ended) break;
    }
    EXPECT_GT(absent, 40);
    EXPECT_GT(whole, 1);
}

class SmallDisk : public testing::Test {
  protected:
    void SetUp() override {
        disk_ = dir_.path() / "disk";
        fs::create_directory(disk_);
        ASSERT_EQ(::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=256k"), 0) << std::strerror(errno);
    }
    void TearDown() override { EXPECT_EQ(::umount(disk_.c_str()), 0) << std::strerror(errno); }
    std::uint64_t free_bytes() const { return fs::space(disk_).free; }

    TemporaryFolder dir_;
    fs::path disk_;
};

TEST_F(SmallDisk, IsFull) {
    ASSERT_TRUE(save(disk_, "d", {some_pairs()}));
    const std::uint64_t free = free_bytes();
    const auto saved = save(disk_, "d", {some_pairs(), {{.key = "k", .value = std::string(300'000, 'v')}}});
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().code, Errc::system);
    EXPECT_NE(saved.error().message().find("No space left"), std::string::npos) << saved.error().message();
    EXPECT_NE(saved.error().message().find(file_name(1)), std::string::npos) << saved.error().message();
    EXPECT_EQ(free_bytes(), free) << "the space is given back";
    EXPECT_EQ(list_checkpoints(disk_)->size(), 1u);
    EXPECT_TRUE(verify(*find_checkpoint(disk_), nullptr));
}

/// Whichever write it is that finds the disk full.
TEST_F(SmallDisk, IsFullAtAnyWrite) {
    ASSERT_TRUE(save(disk_, "d", {some_pairs()}));
    int failed = 0;
    for (std::uint64_t left = 0;; left += 4096) {
        const fs::path ballast = disk_ / "ballast";
        write_content(ballast, std::string(free_bytes() - std::min(free_bytes(), left), 'b'));
        const bool saved = save(disk_, "d", {some_pairs(), some_pairs()}).has_value();
        fs::remove(ballast);
        ASSERT_TRUE(verify(*find_checkpoint(disk_), nullptr));
        ASSERT_EQ(find_checkpoint(disk_)->commit.generation == 1, !saved);
        ASSERT_EQ(list_checkpoints(disk_)->size(), saved ? 2u : 1u) << left;
        if (saved) break;
        ++failed;
    }
    EXPECT_GT(failed, 4);
}

TEST_F(SmallDisk, IsReadOnly) {
    const auto saved = save(disk_, "d", {some_pairs()});
    ASSERT_TRUE(saved) << saved.error().message();
    ASSERT_EQ(::mount(nullptr, disk_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
    const auto refused = save(disk_, "d", {some_pairs()});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::system);
    EXPECT_NE(refused.error().message().find("Read-only"), std::string::npos) << refused.error().message();
    EXPECT_FALSE(remove_checkpoint(saved->folder));
    // To read it needs nothing.
    EXPECT_EQ(list_checkpoints(disk_)->size(), 1u);
    EXPECT_TRUE(verify(*find_checkpoint(disk_), nullptr));
    EXPECT_EQ(pairs_of(*find_checkpoint(disk_)).value(), sorted(some_pairs()));
}

}  // namespace
}  // namespace ddict::persist
