// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A client's connection to one manager, and the session over it: hello and goodbye, silence, breaking and
// connecting anew. Knows of operations only that some wait for the manager (ConnectionUser).
//
// Invariants:
// 1. While it is open it has a peer and a session, and ConnectionUser::on_open() was the last event.
// 2. Broken, it keeps the session, to go on with it; closed, it has none.
// 3. What it knows of the directory never becomes older.
#pragma once

#include <cstdint>
#include <optional>

#include "cluster/directory.h"
#include "rpc/connection_errors.h"
#include "rpc/connection_timers.h"
#include "rpc/peer.h"
#include "rpc/request_context.h"
#include "rpc/session_messages.h"

namespace ddict {

class Connection;
class ConnectionTable;

/// What waits for connections.
class ConnectionUser {
  public:
    /// Requests can be sent now, over peer() and in session(), which may be another one than before.
    virtual void on_open(Connection& connection) = 0;
    /// What was sent and not answered is to be sent once more, when it is open again.
    virtual void on_broken(Connection& connection) = 0;
    /// What waits for the manager ends with this error.
    virtual void on_failed(Connection& connection, const Error& why) = 0;
    /// The manager has ended in good order, and on_failed() follows: what asked it to is done.
    virtual void on_ended(Connection& connection) = 0;
    /// Whether any payload is on its way from or to this manager.
    virtual bool moves_payloads(const Connection& connection) const = 0;

  protected:
    ~ConnectionUser() = default;
};

class Connection {
  public:
    /// All of these must outlive it.
    Connection(RequestContext& context, ConnectionTable& table, ConnectionUser& user,
               const DirectoryEntry& entry);

    /// What is newer than what is known replaces it: with its session, the connection goes to the process
    /// that serves the shard now, and operations that wait go on there.
    void set_entry(const DirectoryEntry& entry);
    const DirectoryEntry& entry() const noexcept { return entry_; }
    bool is_on_this_host() const noexcept { return same_host_; }
    bool is_open() const noexcept { return state_ == State::open; }
    bool is_closed() const noexcept { return state_ == State::closed; }
    PeerId peer() const noexcept { return peer_.id(); }           // no_peer: none
    std::uint64_t session() const noexcept { return session_; }   // unless open, the one to go on with, or 0
    const std::optional<Error>& trouble() const { return why_; }  // why there is none, if that is known

    /// An operation begins to wait for the manager.
    void add_operation() {
        if (pending_++ == 0) {
            timers_.set_keeps_asking(context_.keeps_asking());
            timers_.begin(context_.now());
            if (state_ != State::open) forget_stale();
        }
    }
    void remove_operation() noexcept { --pending_; }
    std::uint32_t operations() const noexcept { return pending_; }
    /// How many were said since the first of those that wait, or have waited last, began to.
    unsigned hellos() const noexcept { return timers_.hellos(); }
    /// Why an operation that has begun need not wait for a connection, if that is known already.
    std::optional<Error> refusal(wire::Verb verb);
    /// Connects, unless that is under way.
    void open();
    /// Whether operations wait for a manager of which somebody else may know where it is now.
    bool wants_entry() const noexcept;
    /// The same though no operation waits; an attempt that has come to nothing is made anew.
    void open_for_question();
    /// Asks this manager where another shard is served. Returns the number of the message. Requires
    /// is_open().
    std::uint64_t ask_for_entry(ShardId shard) { return messages_.send_directory(peer(), session(), shard); }

    /// The manager has answered an operation.
    void heard() noexcept { timers_.heard(context_.now()); }
    /// A reply to a message of the session. False if it answers nothing that was sent.
    bool on_reply(const wire::ReplyHeader& header);
    /// The transport has lost the peer.
    void on_peer_lost(const Error& why);
    /// What is due. Returns when to look again; nothing if that is not needed, or the manager is lost.
    std::optional<Time> tick();

    /// Ends the connection, not the session: what waits for an answer goes on waiting.
    void break_off(const Error& why);
    /// Ends the session: every operation that waits for this manager ends with the error.
    void fail(const Error& why);
    /// The same for good, in good order.
    void leave(const Error& why);

  private:
    /// broken: the connection is gone and will be made anew, to go on with the session if there was one.
    enum class State { closed, hello, open, broken };

    void forget_stale();
    void follow(const DirectoryEntry& entry);
    void take_entry(const DirectoryEntry& entry);
    void look_up_entry();
    bool may_be_replaced(const Error& why);
    /// Where it is now. Nobody need be asked about one that is never started again.
    bool others_may_know() const noexcept {
        return context_.whereabouts() != nullptr && !same_host_ && entry_.is_restartable;
    }
    void await_successor(const std::optional<Error>& why = std::nullopt);
    void await_capacity(const Error& why);
    void connect();
    void could_not_connect(const Error& why);
    bool may_be_reached_later(const Error& why);
    /// It could not be said where the manager is, as nobody of this node passes messages on to it.
    bool is_way_away() const noexcept {
        return state_ == State::broken && why_ && why_->manager_state == ManagerState::unreachable;
    }
    bool way_is_restarted() const;
    void reset();
    void lose(const Error& why);
    void remember_lost(const Error& why);
    void end_probe();
    Unreachable unreachable() const;
    std::optional<Time> go_on_connecting();
    std::optional<Time> go_on_awaiting();
    std::optional<Time> watch_silence();
    void on_hello_reply(const wire::ReplyHeader& header);
    bool on_goodbye(const wire::ReplyHeader& header);

    RequestContext& context_;
    ConnectionUser& user_;
    Peer peer_;
    SessionMessages messages_;
    ConnectionTimers timers_;
    DirectoryEntry entry_;
    bool same_host_ = false;
    bool ended_ = false;  // it has said that the dictionary has ended
    State state_ = State::closed;
    std::uint64_t session_ = 0;
    std::uint32_t pending_ = 0;            // operations that are not finished
    std::optional<Error> why_;             // the last connection broke, or could not be made
    std::optional<Time> successor_until_;  // broken: how long another process is waited for
    Time awaited_since_{};                 // with successor_until_
};

}  // namespace ddict
