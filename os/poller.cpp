// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/poller.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/assert.h"
#include "os/error.h"

namespace ddict::os {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

}  // namespace

Result<Poller> Poller::create() {
    FileDescriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.is_open()) return error_of(errno, "opening an epoll descriptor");
    return Poller(std::move(epoll));
}

Result<void> Poller::watch(int fd, Ready ready) {
    Watched& watched = watched_[fd];
    const bool known = watched.generation != 0;
    watched.generation = ++generation_;
    watched.ready = ready ? std::make_shared<Ready>(std::move(ready)) : nullptr;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = (std::uint64_t{watched.generation} << 32) | static_cast<std::uint32_t>(fd);
    if (::epoll_ctl(epoll_.fd(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0) return {};
    const Error error = error_of(errno, "watching a file descriptor");
    watched_.erase(fd);
    return error;
}

void Poller::unwatch(int fd) {
    if (watched_.erase(fd) != 0) ::epoll_ctl(epoll_.fd(), EPOLL_CTL_DEL, fd, nullptr);
}

void Poller::mute(int fd, bool muted) {
    const auto at = watched_.find(fd);
    DDICT_ASSERT(at != watched_.end(), "a file descriptor that is not watched");
    epoll_event event{};
    event.events = muted ? 0U : static_cast<std::uint32_t>(EPOLLIN);
    event.data.u64 = (std::uint64_t{at->second.generation} << 32) | static_cast<std::uint32_t>(fd);
    ::epoll_ctl(epoll_.fd(), EPOLL_CTL_MOD, fd, &event);
}

unsigned Poller::wait(nanoseconds timeout) {
    std::array<epoll_event, 32> events;
    const auto timeout_ms = std::chrono::ceil<milliseconds>(
        std::clamp(timeout, nanoseconds(0), nanoseconds(milliseconds(60'000))));
    const int count = ::epoll_wait(epoll_.fd(), events.data(), static_cast<int>(events.size()),
                                   static_cast<int>(timeout_ms.count()));
    unsigned called = 0;
    for (int i = 0; i < count; ++i) {
        const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
        const auto at = watched_.find(static_cast<int>(static_cast<std::uint32_t>(data)));
        if (at == watched_.end() || at->second.generation != data >> 32) continue;
        const std::shared_ptr<Ready> ready = at->second.ready;
        if (ready == nullptr) continue;
        (*ready)();
        ++called;
    }
    return called;
}

}  // namespace ddict::os
