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

}  // namespace

std::optional<std::uint64_t> start_time_of(std::int32_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    std::FILE* file = std::fopen(path.c_str(), "re");
    if (file == nullptr) return std::nullopt;
    std::array<char, 1024> text;
    const std::size_t size = std::fread(text.data(), 1, text.size() - 1, file);
    std::fclose(file);
    text[size] = '\0';
    // The second field is the program's name in parentheses and may hold anything; the start time is
    // field 22.
    const char* at = std::strrchr(text.data(), ')');
    for (int field = 2; at != nullptr && field < 22; ++field)
        at = std::strchr(at + 1, ' ');
    if (at == nullptr) return std::nullopt;
    return std::strtoull(at, nullptr, 10);
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
    ProcessWatch watch(fd);
    // Read after the descriptor was opened: an equal start time means that the descriptor is of the process
    // meant.
    if (start_time_of(process.pid) != process.start_time || !watch.alive()) return ended(process.pid);
    return watch;
}

ProcessWatch& ProcessWatch::operator=(ProcessWatch&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

ProcessWatch::~ProcessWatch() {
    if (fd_ >= 0) ::close(fd_);
}

bool ProcessWatch::alive() const noexcept {
    pollfd entry{fd_, POLLIN, 0};
    return ::poll(&entry, 1, 0) == 0;
}

}  // namespace ddict::ucx
