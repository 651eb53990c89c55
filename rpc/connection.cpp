// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"
#include "rpc/connection_table.h"

namespace ddict {
namespace {

Error silent() {
    return Error(Errc::manager_lost, "nothing was heard from it for " +
                                         std::to_string(limits::silence_until_lost.count()) +
                                         " ms: it is stopped, or its node or the network is down")
        .set_state(ManagerState::silent);
}

/// Trouble of this process or of its settings, which says nothing about the manager.
bool is_own_trouble(Errc code) {
    return code == Errc::system || code == Errc::bad_handle || code == Errc::incompatible;
}

/// Of one that has never answered. Managers answer nobody who does not prove to know the dictionary. `over`:
/// the transports and devices that were tried, if that is known.
Error unanswered(const std::string& over) {
    return Error(Errc::manager_lost, "it has not answered a hello for " +
                                         std::to_string(limits::silence_until_lost.count()) + " ms" +
                                         (over.empty() ? "" : " over " + over) +
                                         ": it has ended, its node is down, this network does not lead there "
                                         "(UCX_NET_DEVICES), or the handle is not of this dictionary")
        .set_state(ManagerState::silent);
}

Error refused_hello(const wire::ReplyHeader& header, std::uint32_t own_ucx_version) {
    Error error(static_cast<Errc>(header.status));
    error.set_state(ManagerState::answered);
    if (error.code == Errc::dictionary_gone) {
        error.set_detail("the manager at its address is of another dictionary");
    } else if (error.code == Errc::busy) {
        error.set_detail("the manager has as many sessions as it takes");
    } else if (error.code == Errc::incompatible) {
        error.set_detail("this client runs UCX " + std::to_string(own_ucx_version >> 16) + "." +
                         std::to_string(own_ucx_version & 0xffff) + ", the manager another version");
    }
    return error;
}

}  // namespace

Connection::Connection(RequestContext& context, ConnectionTable& table, ConnectionUser& user,
                       const DirectoryEntry& entry)
    : context_(context), table_(table), user_(user), messages_(context, entry.manager) {
    set_entry(entry);
}

void Connection::set_entry(const DirectoryEntry& entry) {
    const bool elsewhere = entry_.address != entry.address;
    if (elsewhere && state_ != State::closed)
        fail(Error(Errc::manager_lost, "it was started again elsewhere"));
    if (elsewhere) ended_ = false;
    entry_ = entry;
    same_host_ = entry.process.host_key == context_.transport().identity().host_key;
    timers_.set_same_host(same_host_);
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
    Error why;
    const LostManagers::Look look = lost->look(entry_.manager, context_.now(), why);
    if (look == LostManagers::Look::lost) return why;
    // What waits already has its own time.
    if (look == LostManagers::Look::probe && waits_alone) timers_.begin_probe(context_.now());
    return std::nullopt;
}

void Connection::open() {
    if (state_ == State::closed) connect();
}

void Connection::connect() {
    const Result<PeerId> peer = context_.transport().connect(entry_.address, entry_.process);
    if (!peer && session_ != 0 && !same_host_) {  // a network that is away may say so at once
        state_ = State::broken;
        why_ = peer.error();
        timers_.broke(context_.now(), false);
        return;
    }
    if (!peer) return lose(peer.error());
    attach_peer(*peer);
    state_ = State::hello;
    timers_.said_hello(context_.now());
    messages_.send_hello(peer_, session_);
}

void Connection::attach_peer(PeerId peer) {
    peer_ = peer;
    table_.set_peer(peer, *this);
}

/// Forgets the peer, which may still be connected.
PeerId Connection::detach_peer() {
    table_.remove_peer(peer_);
    return std::exchange(peer_, no_peer);
}

void Connection::close_peer() {
    if (const PeerId peer = detach_peer(); peer != no_peer) context_.transport().close(peer);
}

void Connection::break_off(const Error& why) {
    const PeerId peer = detach_peer();
    state_ = State::broken;
    messages_.forget_latest();
    timers_.broke(context_.now(), true);
    why_ = why;
    user_.on_broken(*this);
    if (peer != no_peer) context_.transport().close(peer);
}

void Connection::fail(const Error& why) {
    reset();
    if (why.code == Errc::manager_lost) timers_.lost();
    user_.on_failed(*this, why);
}

/// The same, and all requesters of this process are to know. On the same host the kernel tells them.
void Connection::lose(const Error& why) {
    if (LostManagers* lost = context_.lost_managers();
        lost != nullptr && !same_host_ && why.code == Errc::manager_lost)
        lost->remember(entry_.manager, why, context_.now());
    fail(why);
}

/// To a manager that may have a session for this client whose number has not arrived, or that cannot answer
/// through the old connection, the goodbye goes all the same: it is to end what it has.
void Connection::leave(const Error& why) {
    if (state_ == State::hello || state_ == State::broken) {
        if (peer_ == no_peer) {
            if (const auto peer = context_.transport().connect(entry_.address, entry_.process))
                attach_peer(*peer);
        }
        if (peer_ != no_peer) messages_.send_goodbye_of_unknown(peer_);
    }
    fail(why);
}

void Connection::reset() {
    if (state_ == State::open && peer_ != no_peer) messages_.send_goodbye(peer_, session_);
    state_ = State::closed;
    session_ = 0;
    messages_.forget_all();
    timers_.reset();
    why_.reset();
    close_peer();
}

/// It is still lost. The connection is kept: its answer may come yet.
void Connection::end_probe() {
    const Error why = why_unreachable();
    if (LostManagers* lost = context_.lost_managers()) lost->remember(entry_.manager, why, context_.now());
    timers_.end_probe();
    user_.on_failed(*this, why);
}

/// Of a manager that has no connection, when it was waited for long enough.
Error Connection::why_unreachable() const {
    const bool has_reason = why_ && why_->code != Errc::timeout && why_->detail[0] != '\0';
    if (!has_reason) {
        if (timers_.was_opened()) return silent();
        return unanswered(peer_ == no_peer ? std::string() : context_.transport().describe(peer_));
    }
    if (state_ != State::hello) {
        Error why = *why_;
        if (!is_own_trouble(why.code)) why.code = Errc::manager_lost;
        return why;
    }
    Error why = silent();
    if (why_->manager_state == ManagerState::silent) return why;
    return why.set_detail(std::string("it does not answer; before that: ") + why_->detail.data());
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
    switch (timers_.next_step(context_.now(), state_ == State::hello, session_ != 0)) {
        case Step::wait:
            break;
        case Step::probe_over:
            end_probe();
            return std::nullopt;
        case Step::lost:
            lose(why_unreachable());
            return std::nullopt;
        case Step::connect:
            close_peer();
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
        messages_.send_ping(peer_, session_);
    }
    LostManagers* lost = context_.lost_managers();
    // Another thread has waited for it already.
    const bool known = lost != nullptr && lost->any() && lost->is_lost(entry_.manager, now);
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
    why_.reset();
    if (LostManagers* lost = context_.lost_managers(); lost != nullptr && lost->any())
        lost->forget(entry_.manager);
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
    detach_peer();
    if (pending_ == 0) return reset();  // the next operation will show
    timers_.may_try_again() ? break_off(why) : lose(why);
}

}  // namespace ddict
