// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/host_identity.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <string_view>

#include "base/process_identity.h"
#include "os/process_watch.h"

namespace ddict::ucx {
namespace {

TEST(HostIdentity, NamesThisProcess) {
    const ProcessIdentity identity = own_identity(true).value();
    EXPECT_EQ(identity.pid, ::getpid());
    EXPECT_NE(identity.start_time, 0U);
    EXPECT_NE(identity.host_key, 0U);
    EXPECT_EQ(identity.host_key, own_identity(true).value().host_key);
    EXPECT_EQ(identity.start_time, os::start_time_of(identity.pid).value());
}

TEST(HostIdentity, WithoutSharedMemoryEveryProcessIsAlone) {
    EXPECT_NE(own_identity(false).value().host_key, own_identity(true).value().host_key);
    EXPECT_EQ(own_identity(false).value().host_key, own_identity(false).value().host_key);
}

TEST(HostIdentity, IsSharedWithAChild) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const ProcessIdentity identity = own_identity(true).value();
        _exit(::write(ends[1], &identity, sizeof identity) == sizeof identity ? 0 : 1);
    }
    ProcessIdentity identity;
    ASSERT_EQ(::read(ends[0], &identity, sizeof identity), static_cast<ssize_t>(sizeof identity));
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(identity.host_key, own_identity(true).value().host_key);
    EXPECT_EQ(identity.pid, child);
    ::close(ends[0]);
    ::close(ends[1]);
}

/// A child that waits to be killed, and who it is.
struct Victim {
    Victim() : pid(::fork()) {
        if (pid == 0) {
            for (;;)
                ::pause();
        }
        identity.pid = pid;
        identity.start_time = os::start_time_of(pid).value();
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

TEST(os::ProcessWatch, ShowsTheEndOfAProcess) {
    Victim victim;
    auto watch = os::ProcessWatch::open(victim.identity);
    ASSERT_TRUE(watch) << watch.error().message();
    EXPECT_TRUE(watch->alive());
    pollfd entry{watch->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&entry, 1, 0), 0);
    victim.kill();
    EXPECT_EQ(::poll(&entry, 1, 10'000), 1);
    EXPECT_FALSE(watch->alive());
}

/// From now on poll() fails in this process, as it does when a signal is on its way.
bool make_poll_fail(unsigned error) {
    std::array<sock_filter, 5> program{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_poll, 1, 0),
                                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ppoll, 0, 1),
                                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
                                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

class ProcessWatchWithoutPoll : public testing::TestWithParam<int> {};

TEST_P(ProcessWatchWithoutPoll, DoesNotTakeThatForTheEndOfTheProcess) {
    Victim victim;
    const pid_t child = ::fork();
    if (child == 0) {
        const auto before = os::ProcessWatch::open(victim.identity);
        if (!before || !make_poll_fail(static_cast<unsigned>(GetParam()))) _exit(2);
        _exit(before->alive() && os::ProcessWatch::open(victim.identity) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}
INSTANTIATE_TEST_SUITE_P(Errors, ProcessWatchWithoutPoll, testing::Values(EINTR, ENOMEM, EAGAIN));

/// A program may close what it does not know, as daemons do.
TEST(os::ProcessWatch, DoesNotTakeAClosedDescriptorForTheEndOfTheProcess) {
    Victim victim;
    const pid_t child = ::fork();
    if (child == 0) {
        const auto watch = os::ProcessWatch::open(victim.identity);
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
TEST(os::ProcessWatch, KnowsAProcessFromAnotherTimeNamespaceToo) {
    Victim victim;
    EXPECT_TRUE(holds_in_another_time([&] {
        return os::start_time_of(victim.pid).value() == victim.identity.start_time &&
               os::ProcessWatch::open(victim.identity).has_value();
    }));
    EXPECT_TRUE(holds_in_another_time([] {
        const ProcessIdentity own = own_identity(true).value();
        return os::start_time_of(own.pid).value() == own.start_time;
    }));
    victim.kill();
    EXPECT_TRUE(holds_in_another_time(
        [&] { return os::ProcessWatch::open(victim.identity).error().code == Errc::manager_lost; }));
}

TEST(os::ProcessWatch, RefusesAProcessThatHasEnded) {
    Victim victim;
    victim.kill();
    const auto watch = os::ProcessWatch::open(victim.identity);
    ASSERT_FALSE(watch);
    EXPECT_EQ(watch.error().code, Errc::manager_lost);
}

TEST(os::ProcessWatch, IsNotFooledByAReusedPid) {
    Victim victim;
    ++victim.identity.start_time;
    const auto watch = os::ProcessWatch::open(victim.identity);
    ASSERT_FALSE(watch);
    EXPECT_EQ(watch.error().code, Errc::manager_lost);
}

}  // namespace
}  // namespace ddict::ucx
