// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/guardian.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "launcher/events.h"

namespace ddict::launcher {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds deadline_slack{5'000};
constexpr milliseconds unready_stop_grace{1'000};
// When a client has ended one manager, it is ending them all. If it is killed on the way, this node finishes
// the job.
constexpr milliseconds destroy_grace{2'000};
constexpr milliseconds failure_linger{5'000};

}  // namespace

Guardian::Guardian(Options options)
    : options_(std::move(options)), deadline_(options_.now() + options_.bring_up_timeout + deadline_slack) {}

void Guardian::on_signal(const os::SignalEvent& signal) {
    job_end_.on_signal(signal.number, options_.now());
    if (!signal.asks_to_end()) return;
    ++end_signals_;
    if (!serving_) cancelled_ = true;
}

void Guardian::on_sign_of_life() {
    job_end_.on_sign_of_life(options_.now());
}

bool Guardian::take_job_end() {
    if (!serving_ || !job_end_.has_begun()) return false;
    return !std::exchange(job_end_taken_, true);
}

Guardian::News Guardian::news_of(ManagerProcess::State before, ManagerProcess::State now) const {
    using State = ManagerProcess::State;
    if (before == now) return News::none;
    if (now == State::started) return serving_ ? News::reachable_again : News::started;
    if (!serving_) return News::none;
    return now == State::ready ? News::serves_again : now == State::lost ? News::ended : News::none;
}

Guardian::Turn Guardian::next_turn(const Managers& managers) {
    const auto now = options_.now();
    const bool job_ends = options_.in_job && job_end_.has_begun();
    if (job_ends && job_end_.is_abandoned(now, options_.job_runs_here)) lifeline_open_ = false;
    Turn turn{.is_over = told_to_stop(), .beat = false, .wait_max = std::chrono::hours(1)};
    if (turn.is_over) return turn;
    if (options_.beats) {
        turn.beat = now >= next_beat_;
        if (turn.beat) next_beat_ = now + beat_interval;
        turn.wait_max = std::chrono::ceil<milliseconds>(next_beat_ - now);
    }
    if (job_ends) turn.wait_max = std::min(turn.wait_max, sign_of_life_interval);
    if (managers.any_ended_by_client) {
        if (!destroyed_until_) destroyed_until_ = now + destroy_grace;
        turn.wait_max = std::min(turn.wait_max, std::chrono::ceil<milliseconds>(*destroyed_until_ - now));
        // If all have died instead, nothing is served here, but only the launcher can say that it is over.
        turn.is_over = (!managers.any_runs && !managers.any_serves) || turn.wait_max.count() <= 0;
    }
    return turn;
}

void Guardian::begin_stop() {
    is_stopping_ = true;
    end_signals_max_ = end_signals_ + 1;
    // One that never served has nothing to bring to an end but itself.
    stop_until_ = options_.now() + (serving_ ? limits::manager_stop_grace : unready_stop_grace);
}

Guardian::Stop Guardian::next_stop(bool any_runs) {
    if (!any_runs) return Stop::done;
    const auto now = options_.now();
    const bool pressed = !killed_ && end_signals_ > end_signals_max_;
    if (now < stop_until_ && !pressed) return Stop::wait;
    if (killed_) return Stop::done;
    killed_ = true;
    stop_until_ = now + limits::manager_stop_grace;
    return Stop::kill;
}

void Guardian::begin_linger() {
    linger_until_ = options_.now() + failure_linger;
}

bool Guardian::lingers() const {
    return options_.in_job && !told_to_stop() && options_.now() < linger_until_;
}

}  // namespace ddict::launcher
