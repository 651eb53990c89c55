// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/wait_policy.h"

#include <sched.h>

#include <algorithm>

namespace ddict::os {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// So that of many spins that bring nothing one of eight is left.
constexpr unsigned misses_max = 4;
// Shorter is the call itself, or an interrupt.
constexpr microseconds yield_taken_min{3};
constexpr milliseconds crowding_lasts{2};
// Each that was not shorter counts two, each that was takes one back: more than one of three that follow.
constexpr unsigned taken_by_others_min = 3;
constexpr unsigned taken_max = 6;
// Of the order of what a scheduler gives to a thread that computes. That happens to anyone now and then; a
// thread that really computes keeps the next yield as well.
constexpr microseconds long_yield{1000};
constexpr milliseconds long_again_within{20};
constexpr milliseconds without_yields{100};

// An answer that comes at once is not waited for: before this time nothing is yielded, unless it is known
// that others wait for the processor.
constexpr microseconds yields_begin{4};
// How long to spin for a payload that is under way: a megabyte takes less, and to sleep meanwhile and be
// woken up costs an eighth of a put, a quarter of a get. Larger ones are slept through for the most part.
constexpr microseconds payload_spin{400};
// How long to spin when it is crowded, and when others compute.
constexpr microseconds crowded_spin{100};
constexpr microseconds displaced_spin{2};
// A sleep ends after this in any case, as a safety net against a wake-up that got lost.
constexpr seconds sleep_max{1};
// How often a worker whose transport is busy polls again before it naps instead.
constexpr unsigned busy_tries_max = 500;
constexpr milliseconds nap_max{8};

}  // namespace

void SpinWindow::slept(nanoseconds time) noexcept {
    if (time <= longest_) return found();
    if (skipped_ != 0) {
        --skipped_;
        return;
    }
    misses_ = std::min(misses_ + 1, misses_max);
    skipped_ = (1u << (misses_ - 1)) - 1;
}

void YieldHistory::add(nanoseconds time, Clock::time_point now) noexcept {
    if (time >= long_yield) {
        if (now - time - last_long_ < long_again_within) none_until_ = now + without_yields;
        last_long_ = now;
    }
    if (time < yield_taken_min) {
        if (taken_ > 0) --taken_;
        return;
    }
    taken_ = std::min(taken_ + 2, taken_max);
    if (taken_ >= taken_by_others_min) crowded_until_ = now + crowding_lasts;
}

WaitPolicy::Step WaitPolicy::next(Clock::time_point now, bool quiet) noexcept {
    if (began_ == Clock::time_point{}) began_ = now;
    if (!quiet || (!slept_ && now - began_ < spin_limit(now))) {
        const bool others_first = crowded_ || now - began_ >= yields_begin;
        crowded_ = yields_.is_crowded(now);
        return !slept_ && others_first && yields_.may_yield(now) ? Step::yield : Step::poll;
    }
    if (!slept_) began_ = now;
    slept_ = true;
    return Step::sleep;
}

void WaitPolicy::yielded(Clock::time_point before, Clock::time_point after) noexcept {
    yields_.add(after - before, after);
    crowded_ = yields_.is_crowded(after);
}

void WaitPolicy::end(Clock::time_point now) noexcept {
    nap_ = nap_min;
    woke_other_ = false;
    if (slept_) {
        window_.slept(now - began_);
    } else if (polls_ != 0) {  // what was there at once was not waited for
        window_.found();
    }
}

nanoseconds WaitPolicy::spin_limit(Clock::time_point now) noexcept {
    nanoseconds limit = window_.value();
    if (payloads_ != 0) {
        if (!payload_awaited_) payload_awaited_ = now;
        if (now - *payload_awaited_ < payload_spin) limit = std::max<nanoseconds>(limit, payload_spin);
    }
    if (woke_other_) limit = std::max(limit, wake_spin_);
    if (limit.count() == 0) return limit;  // where messages are rare
    if (!yields_.may_yield(now)) return std::min<nanoseconds>(limit, displaced_spin);
    return crowded_ ? crowded_spin : limit;
}

std::optional<nanoseconds> WaitPolicy::sleep_time(Arming arming) noexcept {
    if (arming == Arming::armed) return sleep_max;
    if (arming == Arming::busy && ++busy_tries_ < busy_tries_max) return std::nullopt;
    const milliseconds nap = nap_;
    nap_ = std::min(nap_ * 2, nap_max);
    return nap;
}

std::chrono::steady_clock::time_point yield_processor() noexcept {
    ::sched_yield();
    return std::chrono::steady_clock::now();
}

}  // namespace ddict::os
