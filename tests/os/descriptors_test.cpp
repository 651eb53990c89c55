// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <functional>

namespace ddict::os {
namespace {

/// In a child, since it is about the descriptors of a whole process.
bool holds_in_a_child(const std::function<bool()>& check) {
    const pid_t child = fork();
    if (child == 0) _exit(check() ? 0 : 1);
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool is_closed_on_exec(int fd) {
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

/// As an old kernel, or a sandbox: close_range() does not exist.
bool forbid_close_range() {
    std::array<sock_filter, 4> rules{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog program{rules.size(), rules.data()};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
           syscall(SYS_close_range, 1000, 1000, 0) == -1 && errno == ENOSYS;
}

TEST(DescriptorsTest, ClosedStandardDescriptorsAreOpened) {
    EXPECT_TRUE(holds_in_a_child([] {
        for (const int fd : {0, 2})
            close(fd);
        ensure_standard_descriptors();
        char byte = 0;
        return is_closed_on_exec(0) && is_closed_on_exec(2) && !is_closed_on_exec(1) &&
               write(2, "x", 1) == -1 && errno == EBADF && read(0, &byte, 1) == -1 && errno == EBADF;
    }));
}

TEST(DescriptorsTest, AllFromOneOnAreClosedOnExec) {
    for (const bool forbidden : {false, true}) {
        EXPECT_TRUE(holds_in_a_child([forbidden] {
            if (forbidden && !forbid_close_range()) return false;
            const int low = fcntl(0, F_DUPFD, 20);
            const int high = fcntl(0, F_DUPFD, 200);
            close_on_exec_from(low + 1);
            return !is_closed_on_exec(low) && is_closed_on_exec(high);
        })) << forbidden;
    }
}

TEST(DescriptorsTest, AllButOneAreClosed) {
    for (const bool forbidden : {false, true}) {
        EXPECT_TRUE(holds_in_a_child([forbidden] {
            if (forbidden && !forbid_close_range()) return false;
            const int low = fcntl(0, F_DUPFD, 20);
            const int kept = fcntl(0, F_DUPFD, 100);
            const int high = fcntl(0, F_DUPFD, 200);
            close_all_from(3, kept);
            return fcntl(low, F_GETFD) < 0 && fcntl(kept, F_GETFD) >= 0 && fcntl(high, F_GETFD) < 0 &&
                   fcntl(2, F_GETFD) >= 0;
        })) << forbidden;
    }
}

TEST(DescriptorsTest, MovesOutOfTheWay) {
    EXPECT_TRUE(holds_in_a_child([] {
        close(1);
        const int fd = open("/dev/null", O_RDONLY);
        const int moved = above_standard(fd);
        return fd == 1 && moved > 2 && fcntl(1, F_GETFD) < 0 && is_closed_on_exec(moved) &&
               above_standard(moved) == moved;
    }));
}

}  // namespace
}  // namespace ddict::os
