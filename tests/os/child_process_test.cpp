// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/child_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tests/os/failing_calls.h"

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

}  // namespace
}  // namespace ddict::os
