// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/process_watch.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace ddict::ucx {
namespace {

int open_pidfd(std::int32_t pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

Error ended(std::int32_t pid) {
    return Error(Errc::manager_lost, "process " + std::to_string(pid) + " of this host has ended");
}

/// A field of /proc/PID/stat, counted as in proc(5), from 3 on; empty if there is no such process.
std::string stat_field(std::int32_t pid, int number) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    std::FILE* file = std::fopen(path.c_str(), "re");
    if (file == nullptr) return {};
    std::array<char, 1024> text;
    const std::size_t size = std::fread(text.data(), 1, text.size() - 1, file);
    std::fclose(file);
    text[size] = '\0';
    // The second field is the program's name in parentheses and may hold anything.
    const char* at = std::strrchr(text.data(), ')');
    for (int field = 2; at != nullptr && field < number; ++field)
        at = std::strchr(at + 1, ' ');
    if (at == nullptr) return {};
    return std::string(at + 1, std::strcspn(at + 1, " "));
}

}  // namespace

std::optional<std::uint64_t> start_time_of(std::int32_t pid) {
    const std::string start = stat_field(pid, 22);
    if (start.empty()) return std::nullopt;
    return std::strtoull(start.c_str(), nullptr, 10);
}

bool process_watch_supported() {
    static const bool supported = [] {
        const int fd = open_pidfd(static_cast<std::int32_t>(::getpid()));
        if (fd >= 0) ::close(fd);
        return fd >= 0;
    }();
    return supported;
}

Result<ProcessWatch> ProcessWatch::open(const ProcessIdentity& process) {
    const int fd = open_pidfd(process.pid);
    if (fd < 0) {
        if (errno == ESRCH || errno == EINVAL) return ended(process.pid);
        return Error(Errc::system, std::string("pidfd_open: ") + std::strerror(errno));
    }
    ProcessWatch watch(fd, process.pid);
    // Read after the descriptor was opened: an equal start time means that the descriptor is of the process
    // meant.
    if (start_time_of(process.pid) != process.start_time || !watch.alive()) return ended(process.pid);
    return watch;
}

ProcessWatch& ProcessWatch::operator=(ProcessWatch&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(pid_, other.pid_);
    return *this;
}

ProcessWatch::~ProcessWatch() {
    if (fd_ >= 0) ::close(fd_);
}

bool ProcessWatch::stopped() const {
    const std::string state = stat_field(pid_, 3);
    return state == "T" || state == "t";
}

bool ProcessWatch::alive() const noexcept {
    pollfd entry{fd_, POLLIN, 0};
    return ::poll(&entry, 1, 0) == 0;
}

}  // namespace ddict::ucx
