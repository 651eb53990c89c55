// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection_timers.h"

#include <algorithm>

#include "base/limits.h"

namespace ddict {
namespace {

// Connections that break before the manager has ever answered, until it counts as lost.
constexpr unsigned refusals_max = 4;
// How often the timeout of a hello doubles.
constexpr unsigned timeout_doublings_max = 3;
constexpr unsigned timeout_doublings_max_while_asking = 4;

}  // namespace

void ConnectionTimers::opened(Time now) noexcept {
    opened_ = now;
    lost_at_.reset();
    probe_until_.reset();
    refusals_ = 0;
    if (!keeps_asking_) late_answers_ = 0;  // it may be as slow with what is asked next
}

void ConnectionTimers::moved(Time now) noexcept {
    reset();
    heard_ = again_ = now;
}

void ConnectionTimers::answered_late(Time now) noexcept {
    heard_ = now;
    if (lost_at_) lost_at_ = std::max(*lost_at_, now + limits::silence_until_lost);
    ++late_answers_;
}

void ConnectionTimers::broke(Time now, bool was_made, bool others_may_know) noexcept {
    const bool is_awaited = others_may_know && !was_opened();
    const bool at_once = was_made && !is_awaited && now - opened_ >= limits::reconnect_interval;
    again_ = at_once ? now : now + limits::reconnect_interval;
    if (!was_made) return;
    pinged_.reset();
    if (keeps_asking_) lost_at_.reset();  // it is not its silence that counts from now on
}

void ConnectionTimers::was_refused(Time now) noexcept {
    heard_ = now;
    lost_at_.reset();
    again_ = now + limits::reconnect_interval;
}

bool ConnectionTimers::may_try_again() noexcept {
    return was_opened() || ++refusals_ < refusals_max;
}

void ConnectionTimers::reset() noexcept {
    pinged_.reset();
    lost_at_.reset();
    probe_until_.reset();
    refusals_ = 0;
    late_answers_ = 0;
}

void ConnectionTimers::lost() noexcept {
    opened_ = {};
    refusals_ = refusals_max - 1;
}

bool ConnectionTimers::is_one_try_enough() const noexcept {
    return refusals_ + 1 >= refusals_max;
}

void ConnectionTimers::begin_probe(Time now) noexcept {
    probe_until_ = now + limits::lost_probe_timeout;
    probed_ = now;
}

bool ConnectionTimers::begin_probe_if_due(Time now) noexcept {
    if (!is_probing() && now - probed_ >= limits::lost_probe_interval) begin_probe(now);
    return is_probing();
}

bool ConnectionTimers::is_hello_stale(Time now) const noexcept {
    return !same_host_ && now - hello_at_ >= limits::silence_until_lost;
}

bool ConnectionTimers::is_hello_doubtful(Time now) const noexcept {
    return !same_host_ && (was_opened() || now - hello_at_ >= limits::hello_repeated);
}

Time ConnectionTimers::ping_due() const noexcept {
    return heard_ + limits::silence_before_ping;
}

ConnectionTimers::Silence ConnectionTimers::silence(bool known_lost, bool moves_payloads) const noexcept {
    constexpr auto until_lost = limits::silence_until_lost - limits::silence_before_ping;
    static_assert(limits::lost_probe_timeout < until_lost);
    // The connection may be dead and the manager not: it may have dropped us. What may be slow because it is
    // large gets more time.
    Time::duration reconnect =
        moves_payloads ? limits::silence_before_reconnect_with_payloads : limits::silence_before_reconnect;
    if (!keeps_asking_)
        return {.reconnect = *pinged_ + reconnect,
                .lost = *pinged_ + (known_lost ? limits::lost_probe_timeout : until_lost)};
    reconnect = std::max(reconnect, hello_timeout());
    return {.reconnect = *pinged_ + reconnect, .lost = Time::max()};
}

void ConnectionTimers::set_lost_at(Time lost, Time now) noexcept {
    lost_at_ = lost;
    looked_ = now;
}

ConnectionTimers::Step ConnectionTimers::next_step(Time now, bool says_hello, bool has_session) noexcept {
    if (probe_until_ && now >= *probe_until_) return Step::probe_over;
    if (!lost_at_) {
        lost_at_ = std::max(heard_, now - limits::silence_before_ping) + limits::silence_until_lost;
    } else if (now - looked_ > limits::silence_before_ping) {
        *lost_at_ += now - looked_;  // the program was away, and nothing moved
    }
    looked_ = now;
    const bool is_silent = keeps_asking_ && says_hello;  // and not: no connection can be made
    if (now >= *lost_at_ && !same_host_ && !is_silent) return Step::lost;
    if (!says_hello) return now >= again_ ? Step::connect : Step::wait;
    if (now - hello_at_ < hello_timeout()) return Step::wait;
    // Of one that had a session it is rather the network that was away: it may be back at any time.
    if (!has_session || keeps_asking_) ++late_answers_;
    if (keeps_asking_) lost_at_.reset();  // for how long it was silent does not count where none can be made
    return Step::connect;
}

Time ConnectionTimers::next_look(Time now, bool says_hello) const noexcept {
    Time next = says_hello ? hello_at_ + hello_timeout() : again_;
    if (probe_until_) next = std::min(next, *probe_until_);
    if (same_host_ || (keeps_asking_ && says_hello) || !lost_at_) return next;
    // Often enough that this process does not take itself for one that was away.
    return std::min({next, *lost_at_, now + limits::silence_before_ping / 2});
}

Time::duration ConnectionTimers::hello_timeout() const noexcept {
    const auto first = same_host_ ? limits::hello_repeated_same_host : limits::hello_repeated;
    const unsigned doublings_max = keeps_asking_ ? timeout_doublings_max_while_asking : timeout_doublings_max;
    return first * (1 << std::min(late_answers_, doublings_max));
}

}  // namespace ddict
