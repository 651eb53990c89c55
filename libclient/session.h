// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One thread's connections to a dictionary: its ways to others and the client side of the protocol, driven
// together. It runs one operation at a time (call), or any number side by side (start).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/process_identity.h"
#include "libclient/counters.h"
#include "libclient/trace.h"
#include "rpc/requester.h"
#include "transport/worker.h"

namespace ddict::client {

class Session;
struct BatchLane;

/// An operation that runs beside others. Its memory belongs to whoever started it, and must stay until it is
/// settled.
struct Flight {
    Session* session = nullptr;  // while it is under way
    Requester::OperationId id = 0;
    std::size_t place = 0;       // in the session's list
    bool outlives_call = false;  // no interrupt ends it: nobody waits for it, or its owner does so
    // Of the request, whose key stays as long.
    wire::Verb verb = wire::Verb::ping;
    ShardId shard{};
    KeyBytes key;
    std::uint32_t checkpoint = 0;
    std::uint64_t value_bytes = 0;
    Time started{};
    Result<Reply> outcome{Reply{}};  // once it is settled

    bool settled() const { return session == nullptr; }
};

class Session {
  public:
    /// `lost` and `whereabouts` are what all sessions of the process share.
    static Result<std::unique_ptr<Session>> open(const Credentials& credentials, LostManagers& lost,
                                                 Whereabouts& whereabouts,
                                                 const transport::WorkerOptions& options);
    /// Ends what is under way with not_attached and says goodbye to the managers; takes some milliseconds at
    /// the most.
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// What add_manager() was told; null if nothing.
    const DirectoryEntry* known_manager(ShardId shard) const { return requester_.known_manager(shard); }
    void add_manager(const DirectoryEntry& entry) { requester_.add_manager(entry); }

    /// Why it speaks over the network to a manager of its node, for people; empty of one elsewhere, or if it
    /// is not known.
    std::string why_over_network(ShardId shard) const;

    /// One request and its reply; `now` is the current time. Returns at the deadline at the latest, and then
    /// nothing of the caller's is in use. If as many operations as there may be are under way, it first makes
    /// progress until one is done; if none is by the deadline, nothing is sent.
    Result<Reply> call(const Request& request, Time now, Time deadline) {
        const bool full = flights_.size() >= limits::operations_in_flight_max;
        return full ? call_later(request, now, deadline) : call_now(request, now, deadline);
    }

    /// Begins an operation, and returns; waits as call() does until fewer are under way. What the request
    /// refers to must stay until the flight is settled, which it is at the deadline at the latest, if anybody
    /// asks.
    void start(Flight& flight, const Request& request, Time now, Time deadline);
    /// Whether it is over; settles it then. Does not move anything along.
    bool finished(Flight& flight) {
        if (flight.settled()) return true;
        if (!requester_.done(flight.id)) return false;
        settle(flight);
        return true;
    }
    /// Ends an operation as if its deadline were now; it is settled when nothing of the caller's is in use.
    void give_up(Flight& flight) {
        if (!flight.settled()) requester_.give_up(flight.id);
    }
    /// The same, and has a manager that waits hear of it.
    void cancel(Flight& flight, ShardId shard);
    /// Whether the program has wanted the call to end since interruptible() (<ddict/interrupt.h>).
    bool is_interrupted() const { return is_interrupted_; }
    /// Here a call of several operations begins.
    void interruptible() { is_interrupted_ = false; }
    /// Moves everything along; waits for something to happen until the deadline at the most.
    void progress(Time deadline = Time::max());
    /// The same without waiting.
    void poll();
    /// The same for a loop of the program's own: has descriptor() become readable when there is more to do.
    /// Returns when to call again at the latest; takes about a millisecond at the most.
    Time turn();
    int descriptor() const { return worker_->descriptor(); }

    /// The same request to each of `count` managers, many at once; `on_reply` gets each outcome, in any
    /// order. `prepare` is asked for each request just before it starts; it may refuse with an error, and
    /// choose an earlier deadline.
    static constexpr std::uint32_t calls_at_once_max = 64;
    void call_all(std::uint32_t count, Time deadline,
                  const std::function<Result<Request>(std::uint32_t, Time&)>& prepare,
                  const std::function<void(std::uint32_t, Result<Reply>)>& on_reply);

    /// A question that any of `count` managers can answer, to one after the other until one has: the next is
    /// asked as well when one has failed, or has been silent for limits::silence_before_next_candidate.
    /// `prepare` makes the request to a candidate, and may refuse; `on_failure` gets each failure, and says
    /// whether to go on. The candidate that has answered; none if no one has by the deadline.
    std::optional<std::uint32_t> call_any(std::uint32_t count, Time deadline,
                                          const std::function<Result<Request>(std::uint32_t)>& prepare,
                                          const std::function<bool(std::uint32_t, const Error&)>& on_failure);

    /// Whether an operation under way is a change that may take effect whatever becomes of the caller.
    bool may_take_effect(const Flight& flight) const {
        return !flight.settled() && requester_.may_take_effect(flight.id);
    }
    ProcessIdentity identity() const { return worker_->identity(); }
    std::string describe(ShardId shard) const { return requester_.describe(shard); }
    Counters& counters() { return counters_; }

    /// Memory for batches, kept from one to the next.
    std::vector<std::unique_ptr<BatchLane>>& spare_lanes() { return spare_lanes_; }

  private:
    Session(std::unique_ptr<transport::Worker> worker, const Credentials& credentials, LostManagers& lost,
            Whereabouts& whereabouts);
    Result<Reply> call_now(const Request& request, Time now, Time deadline);
    Result<Reply> call_later(const Request& request, Time now, Time deadline);
    Result<void> await_free_slot(const Request& request, Time& now, Time deadline);
    void settle(Flight& flight);
    template <class Asked>
    void trace(const Trace& trace, const Asked& asked, std::uint64_t bytes_sent, const Result<Reply>& outcome,
               Time started) const;
    void look_at_clock_by(Time time);
    void look_for_interrupt(Time now);
    void cancel_wait(ShardId shard, Requester::OperationId wait);
    static Time::duration quiet_time();

    std::unique_ptr<transport::Worker> worker_;
    Requester requester_;
    Time next_tick_ = Time::min();  // when the requester wants to look at the clock again
    Time next_interrupt_look_ = Time::min();
    bool is_interrupted_ = false;   // since the call began
    std::vector<Flight*> flights_;  // under way
    Counters counters_;
    std::vector<std::unique_ptr<BatchLane>> spare_lanes_;
};

}  // namespace ddict::client
