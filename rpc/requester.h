// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The client side of the protocol: requests in, messages out; messages in, replies out. No I/O, no clock, no
// threads: the caller says what time it is and moves the transport along. Libclient drives one per thread
// over UCX, a manager drives one while it comes up, and the simulation drives many over a simulated network.
//
// Life of an operation: begin() -> (hello, if this is the first one to its manager) -> request -> reply, and
// the payload of a large value in either direction -> done(). When done() is true nothing refers to the
// caller's key, value or sink any more; an operation that passes its deadline while a payload is on its way
// therefore ends the connection to that manager.
//
// When a connection breaks, or is ended, while others wait for answers, the client says hello again and asks
// to go on with the session; what has not been answered is sent once more, with the same number. The manager
// remembers what it has executed, so each takes effect once. If it does not answer for silence_until_lost, or
// has forgotten the session, what cannot be repeated is manager_lost. A manager that ends in good order says
// so: then what waits for it is dictionary_gone.
//
// A Requester is made of connections (rpc/connection.h), one for each manager, and of operations over them
// (rpc/operations.h); it tells which of them a message or an event is for.
#pragma once

#include <cstdint>
#include <string>

#include "cluster/directory.h"
#include "rpc/connection_table.h"
#include "rpc/inquiry.h"
#include "rpc/lost_managers.h"
#include "rpc/operations.h"
#include "rpc/request.h"
#include "rpc/request_context.h"
#include "rpc/transport.h"

namespace ddict {

class Requester final : public TransportEvents {
  public:
    using OperationId = ddict::OperationId;

    /// `transport` must outlive the requester, and have no other one: managers know a client by its address.
    /// `lost` and `whereabouts`, which must outlive it too, are what the requesters of a process share; may
    /// be null.
    Requester(Transport& transport, const Credentials& credentials, LostManagers* lost = nullptr,
              Whereabouts* whereabouts = nullptr)
        : context_(transport, credentials, lost, whereabouts), operations_(context_, connections_) {}

    /// Tells where a manager is. Needed before the first begin() to it; a newer entry replaces what was
    /// known, and what waits for the manager goes on where it is now.
    void add_manager(const DirectoryEntry& entry);
    /// What add_manager() was told; null if nothing.
    const DirectoryEntry* known_manager(ShardId shard) const {
        const Connection* connection = connections_.find(shard);
        return connection == nullptr ? nullptr : &connection->entry();
    }

    /// For managers that come up: whether the silence of one makes it lost, as it does at first, or what is
    /// begun from now on asks it again, later each time, until its own deadline. Nobody else is asked then
    /// where it is.
    void set_keeps_asking(bool keeps_asking) noexcept { context_.set_keeps_asking(keeps_asking); }
    /// How often this client has said hello to a manager for the operations that wait for it, or did last.
    unsigned hellos(ShardId shard) const {
        const Connection* connection = connections_.find(shard);
        return connection == nullptr ? 0 : connection->hellos();
    }

    /// Starts an operation. Requires a known manager, a key within the limits, and fewer than
    /// limits::operations_in_flight_max operations in flight. Key, value and sink stay the caller's until
    /// done().
    OperationId begin(const Request& request, Time now, Time deadline) {
        return operations_.begin(request, now, deadline);
    }
    bool done(OperationId id) const { return operations_.done(id); }
    /// The outcome; forgets the operation. Requires done().
    Result<Reply> take(OperationId id) { return operations_.take(id); }
    /// Ends an operation as if its deadline were now; it is done when the transport has released its
    /// payloads.
    void give_up(OperationId id) { operations_.give_up(id); }
    /// Whether it is a change that has been sent, so that it may take effect.
    bool may_take_effect(OperationId id) const { return operations_.may_take_effect(id); }

    /// Ends operations whose deadline has passed, and asks silent managers on other hosts whether they live.
    /// Returns when it wants to be called again, at the latest. To be called after what has arrived was
    /// delivered: a manager that was asked counts as lost when its answer is not there by then.
    Time tick(Time now);

    /// Says goodbye to every manager and closes the connections. What is under way ends with not_attached; it
    /// is done when the transport has released its payloads, which it does soon.
    void leave();

    /// How this client reaches a manager, for people; empty if there is no connection.
    std::string describe(ShardId shard) const;
    /// The devices among which the manager chooses for its answers; empty if there is no choice, or no
    /// connection.
    std::string ways_back(ShardId shard) const;
    /// Messages that were no reply to anything this requester can have asked.
    std::uint64_t rejected_messages() const { return context_.rejected_messages(); }

    void on_message(Bytes message, const IncomingPayload& payload) override;
    void on_payload_received(std::uint64_t tag, bool ok) override;
    void on_payload_sent(std::uint64_t tag, bool ok) override;
    void on_peer_lost(PeerId peer, const Error& why) override;

  private:
    void on_session_message(Bytes message, const IncomingPayload& payload);
    bool on_entry(const wire::ReplyHeader& header, Bytes value);

    RequestContext context_;
    ConnectionTable connections_;
    Operations operations_;
    Inquiry inquiry_{context_, connections_, operations_};
};

}  // namespace ddict
