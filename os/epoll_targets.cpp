// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/epoll_targets.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "os/file_descriptor.h"

namespace ddict::os {
namespace {

// The kernel nests epoll sets no deeper.
constexpr unsigned sets_deep_max = 5;
// Those of the calling thread: they stay when the thread that ran main() has ended.
constexpr const char* own_descriptors = "/proc/thread-self/fd";

/// What an open descriptor stands for. Sets, timers and events have one inode in common, all else its own.
struct FileIdentity {
    std::uint64_t inode = 0;
    std::uint64_t device = 0;  ///< as the kernel prints it
    bool operator==(const FileIdentity&) const = default;
};

struct Target {
    int fd = -1;
    FileIdentity file;
};

std::optional<struct stat> status_of(int fd) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return {};
    return status;
}

FileIdentity identity_in(const struct stat& status) noexcept {
    const std::uint64_t device = std::uint64_t{major(status.st_dev)} << 20 | minor(status.st_dev);
    return {.inode = status.st_ino, .device = device};
}

/// The number behind a label, which all that is read to is taken from; false if it is not there.
template <class Number>
bool take_number(std::string_view& line, std::string_view label, int base, Number& number) noexcept {
    const std::size_t at = line.find(label);
    if (at == line.npos) return false;
    line.remove_prefix(at + label.size());
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    return std::from_chars(line.data(), line.data() + line.size(), number, base).ec == std::errc();
}

/// "tfd:       14 events:       19 data:                e  pos:0 ino:22e7d3b sdev:8". Linux before 4.13 tells
/// no inodes: there nothing is found.
std::optional<Target> target_in(std::string_view line) noexcept {
    Target target;
    if (!take_number(line, "tfd:", 10, target.fd) || !take_number(line, "ino:", 16, target.file.inode) ||
        !take_number(line, "sdev:", 16, target.file.device))
        return {};
    return target;
}

/// Calls `action` for what is registered in an epoll set; for nothing if it is none. Returns 0 or an errno.
template <class Action>
int for_each_target(int epoll, Action action) {
    std::array<char, 64> path;
    std::snprintf(path.data(), path.size(), "/proc/thread-self/fdinfo/%d", epoll);
    const FileDescriptor info(::open(path.data(), O_RDONLY | O_CLOEXEC));
    if (!info.is_open()) return errno;
    std::array<char, 4096> buffer;
    for (std::size_t held = 0;;) {
        const ssize_t got = ::read(info.fd(), buffer.data() + held, buffer.size() - held);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got == 0 ? 0 : errno;
        std::string_view text(buffer.data(), held + static_cast<std::size_t>(got));
        for (std::size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
            if (const auto target = target_in(text.substr(0, end))) action(*target);
        }
        held = text.size() < buffer.size() ? text.size() : 0;  // no line is as long as the buffer
        std::memmove(buffer.data(), text.data(), held);
    }
}

struct CloseFolder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

/// Calls `action` for each open descriptor of this process. Returns 0 or an errno.
template <class Action>
int for_each_descriptor(Action action) {
    const std::unique_ptr<DIR, CloseFolder> folder(::opendir(own_descriptors));
    if (folder == nullptr) return errno;
    errno = 0;
    while (const dirent* entry = ::readdir(folder.get())) {
        if (entry->d_name[0] != '.') action(std::atoi(entry->d_name));
        errno = 0;
    }
    return errno;
}

/// If its number still stands for the same file.
void close_on_exec(const Target& target) noexcept {
    const int flags = ::fcntl(target.fd, F_GETFD);
    if (flags < 0 || (flags & FD_CLOEXEC) != 0) return;
    const auto status = status_of(target.fd);
    if (status && identity_in(*status) == target.file) ::fcntl(target.fd, F_SETFD, flags | FD_CLOEXEC);
}

int close_registered_on_exec(int epoll, unsigned deep) noexcept {
    const auto own = status_of(epoll);
    if (!own) return errno;
    const FileIdentity of_sets = identity_in(*own);
    int failure = 0;
    const int error = for_each_target(epoll, [&](const Target& target) {
        close_on_exec(target);
        if (deep <= 1 || target.file != of_sets) return;
        if (const int nested = close_registered_on_exec(target.fd, deep - 1); nested != 0) failure = nested;
    });
    return error != 0 ? error : failure;
}

bool is_epoll_set(int fd) noexcept {
    std::array<char, 64> path;
    std::array<char, 64> file;
    std::snprintf(path.data(), path.size(), "%s/%d", own_descriptors, fd);
    const ssize_t bytes = ::readlink(path.data(), file.data(), file.size());
    return bytes > 0 &&
           std::string_view(file.data(), static_cast<std::size_t>(bytes)) == "anon_inode:[eventpoll]";
}

}  // namespace

int epoll_set_with(int fd) {
    const auto status = status_of(fd);
    if (!status) return -1;
    const FileIdentity file = identity_in(*status);
    int found = -1;
    for_each_descriptor([&](int epoll) {
        if (found >= 0 || !is_epoll_set(epoll)) return;
        for_each_target(epoll, [&](const Target& target) {
            if (target.fd == fd && target.file == file) found = epoll;
        });
    });
    return found;
}

int close_registered_on_exec(int epoll, Registered which) noexcept {
    return close_registered_on_exec(epoll, which == Registered::in_nested_sets ? sets_deep_max : 1U);
}

int close_other_pipe_ends_on_exec(int epoll) {
    std::vector<FileIdentity> pipes;
    const int error = for_each_target(epoll, [&](const Target& target) {
        const auto status = status_of(target.fd);
        if (status && S_ISFIFO(status->st_mode) && identity_in(*status) == target.file)
            pipes.push_back(target.file);
    });
    if (error != 0 || pipes.empty()) return error;
    return for_each_descriptor([&](int fd) {
        const auto status = status_of(fd);
        if (!status || !S_ISFIFO(status->st_mode)) return;
        const FileIdentity file = identity_in(*status);
        if (std::find(pipes.begin(), pipes.end(), file) != pipes.end())
            close_on_exec({.fd = fd, .file = file});
    });
}

}  // namespace ddict::os
