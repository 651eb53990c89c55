// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Sleeping until any of several file descriptors is ready, and deciding when to stop spinning.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include <ddict/result.h>

namespace ddict::ucx {

/// Owns an epoll descriptor.
class Sleeper {
  public:
    using Ready = std::function<void()>;

    static Result<Sleeper> create();
    Sleeper(Sleeper&& other) noexcept : epoll_fd_(other.epoll_fd_), watched_(std::move(other.watched_)) {
        other.epoll_fd_ = -1;
    }
    ~Sleeper();

    /// `ready` may be null: the descriptor then only ends the sleep.
    void watch(int fd, Ready ready);
    void unwatch(int fd);
    /// Sleeps for at most `timeout` and calls what is ready; returns how many were called. Zero does not
    /// sleep. Time is rounded up to milliseconds.
    unsigned wait(std::chrono::nanoseconds timeout);

  private:
    explicit Sleeper(int epoll_fd) : epoll_fd_(epoll_fd) {}

    struct Watched {
        std::uint32_t generation = 0;  // tells the owner of a number from an earlier one, within one wait()
        std::shared_ptr<Ready> ready;  // shared: it may unwatch itself while it runs
    };
    int epoll_fd_ = -1;
    std::uint32_t generation_ = 0;
    std::unordered_map<int, Watched> watched_;
};

/// How long to spin before sleeping: long while messages come soon after each other, not at all when they are
/// rare, so that a message costs at most about twice the processor time that it must.
class SpinWindow {
  public:
    explicit SpinWindow(std::chrono::nanoseconds longest) : longest_(longest), window_(longest) {}

    std::chrono::nanoseconds value() const noexcept { return window_; }
    /// A sleep ended with a message after this time.
    void slept(std::chrono::nanoseconds time) noexcept;

  private:
    std::chrono::nanoseconds longest_;
    std::chrono::nanoseconds window_;
};

/// Notices that other threads want this processor: then spinning without yielding would keep the very process
/// from running that is waited for.
class Crowding {
  public:
    using Clock = std::chrono::steady_clock;

    /// To be called with every look at the clock while spinning; yields the processor if it is wanted.
    void spun(Clock::time_point now) noexcept;
    /// A spell of spinning begins.
    void begin(Clock::time_point now) noexcept { last_ = now; }

  private:
    Clock::time_point last_;
    Clock::time_point until_;
};

}  // namespace ddict::ucx
