// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/sleeper.h"

#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/assert.h"
#include "os/error.h"

namespace ddict::ucx {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Below this a window is not worth its look at the clock.
constexpr microseconds window_min{4};
// Less is the call itself, or an interrupt.
constexpr microseconds taken_at_all{3};
constexpr milliseconds crowding_lasts{2};
// Of the order of what a scheduler gives to one who computes. That happens to anyone now and then; who really
// computes keeps the next offer as well.
constexpr microseconds kept_for_long{1000};
constexpr milliseconds kept_again_within{20};
constexpr milliseconds without_offers{100};

}  // namespace

Result<Sleeper> Sleeper::create() {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) return os::error_of(errno, "opening an epoll descriptor");
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
    const Error error = os::error_of(errno, "watching a file descriptor");
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

ProcessorOffers::Clock::time_point ProcessorOffers::make(Clock::time_point now) noexcept {
    ::sched_yield();
    const auto after = Clock::now();
    taken(after - now, after);
    return after;
}

void ProcessorOffers::taken(nanoseconds time, Clock::time_point now) noexcept {
    if (time >= kept_for_long) {
        if (now - time - kept_at_ < kept_again_within) none_until_ = now + without_offers;
        kept_at_ = now;
    }
    if (time >= taken_at_all) crowded_until_ = now + crowding_lasts;
}

}  // namespace ddict::ucx
