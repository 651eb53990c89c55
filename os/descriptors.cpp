// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/descriptors.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ddict::os {
namespace {

constexpr rlim_t descriptors_tried_max = 1 << 20;

/// As the kernel lays it out for getdents64().
struct DirectoryRecord {
    std::uint64_t inode;
    std::int64_t offset;
    unsigned short bytes;
    unsigned char type;
    char name[1];
};

bool range(int first, unsigned last, unsigned flags) {
    return syscall(SYS_close_range, static_cast<unsigned>(first), last, flags) == 0;
}

/// A number, or -1. Without the C library's help: it may take locks.
int number_in(const char* text) {
    int number = 0;
    for (; *text >= '0' && *text <= '9'; ++text)
        number = number * 10 + (*text - '0');
    return *text == '\0' ? number : -1;
}

/// Without /proc.
template <class Action>
void for_each_number_from(int first, Action action) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = first; fd < static_cast<int>(std::min(limit.rlim_cur, descriptors_tried_max)); ++fd)
        action(fd);
}

/// Does something to each open descriptor from `first` on, where the kernel has no close_range() (before 5.9;
/// with its flag before 5.11) or a sandbox forbids it.
template <class Action>
void for_each_from(int first, Action action) {
    const int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return for_each_number_from(first, action);
    alignas(DirectoryRecord) char buffer[4096];
    for (;;) {
        const long got = syscall(SYS_getdents64, folder, buffer, sizeof buffer);
        if (got <= 0) break;
        for (long at = 0; at < got;) {
            unsigned short bytes = 0;
            std::memcpy(&bytes, buffer + at + offsetof(DirectoryRecord, bytes), sizeof bytes);
            const int fd = number_in(buffer + at + offsetof(DirectoryRecord, name));
            if (fd >= first && fd != folder) action(fd);
            at += bytes;
        }
    }
    close(folder);
}

}  // namespace

void ensure_standard_descriptors() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest one that is free, since those below are open.
        open("/dev/null", (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    }
}

void close_on_exec(int fd) noexcept {
    if (const int flags = fcntl(fd, F_GETFD); flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

void close_on_exec_from(int first) {
    if (!range(first, ~0U, CLOSE_RANGE_CLOEXEC)) for_each_from(first, close_on_exec);
}

void close_all_from(int first, int kept) {
    if (kept < first) kept = first - 1;
    const bool below = kept <= first || range(first, static_cast<unsigned>(kept) - 1, 0);
    if (below && range(kept + 1, ~0U, 0)) return;
    for_each_from(first, [kept](int fd) {
        if (fd != kept) close(fd);
    });
}

int above_standard(int fd) {
    if (fd < 0 || fd > 2) return fd;
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    const int error = errno;
    close(fd);
    errno = error;
    return moved;
}

}  // namespace ddict::os
