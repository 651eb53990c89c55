// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How a worker waits for a message: when it polls on, when it yields, when it sleeps and for how long. All is
// decided from times that the caller gives; nothing here waits but yield_processor().
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace ddict::os {

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

/// A spinning thread calls sched_yield(), because the peer that it waits for may need this processor. How
/// long a yield lasts tells what else runs here. Others that only wait give the processor back soon, but not
/// at once, and so again and again; then it is crowded, and to yield after every poll is several times
/// quicker than to sleep and be woken up. One such yield alone says nothing: it may have been an interrupt,
/// of which a virtual machine has hundreds in a second. A thread that computes keeps the processor for long,
/// and the next time too, while one that sleeps gets it back when a message comes; then yields stop for a
/// while.
class YieldHistory {
  public:
    using Clock = std::chrono::steady_clock;

    /// A yield came back at `now`, and this is how long it lasted.
    void add(std::chrono::nanoseconds time, Clock::time_point now) noexcept;

    bool may_yield(Clock::time_point now) const noexcept { return now >= none_until_; }
    /// Others wait as well, and nobody computes.
    bool is_crowded(Clock::time_point now) const noexcept { return now < crowded_until_ && may_yield(now); }

  private:
    Clock::time_point none_until_;
    Clock::time_point crowded_until_;
    unsigned taken_ = 0;           // how much the last yields speak for others that wait
    Clock::time_point last_long_;  // when the last long one came back
};

/// One worker's. A wait is begin(); after every poll that brought nothing wants_time(), and next() if so; and
/// end() if something came.
class WaitPolicy {
  public:
    using Clock = std::chrono::steady_clock;
    enum class Step {
        poll,   ///< again, at once
        yield,  ///< yield the processor, tell yielded(), and poll again
        sleep,  ///< prepare to sleep: see sleep_time()
    };

    explicit WaitPolicy(std::chrono::nanoseconds spin_max) : window_(spin_max) {}

    /// A payload is under way from now on, or has ended. One that has begun is spun for longer.
    void payload_began() noexcept {
        ++payloads_;
        payload_awaited_.reset();
    }
    void payload_ended() noexcept { --payloads_; }

    void begin() noexcept {
        busy_tries_ = 0;
        polls_ = 0;
        slept_ = false;
        began_ = {};
    }
    /// Counts a poll that brought nothing: is the time needed after it? A look at the clock costs more than a
    /// poll.
    bool wants_time() noexcept { return ++polls_ % spins_between_clock == 0 || slept_ || crowded_; }
    /// `quiet`: the last poll had nothing at all to do. Without that a worker must not sleep.
    Step next(Clock::time_point now, bool quiet) noexcept;
    /// The yield that was asked for took from `before` to `after`.
    void yielded(Clock::time_point before, Clock::time_point after) noexcept;
    /// Something came. `now` is looked at only if has_slept().
    void end(Clock::time_point now) noexcept;
    bool has_slept() const noexcept { return slept_; }

    /// What the transport says to going to sleep.
    enum class Arming {
        armed,
        busy,   ///< something is under way in shared memory
        failed  ///< it cannot be woken up
    };
    /// How long to sleep at the most; nothing: poll again instead. A worker that is not armed naps: a peer
    /// that does not read, or died in the middle of a write, can keep it busy for ever.
    std::optional<std::chrono::nanoseconds> sleep_time(Arming arming) noexcept;

  private:
    // While it spins, the clock is looked at this often.
    static constexpr unsigned spins_between_clock = 32;
    static constexpr std::chrono::milliseconds nap_min{1};

    std::chrono::nanoseconds spin_limit(Clock::time_point now) noexcept;

    SpinWindow window_;
    YieldHistory yields_;
    bool crowded_ = false;                              // when the clock was last looked at
    unsigned payloads_ = 0;                             // that have not ended
    std::optional<Clock::time_point> payload_awaited_;  // since when: the last that has begun
    std::chrono::milliseconds nap_ = nap_min;
    // Of this wait:
    unsigned polls_ = 0;
    unsigned busy_tries_ = 0;
    bool slept_ = false;
    Clock::time_point began_{};  // of the spinning, later of the sleeping
};

/// Costs some hundred nanoseconds if nobody else wants to run. Returns the time afterwards.
std::chrono::steady_clock::time_point yield_processor() noexcept;

}  // namespace ddict::os
