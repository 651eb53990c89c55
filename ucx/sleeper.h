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
    /// Fails if the kernel cannot watch this descriptor, or no more of them.
    Result<void> watch(int fd, Ready ready);
    void unwatch(int fd);
    /// For a while the descriptor does not count, although it stays watched.
    void mute(int fd, bool muted);
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

/// Notices that more threads want to run than there are processors: spinning would then keep the very process
/// from running that is waited for. Asks the kernel how long this thread has been waiting for a processor.
class Crowding {
  public:
    using Clock = std::chrono::steady_clock;

    Crowding();
    Crowding(const Crowding&) = delete;
    Crowding& operator=(const Crowding&) = delete;
    ~Crowding();

    /// Whether the last answer of the kernel was that.
    bool crowded() const noexcept { return crowded_; }
    /// To be called after every sleep, and while it is crowded; asks at most every millisecond. Costs about a
    /// microsecond.
    void measure(Clock::time_point now) noexcept;

  private:
    int schedstat_fd_ = -1;
    Clock::time_point measured_;
    Clock::time_point crowded_until_;
    bool crowded_ = false;
    std::chrono::nanoseconds waited_{0};
    long long turns_ = 0;
};

}  // namespace ddict::ucx
