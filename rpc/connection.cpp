// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection.h"

#include <algorithm>

#include "rpc/connection_table.h"

namespace ddict {
Connection::Connection(RequestContext& context, ConnectionTable& table, ConnectionUser& user,
                       const DirectoryEntry& entry)
    : context_(context),
      user_(user),
      peer_(context.transport(), table, *this),
      messages_(context, entry.shard) {
    follow(entry);
}

void Connection::follow(const DirectoryEntry& entry) {
    entry_ = entry;
    ended_ = false;
    successor_until_.reset();
    same_host_ = entry.process.host_key == context_.transport().identity().host_key;
    timers_.set_same_host(same_host_);
    timers_.moved(context_.now());
}

/// A newer one: what was known of the process before is not known of this one.
void Connection::take_entry(const DirectoryEntry& entry) {
    follow(entry);
    LostManagers* lost = context_.lost_managers();
    if (entry.state == ServingState::serving && lost != nullptr && lost->any()) lost->forget(entry.shard);
}

void Connection::set_entry(const DirectoryEntry& entry) {
    if (!is_newer(entry, entry_)) return;
    const bool is_same_process = entry_.state == ServingState::serving &&
                                 entry.state == ServingState::serving && entry_.address == entry.address;
    if (is_same_process) {
        entry_ = entry;
        return;
    }
    take_entry(entry);
    if (pending_ == 0) return reset();
    if (state_ == State::closed) return;
    if (state_ != State::broken) break_off(Error(Errc::manager_lost, "its process has ended"));
    timers_.moved(context_.now());
    connect();
}

/// What the process knows without a message.
void Connection::look_up_entry() {
    if (context_.whereabouts() == nullptr) return;
    const auto found = context_.whereabouts()->look_up(entry_.shard);
    if (found && is_newer(*found, entry_)) take_entry(*found);
}

bool Connection::wants_entry() const noexcept {
    // Who is waited for whatever it takes has only just been where it is said to be.
    if (pending_ == 0 || !others_may_know() || context_.keeps_asking()) return false;
    switch (state_) {
        case State::closed:
            return false;
        case State::hello:
            return why_.has_value() || timers_.is_hello_doubtful(context_.now());
        case State::open:
            return timers_.is_pinged();
        case State::broken:
            return true;
    }
    return false;
}

/// Of a connection for which nobody has waited for a while.
void Connection::forget_stale() {
    const bool stale = state_ == State::hello && timers_.is_hello_stale(context_.now());
    if (stale || state_ == State::broken) reset();
}

std::optional<Error> Connection::refusal(wire::Verb verb) {
    if (ended_) return dictionary_ended();
    const bool waits_alone = pending_ == 1;
    if (waits_alone) timers_.end_probe();
    LostManagers* lost = context_.lost_managers();
    if (lost == nullptr || !lost->any() || ends_manager(verb)) return std::nullopt;
    look_up_entry();
    Error why;
    const LostManagers::Look look = lost->look(entry_.shard, context_.now(), why);
    if (look == LostManagers::Look::lost) return why;
    // What waits already has its own time.
    if (look == LostManagers::Look::probe && waits_alone) timers_.begin_probe(context_.now());
    return std::nullopt;
}

void Connection::open() {
    if (state_ == State::closed) connect();
}

void Connection::open_for_question() {
    if (pending_ == 0 && state_ != State::open) forget_stale();
    open();
}

void Connection::connect() {
    look_up_entry();
    if (entry_.state == ServingState::lost) return lose(entry_.why_lost());
    if (entry_.state == ServingState::restarting) return await_successor();
    if (const Result<void> connected = peer_.connect(entry_); !connected)
        return could_not_connect(connected.error());
    same_host_ = context_.transport().is_same_host(peer_.id());
    timers_.set_same_host(same_host_);
    state_ = State::hello;
    timers_.said_hello(context_.now());
    messages_.send_hello(peer_.id(), session_);
}

void Connection::could_not_connect(const Error& why) {
    if (why.code == Errc::busy) return await_capacity(why);
    if (may_be_reached_later(why)) {
        state_ = State::broken;
        why_ = why;
        timers_.broke(context_.now(), false, others_may_know());
        return;
    }
    may_be_replaced(why) ? await_successor(why) : lose(why);
}

/// A network that is away may say so at once; and who has been the way to it may come back, which is waited
/// for once: after that each call finds out without waiting, save one now and then, which gives others the
/// time to say where it is now.
bool Connection::may_be_reached_later(const Error& why) {
    if (same_host_ || why.code == Errc::dictionary_gone) return false;
    if (session_ != 0) return true;
    const bool is_unreachable = why.manager_state == ManagerState::unreachable;
    if (is_unreachable && (!timers_.is_one_try_enough() || way_is_restarted())) return true;
    return why.code == Errc::manager_lost && others_may_know() && timers_.begin_probe_if_due(context_.now());
}

/// Nothing is known of the manager then: the one of this node that passes messages on to it is away.
bool Connection::way_is_restarted() const {
    return context_.whereabouts() != nullptr && context_.whereabouts()->way_is_restarted();
}

/// Its process has ended on this host, or may have, which its node launcher is about to notice, if that
/// lives. Where it cannot be seen, whoever has never reached the manager takes the dictionary for gone.
bool Connection::may_be_replaced(const Error& why) {
    if (!entry_.is_restartable || !same_host_ || why.code != Errc::manager_lost) return false;
    const auto node_launcher = context_.whereabouts() == nullptr
                                   ? std::optional<bool>()
                                   : context_.whereabouts()->has_node_launcher();
    return node_launcher.value_or(timers_.was_opened());
}

/// It lives, and takes no more connections at present. It will be tried again, by each operation until its
/// deadline, for as long as it says so.
void Connection::await_capacity(const Error& why) {
    break_off(why);
    timers_.was_refused(context_.now());
}

/// For so long as the directory says that another process will serve the shard, or its node launcher lives,
/// which has yet to say what becomes of it; but not for ever, and only once for each entry.
/// `why` there is no connection, if the directory does not say: only of a process that is known to have ended
/// that is told.
void Connection::await_successor(const std::optional<Error>& why) {
    const Time now = context_.now();
    const bool has_ended = !why || why->manager_state == ManagerState::ended;
    const bool is_announced = entry_.state == ServingState::restarting;
    const bool is_expected = !is_announced && context_.whereabouts() != nullptr &&
                             context_.whereabouts()->has_node_launcher() == true;
    if (!successor_until_) {
        awaited_since_ = now;
        successor_until_ = now + (is_announced ? limits::restart_time_max : limits::restart_announced_max);
    } else if (is_expected && now >= *successor_until_) {  // in parts, since the node launcher may end, too
        successor_until_ =
            std::min(now + limits::restart_announced_max, awaited_since_ + limits::restart_time_max);
    }
    if (now >= *successor_until_ && !has_ended) return lose(*why);
    if (now >= *successor_until_)
        return lose(is_expected
                        ? Error(Errc::manager_lost,
                                "its process has ended, and its node launcher, which lives, does not say "
                                "whether another takes its place")
                              .set_state(ManagerState::silent)
                        : Error(Errc::manager_lost,
                                is_announced ? "its process has ended, and the one that was to take its "
                                               "place does not serve yet"
                                             : "its process has ended, and no other takes its place")
                              .set_state(ManagerState::ended));
    state_ = State::broken;
    messages_.forget_latest();
    if (!has_ended) {
        why_ = *why;
    } else {
        why_ = Error(Errc::manager_lost, is_announced
                                             ? "its process has ended, and another one is being started"
                                             : "its process has ended, and its node launcher has not said "
                                               "yet whether another takes its place");
    }
}

std::optional<Time> Connection::go_on_awaiting() {
    look_up_entry();
    if (successor_until_ && context_.now() < *successor_until_)
        return std::min(*successor_until_, context_.now() + limits::restart_look_interval);
    connect();
    if (state_ == State::closed) return std::nullopt;
    return successor_until_ ? context_.now() + limits::restart_look_interval
                            : timers_.next_look(context_.now(), state_ == State::hello);
}

void Connection::break_off(const Error& why) {
    const PeerId peer = peer_.detach();
    state_ = State::broken;
    messages_.forget_latest();
    timers_.broke(context_.now(), true, others_may_know());
    why_ = why;
    user_.on_broken(*this);
    if (peer != no_peer) context_.transport().close(peer);
}

void Connection::fail(const Error& why) {
    reset();
    if (why.code == Errc::manager_lost) timers_.lost();
    user_.on_failed(*this, why);
}

/// The same, and all requesters of this process are to know. On the same host the kernel tells them, and of
/// one to which there is no way from here each can see whether the way is back.
void Connection::lose(const Error& why) {
    if (!same_host_) remember_lost(why);
    fail(why);
}

void Connection::remember_lost(const Error& why) {
    LostManagers* const lost = context_.lost_managers();
    const bool is_of_manager =
        why.code == Errc::manager_lost && why.manager_state != ManagerState::unreachable;
    if (lost != nullptr && is_of_manager) lost->remember(entry_.shard, why, context_.now());
}

/// To a manager that may have a session for this client whose number has not arrived, or that cannot answer
/// through the old connection, the goodbye goes all the same: it is to end what it has.
void Connection::leave(const Error& why) {
    if (state_ == State::hello || state_ == State::broken) {
        if (peer_.is_there() || peer_.connect(entry_)) messages_.send_goodbye_of_unknown(peer_.id());
    }
    fail(why);
}

void Connection::reset() {
    if (state_ == State::open && peer_.is_there()) messages_.send_goodbye(peer_.id(), session_);
    state_ = State::closed;
    session_ = 0;
    messages_.forget_all();
    timers_.reset();
    why_.reset();
    peer_.close();
}

/// It is still lost. The connection is kept: its answer may come yet.
void Connection::end_probe() {
    const Error why = describe(unreachable());
    remember_lost(why);
    timers_.end_probe();
    user_.on_failed(*this, why);
}

Unreachable Connection::unreachable() const {
    return {.trouble = why_,
            .says_hello = state_ == State::hello,
            .was_opened = timers_.was_opened(),
            .over = peer_.describe(),
            .back = peer_.ways_back()};
}

std::optional<Time> Connection::tick() {
    if (pending_ == 0 || state_ == State::closed) return std::nullopt;
    if (state_ != State::open) return go_on_connecting();
    return same_host_ ? std::nullopt : watch_silence();
}

/// On the same host the kernel knows whether the manager lives: connecting fails when it does not. But it may
/// be unable to answer at the moment.
std::optional<Time> Connection::go_on_connecting() {
    using Step = ConnectionTimers::Step;
    if (successor_until_ && state_ == State::broken) return go_on_awaiting();
    const Epoch known = entry_.epoch;
    switch (timers_.next_step(context_.now(), state_ == State::hello, session_ != 0)) {
        case Step::wait:
            break;
        case Step::probe_over:
            end_probe();
            return std::nullopt;
        case Step::lost:
            look_up_entry();
            if (is_way_away() && way_is_restarted()) {
                timers_.begin(context_.now());
            } else if (entry_.epoch == known) {
                lose(describe(unreachable()));
                return std::nullopt;
            }
            [[fallthrough]];
        case Step::connect:
            peer_.close();
            connect();
            break;
    }
    if (state_ == State::closed) return std::nullopt;
    return timers_.next_look(context_.now(), state_ == State::hello);
}

std::optional<Time> Connection::watch_silence() {
    const Time now = context_.now();
    if (!timers_.is_pinged()) {
        if (const Time due = timers_.ping_due(); now < due) return due;
        timers_.pinged(now);
        messages_.send_ping(peer_.id(), session_);
    }
    LostManagers* lost = context_.lost_managers();
    // Another thread has waited for it already.
    const bool known = lost != nullptr && lost->any() && lost->is_lost(entry_.shard, now);
    const ConnectionTimers::Silence ends = timers_.silence(known, user_.moves_payloads(*this));
    if (now >= ends.lost) {
        lose(silent());
        return std::nullopt;
    }
    if (now < ends.reconnect) return std::min(ends.reconnect, ends.lost);
    break_off(silent());
    timers_.set_lost_at(ends.lost, now);
    return go_on_connecting();
}

bool Connection::on_reply(const wire::ReplyHeader& header) {
    if (is_reply_to(header, wire::Verb::goodbye)) return on_goodbye(header);
    const bool says_hello = state_ == State::hello;
    const bool is_current = state_ != State::closed && messages_.answers_latest(header.request);
    if (is_current && is_reply_to(header, says_hello ? wire::Verb::hello : wire::Verb::ping)) {
        heard();
        messages_.answered();
        if (says_hello) on_hello_reply(header);
        return true;
    }
    if (!is_reply_to(header, wire::Verb::hello) && !is_reply_to(header, wire::Verb::ping)) return false;
    const bool waits = says_hello || state_ == State::broken;
    if (waits && messages_.answers_any(header.request)) timers_.answered_late(context_.now());
    return true;
}

void Connection::on_hello_reply(const wire::ReplyHeader& header) {
    if (header.status != 0) return fail(refused_hello(header, context_.credentials().ucx_version));
    session_ = header.argument;
    state_ = State::open;
    timers_.opened(context_.now());
    successor_until_.reset();
    why_.reset();
    if (LostManagers* lost = context_.lost_managers(); lost != nullptr && lost->any())
        lost->forget(entry_.shard);
    user_.on_open(*this);
}

/// The manager ends in good order. Whoever could know the session's number is that manager.
bool Connection::on_goodbye(const wire::ReplyHeader& header) {
    if (session_ == 0 || session_ != header.argument) return false;
    if (static_cast<Errc>(header.status) != Errc::dictionary_gone) {
        fail(Error(Errc::manager_lost, "it has ended: its node launcher is gone")
                 .set_state(ManagerState::ended));
        return true;
    }
    ended_ = true;
    if (LostManagers* lost = context_.lost_managers()) lost->note_end(dictionary_ended());
    user_.on_ended(*this);
    fail(dictionary_ended());
    return true;
}

void Connection::on_peer_lost(const Error& why) {
    peer_.detach();
    if (pending_ == 0) return reset();  // the next operation will show
    if (why.code == Errc::busy && state_ == State::hello) return await_capacity(why);
    timers_.may_try_again() || others_may_know() ? break_off(why) : lose(why);
}

}  // namespace ddict
