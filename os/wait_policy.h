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

/// How long to spin before sleeping: as long as may be while that is worth it; where it has brought
/// nothing several times, most waits sleep at once, and only now and then one tries again. So many rare
/// messages cost little, and a burst of them finds back after a few. (How long a sleep lasted does not tell
/// whether spinning would have been worth it: it takes as long as two processes need to wake up, if both
/// sleep.)
class SpinWindow {
  public:
    explicit SpinWindow(std::chrono::nanoseconds longest) : longest_(longest) {}

    /// Of the next wait.
    std::chrono::nanoseconds value() const noexcept {
        return skipped_ == 0 ? longest_ : std::chrono::nanoseconds(0);
    }
    /// A wait ended with a message while it polled.
    void found() noexcept { misses_ = skipped_ = 0; }
    /// A wait ended with a message after it had slept for so long.
    void slept(std::chrono::nanoseconds time) noexcept;

  private:
    std::chrono::nanoseconds longest_;
    unsigned misses_ = 0;   // spins that brought nothing, one after the other
    unsigned skipped_ = 0;  // waits that are to sleep at once
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

    /// `wake_spin`: how long to spin at the least when the other side had to be woken up.
    explicit WaitPolicy(std::chrono::nanoseconds spin_max, std::chrono::nanoseconds wake_spin = {})
        : window_(spin_max), wake_spin_(wake_spin) {}

    /// Who is to answer was asleep: the answer takes as long as it needs to wake up. Who sleeps meanwhile
    /// needs as long again, and then finds the other asleep.
    void woke_other() noexcept { woke_other_ = true; }

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
    std::chrono::nanoseconds wake_spin_;
    bool woke_other_ = false;
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
