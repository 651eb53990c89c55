// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/error.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

namespace ddict::os {
namespace {

unsigned long long descriptors_allowed() noexcept {
    rlimit files{};
    return ::getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 0;
}

}  // namespace

Error error_of(int error, std::string_view doing) noexcept {
    char text[sizeof(Error::detail)];
    const int length = static_cast<int>(doing.size());
    switch (error) {
        case EMFILE:
            std::snprintf(text, sizeof text,
                          "%.*s: this process has used up its file descriptors (ulimit -n: %llu): raise the "
                          "limit, or close some",
                          length, doing.data(), descriptors_allowed());
            break;
        case ENFILE:
            std::snprintf(text, sizeof text,
                          "%.*s: this host has used up its file descriptors (sysctl fs.file-max)", length,
                          doing.data());
            break;
        case ENOSPC:
            std::snprintf(text, sizeof text,
                          "%.*s: this user watches too many files (sysctl fs.epoll.max_user_watches)", length,
                          doing.data());
            break;
        case ENOMEM:
        case ENOBUFS:
            std::snprintf(text, sizeof text, "%.*s: the kernel has no memory left for this process", length,
                          doing.data());
            break;
        default:
            std::snprintf(text, sizeof text, "%.*s: %s", length, doing.data(), std::strerror(error));
    }
    return Error(Errc::system, text);
}

Result<void> need_descriptors(unsigned count, std::string_view doing) {
    std::vector<int> opened;
    opened.reserve(count);
    int error = 0;
    while (error == 0 && opened.size() < count) {
        const int fd = ::epoll_create1(EPOLL_CLOEXEC);
        if (fd >= 0) {
            opened.push_back(fd);
        } else {
            error = errno;
        }
    }
    for (const int fd : opened)
        ::close(fd);
    if (error == 0) return {};
    if (error != EMFILE) return error_of(error, doing);
    char text[sizeof(Error::detail)];
    std::snprintf(text, sizeof text,
                  "%.*s takes %u file descriptors, this process has %zu left (ulimit -n: %llu): raise the "
                  "limit, or close some",
                  static_cast<int>(doing.size()), doing.data(), count, opened.size(), descriptors_allowed());
    return Error(Errc::system, text);
}

Result<void> need_thread(std::string_view doing) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread{};
    const int error = ::pthread_create(
        &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error == 0) {
        ::pthread_join(thread, nullptr);
        return {};
    }
    char text[sizeof(Error::detail)];
    std::snprintf(text, sizeof text,
                  "%.*s takes a thread, and this process can start none (%s): there are as many as its user "
                  "or cgroup may have (ulimit -u, pids.max), or no memory for its stack (ulimit -v)",
                  static_cast<int>(doing.size()), doing.data(), std::strerror(error));
    return Error(Errc::system, text);
}

}  // namespace ddict::os
