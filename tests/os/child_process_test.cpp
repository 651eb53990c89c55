// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/child_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "tests/os/failing_calls.h"
#include "tests/os/held_program.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict::os {
namespace {

using testing::make_fail;

ChildProcess shell(const std::string& script) {
    SpawnOptions options;
    options.program = "/bin/sh";
    options.argv = {"sh", "-c", script};
    options.environment = environment_of_this_process();
    auto child = ChildProcess::spawn(options);
    EXPECT_TRUE(child) << child.error().message();
    return *std::move(child);
}

std::optional<ExitStatus> end_of(ChildProcess& child) {
    pollfd ended{child.pidfd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ended, 1, 10'000), 1);
    return child.reap();
}

TEST(ChildProcess, TellsHowAProgramEnded) {
    ChildProcess returns = shell("exit 7");
    EXPECT_EQ(end_of(returns)->for_shell(), 7);
    EXPECT_FALSE(returns.running());
    EXPECT_EQ(returns.reap(), std::nullopt);
    ChildProcess killed = shell("kill -9 $$");
    const auto status = end_of(killed);
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->signalled);
    EXPECT_EQ(status->for_shell(), 137);
}

TEST(CaptureOutput, OfAProgramThatPrintsWithoutEndTakesSoMuch) {
    const auto capture = [](const std::string& script) {
        return capture_output({"/bin/sh", "-c", script}, environment_of_this_process(),
                              std::chrono::seconds(60));
    };
    const auto endless = capture("exec yes");
    ASSERT_FALSE(endless);
    EXPECT_EQ(endless.error().code, Errc::too_large) << endless.error().message();
    const auto complains = capture("yes | head -c 20000000 >&2; echo the end >&2");
    ASSERT_TRUE(complains) << complains.error().message();
    EXPECT_TRUE(complains->errors.ends_with("the end\n"));
    EXPECT_LT(complains->errors.size(), std::size_t{5} << 20);
}

TEST(ChildProcess, IsNotReapedWhileItRuns) {
    ChildProcess child = shell("exec sleep 1000");
    EXPECT_EQ(child.reap(), std::nullopt);
    EXPECT_TRUE(child.running());
}

TEST(ChildProcess, ThatSomebodyElseHasReapedHasEndedAndFailed) {
    ChildProcess child = shell("exit 0");
    ASSERT_EQ(::waitpid(child.pid(), nullptr, 0), child.pid());
    const auto status = child.reap();
    ASSERT_TRUE(status);
    EXPECT_FALSE(status->success());
    EXPECT_FALSE(child.running());
}

/// Linux before 5.4 can watch a process by descriptor, but not wait for one.
TEST(ChildProcess, NeedsNoWaitingByDescriptor) {
    const pid_t test = ::fork();
    if (test == 0) {
        if (!make_fail({SYS_waitid}, ENOSYS)) _exit(2);
        ChildProcess child = shell("exit 3");
        const auto status = end_of(child);
        _exit(status && status->for_shell() == 3 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(test, &status, 0), test);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

/// Whether a child of this process, in which a call fails, is content.
template <class Check>
bool holds_without(unsigned call, int error, Check check) {
    const pid_t test = ::fork();
    if (test == 0) {
        if (!make_fail({call}, error)) _exit(2);
        _exit(check() ? 0 : 1);
    }
    int status = -1;
    return ::waitpid(test, &status, 0) == test && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(ChildProcess, ThatCannotBeWatchedIsRefusedWithTheReason) {
    EXPECT_TRUE(holds_without(SYS_pidfd_open, EPERM, [] {
        SpawnOptions options;
        options.program = "/bin/sh";
        options.argv = {"sh", "-c", "exec sleep 1000"};
        const auto child = ChildProcess::spawn(options);
        const std::string why = child ? "" : child.error().message();
        return why.find("cannot watch the process of /bin/sh (pidfd_open): Operation not permitted") !=
                   why.npos &&
               ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
    }));
}

TEST(ChildProcess, RunsWhereItMayNotAskForItsParentsEnd) {
    EXPECT_TRUE(holds_without(SYS_prctl, EPERM, [] {
        SpawnOptions options;
        options.program = "/bin/sh";
        options.argv = {"sh", "-c", "exit 3"};
        options.parent_death_signal = SIGTERM;
        auto child = ChildProcess::spawn(options);
        if (!child) return false;
        const auto status = end_of(*child);
        return status && status->for_shell() == 3;
    }));
}

/// A folder that ends with the test.
class ChildProcessFolder : public ::testing::Test {
  protected:
    SpawnOptions options(const std::string& program) const {
        SpawnOptions options;
        options.program = program;
        options.argv = {program};
        return options;
    }
    const TemporaryFolder temporary_;
    const std::string folder_ = temporary_.path().string();
};

TEST_F(ChildProcessFolder, IsStartedWithoutWaitingForTheFileSystem) {
    testing::HeldProgram program("/bin/true", folder_ + "/program");
    ASSERT_TRUE(program.is_held());
    const auto before = std::chrono::steady_clock::now();
    auto child = ChildProcess::start(options(program.path()));
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
    ASSERT_TRUE(child) << child.error().message();
    pollfd ended{child->pidfd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ended, 1, 100), 0) << "it is not executed yet";
    EXPECT_EQ(child->reap(), std::nullopt);
    program.release();
    const auto status = end_of(*child);
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->success()) << status->describe();
}

TEST_F(ChildProcessFolder, OneThatIsNotExecutedYetCanBeKilled) {
    testing::HeldProgram program("/bin/true", folder_ + "/program");
    ASSERT_TRUE(program.is_held());
    SpawnOptions group = options(program.path());
    group.own_process_group = true;
    auto child = ChildProcess::start(group);
    ASSERT_TRUE(child) << child.error().message();
    child->signal_group(SIGKILL);
    const auto status = end_of(*child);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->for_shell(), 128 + SIGKILL);
    EXPECT_EQ(status->exec_error, 0);
}

TEST_F(ChildProcessFolder, WhyItCouldNotBeExecutedComesWithItsEnd) {
    for (const auto& [program, error] : {std::pair{folder_ + "/none", ENOENT}, std::pair{folder_, EACCES},
                                         std::pair{std::string("/dev/null"), EACCES}}) {
        auto child = ChildProcess::start(options(program));
        ASSERT_TRUE(child) << child.error().message();
        ChildProcess moved = *std::move(child);
        const auto status = end_of(moved);
        ASSERT_TRUE(status);
        EXPECT_FALSE(status->success());
        EXPECT_EQ(status->exec_error, error) << program;
        EXPECT_EQ(status->describe(), std::string("could not be run: ") + std::strerror(error));
        const auto spawned = ChildProcess::spawn(options(program));
        ASSERT_FALSE(spawned);
        EXPECT_NE(spawned.error().message().find(std::strerror(error)), std::string::npos);
    }
}

TEST_F(ChildProcessFolder, AProgramThatEndsWith127HasBeenExecuted) {
    ChildProcess child = shell("exit 127");
    const auto status = end_of(child);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->exec_error, 0);
    EXPECT_EQ(status->describe(), "ended with status 127");
}

}  // namespace
}  // namespace ddict::os
