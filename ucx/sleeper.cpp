// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/sleeper.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/assert.h"

namespace ddict::ucx {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Below this a window is not worth its look at the clock.
constexpr microseconds window_min{4};
constexpr milliseconds measure_interval{1};
constexpr milliseconds crowding_lasts{20};
constexpr microseconds short_wait{20};

}  // namespace

Result<Sleeper> Sleeper::create() {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) return Error(Errc::system, std::string("epoll_create1: ") + std::strerror(errno));
    return Sleeper(fd);
}

Sleeper::~Sleeper() {
    if (epoll_fd_ >= 0) ::close(epoll_fd_);
}

Result<void> Sleeper::watch(int fd, Ready ready) {
    Watched& watched = watched_[fd];
    const bool known = watched.generation != 0;
    watched.generation = ++generation_;
    watched.ready = ready ? std::make_shared<Ready>(std::move(ready)) : nullptr;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = (std::uint64_t{watched.generation} << 32) | static_cast<std::uint32_t>(fd);
    if (::epoll_ctl(epoll_fd_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0) return {};
    const Error error(Errc::system,
                      std::string("watching a file descriptor: epoll_ctl: ") + std::strerror(errno));
    watched_.erase(fd);
    return error;
}

void Sleeper::unwatch(int fd) {
    if (watched_.erase(fd) != 0) ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

void Sleeper::mute(int fd, bool muted) {
    const auto at = watched_.find(fd);
    DDICT_ASSERT(at != watched_.end(), "a file descriptor that is not watched");
    epoll_event event{};
    event.events = muted ? 0U : static_cast<std::uint32_t>(EPOLLIN);
    event.data.u64 = (std::uint64_t{at->second.generation} << 32) | static_cast<std::uint32_t>(fd);
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
}

unsigned Sleeper::wait(nanoseconds timeout) {
    std::array<epoll_event, 32> events;
    const auto timeout_ms = std::chrono::ceil<milliseconds>(
        std::clamp(timeout, nanoseconds(0), nanoseconds(milliseconds(60'000))));
    const int count = ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()),
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

void SpinWindow::slept(nanoseconds time) noexcept {
    if (time <= longest_) {
        window_ = std::min(longest_, std::max(nanoseconds(window_min), window_ * 2));
    } else {
        window_ /= 2;
        if (window_ < window_min) window_ = nanoseconds(0);
    }
}

Crowding::Crowding() : schedstat_fd_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

Crowding::~Crowding() {
    if (schedstat_fd_ >= 0) ::close(schedstat_fd_);
}

void Crowding::measure(Clock::time_point now) noexcept {
    if (now - measured_ < measure_interval) return;
    // "time on the processor, time waited for it (nanoseconds), number of turns"
    std::array<char, 96> text{};
    if (::pread(schedstat_fd_, text.data(), text.size() - 1, 0) <= 0) return;
    char* at = std::strchr(text.data(), ' ');
    if (at == nullptr) return;
    const nanoseconds waited(std::strtoll(at, &at, 10));
    const long long turns = std::strtoll(at, nullptr, 10);
    // Two that wake each other in turn wait a little, for each other; that does not count, or they would
    // never take up spinning again. But who knows already that it is crowded offers the processor all the
    // time, and every such turn waits a little only.
    const nanoseconds waited_now = waited - waited_;
    const bool long_waits = crowded_ || waited_now > (turns - turns_) * short_wait;
    if (waited_now > (now - measured_) / 10 && long_waits) {
        crowded_until_ = now + crowding_lasts;
    }
    crowded_ = now < crowded_until_;
    turns_ = turns;
    waited_ = waited;
    measured_ = now;
}

}  // namespace ddict::ucx
