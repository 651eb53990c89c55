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

/// Who spins offers its processor to others (sched_yield): the one that is waited for may have none. How long
/// an offer was taken for tells who they are. Others who only wait give it back soon; then it is crowded, and
/// to offer it after every poll is several times quicker than to sleep and be woken up. Who computes keeps it
/// for long, and the next one too, while one who sleeps gets it back when a message comes; then there are no
/// more offers for a while.
class ProcessorOffers {
  public:
    using Clock = std::chrono::steady_clock;

    /// Offers the processor and returns the time afterwards. Costs some hundred nanoseconds if nobody takes
    /// it.
    Clock::time_point make(Clock::time_point now) noexcept;
    /// An offer was made, and this is how long it took.
    void taken(std::chrono::nanoseconds time, Clock::time_point now) noexcept;

    bool welcome(Clock::time_point now) const noexcept { return now >= none_until_; }
    /// Others wait as well, and nobody computes.
    bool crowded(Clock::time_point now) const noexcept { return now < crowded_until_ && welcome(now); }

  private:
    Clock::time_point none_until_;
    Clock::time_point crowded_until_;
    Clock::time_point kept_at_;  // when the last one that was kept for long came back
};

}  // namespace ddict::ucx
