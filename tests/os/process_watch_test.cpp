// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/process_watch.h"
#include "os/process_stat.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string_view>

#include "tests/os/failing_calls.h"

namespace ddict::os {
namespace {

using testing::make_fail;

/// A child that waits to be killed, and who it is.
struct Victim {
    Victim() : pid(::fork()) {
        if (pid == 0) {
            for (;;)
                ::pause();
        }
        identity.pid = pid;
        identity.start_time = process_stat(pid).value().start_time;
    }
    ~Victim() { kill(); }
    void kill() {
        if (pid <= 0) return;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        pid = -1;
    }
    pid_t pid;
    ProcessIdentity identity;
};

TEST(ProcessWatch, ShowsTheEndOfAProcess) {
    Victim victim;
    auto watch = ProcessWatch::open(victim.identity);
    ASSERT_TRUE(watch) << watch.error().message();
    EXPECT_TRUE(watch->alive());
    pollfd entry{watch->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&entry, 1, 0), 0);
    victim.kill();
    EXPECT_EQ(::poll(&entry, 1, 10'000), 1);
    EXPECT_FALSE(watch->alive());
}

class ProcessWatchWithoutPoll : public ::testing::TestWithParam<int> {};

TEST_P(ProcessWatchWithoutPoll, DoesNotTakeThatForTheEndOfTheProcess) {
    Victim victim;
    const pid_t child = ::fork();
    if (child == 0) {
        const auto before = ProcessWatch::open(victim.identity);
        if (!before || !make_fail({SYS_poll, SYS_ppoll}, GetParam())) _exit(2);
        _exit(before->alive() && ProcessWatch::open(victim.identity) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}
INSTANTIATE_TEST_SUITE_P(Errors, ProcessWatchWithoutPoll, ::testing::Values(EINTR, ENOMEM, EAGAIN));

/// A program may close what it does not know, as daemons do.
TEST(ProcessWatch, DoesNotTakeAClosedDescriptorForTheEndOfTheProcess) {
    Victim victim;
    const pid_t child = ::fork();
    if (child == 0) {
        const auto watch = ProcessWatch::open(victim.identity);
        if (!watch || ::close(watch->fd()) != 0) _exit(2);
        _exit(watch->alive() ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

/// Runs a check in a time namespace where the host seems to have been up for longer; false if it fails there.
bool holds_in_another_time(const std::function<bool()>& check) {
    constexpr int new_time_namespace = 0x80;  // CLONE_NEWTIME
    const auto run = [](const std::function<int()>& part) {
        const pid_t child = ::fork();
        if (child == 0) _exit(part());
        int status = -1;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    };
    return run([&] {
               if (::unshare(new_time_namespace) != 0 && ::unshare(CLONE_NEWUSER | new_time_namespace) != 0)
                   return 2;
               constexpr std::string_view shift = "boottime 1000 0";
               const int file = ::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
               if (::write(file, shift.data(), shift.size()) != static_cast<ssize_t>(shift.size())) return 3;
               return run([&] { return check() ? 0 : 4; });
           }) == 0;
}

/// Their start times differ for who looks.
TEST(ProcessWatch, KnowsAProcessFromAnotherTimeNamespaceToo) {
    Victim victim;
    EXPECT_TRUE(holds_in_another_time([&] {
        return process_stat(victim.pid).value().start_time == victim.identity.start_time &&
               ProcessWatch::open(victim.identity).has_value();
    }));
    victim.kill();
    EXPECT_TRUE(holds_in_another_time(
        [&] { return ProcessWatch::open(victim.identity).error().code == Errc::manager_lost; }));
}

TEST(ProcessWatch, RefusesAProcessThatHasEnded) {
    Victim victim;
    victim.kill();
    const auto watch = ProcessWatch::open(victim.identity);
    ASSERT_FALSE(watch);
    EXPECT_EQ(watch.error().code, Errc::manager_lost);
}

TEST(ProcessWatch, IsNotFooledByAReusedPid) {
    Victim victim;
    ++victim.identity.start_time;
    const auto watch = ProcessWatch::open(victim.identity);
    ASSERT_FALSE(watch);
    EXPECT_EQ(watch.error().code, Errc::manager_lost);
}

}  // namespace
}  // namespace ddict::os
