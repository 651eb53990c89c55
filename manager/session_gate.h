// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who may ask: clients say hello with a proof that they know the dictionary's secret, get a session, and lose
// it when they say goodbye, or when their connection broke and they have not come back for
// limits::session_kept. Strangers get no answer.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "manager/call.h"
#include "manager/deferred_puts.h"
#include "manager/replies.h"
#include "manager/sessions.h"
#include "manager/waiters.h"
#include "rpc/transport.h"

namespace ddict::manager {

/// What has become of a session.
enum class SessionEvent {
    opened,     ///< its client has said hello
    resumed,    ///< and again, over another connection
    closed,     ///< its client has said goodbye, or has begun another one
    broken,     ///< its connection has: the client has died, or may come back
    forgotten,  ///< it has not come back, or not soon enough for one that is there
};

class SessionGate {
  public:
    /// Called before the session goes, or after it has come; `why` says why it is broken, if that is known.
    /// Not of sessions of which no hello has come since the manager began. It must not change anything.
    using Listener = std::function<void(SessionEvent event, const Session& session, const Error* why)>;
    void set_listener(Listener listener) { listener_ = std::move(listener); }

    /// `ucx_version`: clients with another one are refused. All must outlive it.
    SessionGate(std::uint32_t ucx_version, const store::Store& store, Transport& transport,
                Sessions& sessions, Replies& replies, Waiters& waiters, DeferredPuts& deferred_puts);

    void on_hello(const Call& call);
    /// A goodbye without a session: from a client that leaves before it has heard its session's number, or
    /// after its connection broke.
    void on_goodbye(const Call& call);
    void on_peer_lost(PeerId peer, const Error& why);
    void end_session(Session& session, SessionEvent event = SessionEvent::closed);
    /// Tells all sessions that this manager ends, and whether the dictionary ends with it.
    void say_goodbye(bool with_dictionary);

    /// Whether time matters to it at present.
    bool needs_tick() const noexcept { return !broken_.empty() || replies_.has_unsent(); }
    /// Forgets clients that have not come back, and closes connections over which a reply could not be sent.
    /// Returns when the next will be; Time::max() if none.
    Time tick(Time now);

    /// Clients that could not be answered, for a reason of this process: the number, and the last reason.
    std::uint64_t unreachable_clients() const noexcept { return unreachable_clients_; }
    const Error& why_unreachable() const noexcept { return why_unreachable_; }
    /// More of them, that have not come as far as a hello.
    void count_unreachable(std::uint64_t count, const Error& why) noexcept {
        unreachable_clients_ += count;
        why_unreachable_ = why;
    }
    /// Hellos and goodbyes that are malformed, refused or without the right proof.
    std::uint64_t rejected() const noexcept { return rejected_; }
    /// Of these, those without the right proof.
    std::uint64_t unproven() const noexcept { return unproven_; }

  private:
    /// A session whose connection broke.
    struct Broken {
        std::uint64_t session;
        std::uint32_t breaks;          // of it, this one included: it may have been mended since
        std::optional<Time> deadline;  // counts from the first tick
    };

    bool reads(const Call& call, wire::Hello& hello);
    Errc refusal_of(const Call& call, const wire::Hello& hello);
    void answer(const Call& call, const wire::Hello& hello);
    void refuse(const Call& call, const wire::Hello& hello, Errc refusal);
    Result<PeerId> reach(const wire::Hello& hello);
    bool has_capacity_for_session();
    void drop_requests(const Session& session);
    void break_session(Session& session, const Error* why = nullptr);
    void notify(SessionEvent event, const Session& session, const Error* why = nullptr) {
        if (listener_ && session.process.pid != 0) [[unlikely]]
            listener_(event, session, why);
    }
    void break_what_lacks_replies();

    std::uint32_t ucx_version_;
    const store::Store& store_;
    Transport& transport_;
    Sessions& sessions_;
    Replies& replies_;
    Waiters& waiters_;
    DeferredPuts& deferred_puts_;
    std::deque<Broken> broken_;  // the oldest first
    std::uint64_t rejected_ = 0;
    std::uint64_t unproven_ = 0;
    std::uint64_t unreachable_clients_ = 0;
    Error why_unreachable_;
    Listener listener_;
};

}  // namespace ddict::manager
