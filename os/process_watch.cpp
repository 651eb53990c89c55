// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/process_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "os/boot_clock.h"
#include "os/error.h"

namespace ddict::os {
namespace {

int open_pidfd(std::int32_t pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

Error ended(std::int32_t pid) {
    return Error(Errc::manager_lost, "process " + std::to_string(pid) + " of this host has ended")
        .set_state(ManagerState::ended);
}

/// A field of /proc/PID/stat, counted as in proc(5), from 3 on. Read without stdio, which allocates.
Result<std::string> stat_field(std::int32_t pid, int number) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno == ENOENT ? ended(pid) : error_of(errno, "reading " + path);
    std::array<char, 1024> text;
    const ssize_t size = ::read(file, text.data(), text.size() - 1);
    const int error = errno;
    ::close(file);
    if (size < 0) return error == ESRCH ? ended(pid) : error_of(error, "reading " + path);
    text[static_cast<std::size_t>(size)] = '\0';
    // The second field is the program's name in parentheses and may hold anything.
    const char* at = std::strrchr(text.data(), ')');
    for (int field = 2; at != nullptr && field < number; ++field)
        at = std::strchr(at + 1, ' ');
    if (at == nullptr) return Error(Errc::system, path + " is not what Linux writes there");
    return std::string(at + 1, std::strcspn(at + 1, " "));
}

}  // namespace

Result<std::uint64_t> start_time_of(std::int32_t pid) {
    const Result<std::string> start = stat_field(pid, 22);
    if (!start) return start.error();
    const Result<std::int64_t> ahead = boot_clock_ahead_ticks();
    if (!ahead) return ahead.error();
    return std::strtoull(start->c_str(), nullptr, 10) - static_cast<std::uint64_t>(*ahead);
}

Result<bool> process_watch_supported() {
    enum : int { unknown, no, yes };
    static std::atomic<int> supported{unknown};  // what is asked once is known for ever, a failure is not
    if (const int known = supported; known != unknown) return known == yes;
    const int fd = open_pidfd(static_cast<std::int32_t>(::getpid()));
    if (fd >= 0) {
        ::close(fd);
    } else if (errno != ENOSYS && errno != EPERM) {  // EPERM: a filter of system calls
        return error_of(errno, "watching a process");
    }
    supported = fd >= 0 ? yes : no;
    return fd >= 0;
}

Result<ProcessWatch> ProcessWatch::open(const ProcessIdentity& process) {
    const std::string watching = "watching process " + std::to_string(process.pid);
    if (process.pid <= 0) return Error(Errc::bad_handle, watching + ": there is no such number");
    const int fd = open_pidfd(process.pid);
    if (fd < 0) {
        // The last two: the number is a thread's by now.
        if (errno == ESRCH || errno == EINVAL || errno == ENOENT) return ended(process.pid);
        return error_of(errno, watching);
    }
    ProcessWatch watch(fd, process.pid);
    // Read after the descriptor was opened: an equal start time means that the descriptor is of the process
    // meant.
    const Result<std::uint64_t> start = start_time_of(process.pid);
    if (!watch.alive() || (start && *start != process.start_time)) return ended(process.pid);
    if (start) return watch;
    if (start.error().code != Errc::manager_lost) return start.error();
    return Error(Errc::system, watching + ": it lives, but this process may not see it in /proc");
}

ProcessWatch& ProcessWatch::operator=(ProcessWatch&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(pid_, other.pid_);
    return *this;
}

ProcessWatch::~ProcessWatch() {
    if (fd_ >= 0) ::close(fd_);
}

bool ProcessWatch::may_be_stopped() const {
    const Result<std::string> state = stat_field(pid_, 3);
    if (!state) return state.error().code != Errc::manager_lost;
    return *state == "T" || *state == "t";
}

bool ProcessWatch::alive() const noexcept {
    // A call that fails (a signal is on its way, memory is short) or that knows no such descriptor tells
    // nothing.
    pollfd entry{fd_, POLLIN, 0};
    return ::poll(&entry, 1, 0) <= 0 || (entry.revents & POLLIN) == 0;
}

}  // namespace ddict::os
