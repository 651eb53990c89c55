// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The port through which the logic of managers and clients talks to the world: messages out through
// Transport, messages and events in through TransportEvents. transport/ implements it for real, the
// simulated network in the tests.
//
// A message is a *head* (small; our fixed header, the key, and a small value) and, for large values, a *body*
// that is moved separately and without copies. Messages between two peers may overtake each other. A message
// does not say who sent it: the session number in its header does.
//
// Threads: none. One transport belongs to one thread; events are delivered only from inside that transport's
// poll(), never from inside one of the calls below, so the logic may call the transport from any event.
#pragma once

#include <cstdint>
#include <string>

#include <ddict/result.h>

#include "base/bytes.h"
#include "base/process_identity.h"

namespace ddict {

/// A connection of this transport. Numbers are not used again.
using PeerId = std::uint64_t;
inline constexpr PeerId no_peer = 0;

/// A body that has been announced with a message. In memory it is there already, but only during the event;
/// otherwise it waits at the sender until receive_body() fetches it or discard_body() lets it go. One of the
/// two must be called for every body with a token, now or later. Or the transport had no memory for it, and
/// has refused it: the message is there, and whoever sent it should be answered.
struct IncomingBody {
    Bytes in_memory;
    std::uint64_t token = 0;
    std::uint64_t bytes = 0;
    bool present() const noexcept { return bytes != 0; }
    bool is_refused() const noexcept { return bytes != 0 && token == 0 && in_memory.empty(); }
};

class TransportEvents {
  public:
    /// `head` and `body.in_memory` are valid only during the call.
    virtual void on_message(Bytes head, const IncomingBody& body) = 0;
    /// The body asked for with receive_body(…, tag) is there (ok), or will never be.
    virtual void on_body_received(std::uint64_t tag, bool ok) = 0;
    /// The body given to send(…, tag) may be changed or freed. Comes for every such send, also when the peer
    /// is lost.
    virtual void on_body_sent(std::uint64_t tag, bool ok) = 0;
    /// The peer has died, or cannot be reached. Its PeerId is closed already; nothing more comes for it
    /// but the outstanding on_body_received / on_body_sent, all of which come before this event.
    virtual void on_peer_lost(PeerId peer, const Error& why) = 0;

  protected:
    ~TransportEvents() = default;
};

class Transport {
  public:
    virtual ~Transport() = default;

    /// Starts a connection; never waits. Whether the peer is there shows later.
    virtual Result<PeerId> connect(Bytes address, const ProcessIdentity& process) = 0;
    /// Ends a connection. Bodies on their way are dropped; their events still come. Messages without a body
    /// that were sent before still go out. Closing a closed peer does nothing.
    virtual void close(PeerId peer) = 0;

    /// Sends a message of at most limits::head_bytes_max; `head` is copied if need be. Sending to a closed
    /// peer is ignored: its loss has been or will be told. std::bad_alloc if memory is missing; nothing was
    /// sent then.
    virtual void send(PeerId peer, Bytes head) = 0;
    /// The same with a body, which must stay as it is until on_body_sent(tag). Here the head has at most
    /// 64 + limits::key_bytes_max bytes.
    virtual void send(PeerId peer, Bytes head, Bytes body, std::uint64_t tag) = 0;
    /// The same with a body of at most limits::value_parts_max parts, none of them empty, which are sent from
    /// where they lie, one after the other. The span's own elements must stay as long as what they name.
    virtual void send(PeerId peer, Bytes head, Parts body, std::uint64_t tag) = 0;

    /// Fetches an announced body; `into` must stay until on_body_received(tag). into.size() ==
    /// IncomingBody::bytes. `from` is whom the logic takes for the sender: if that peer is lost, the transfer
    /// ends with ok == false. std::bad_alloc if memory is missing; the body waits on then.
    virtual void receive_body(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) = 0;
    /// The same into two pieces of memory, neither empty: the body's beginning, and the rest of it.
    virtual void receive_body(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                              std::uint64_t tag) = 0;
    virtual void discard_body(std::uint64_t token) = 0;

    /// The transports and devices that the connection really uses, for people: "same host" or "tcp/eth0".
    virtual std::string describe(PeerId peer) const = 0;
    /// The kernel tells when the peer's process has ended: silence of it needs no question.
    virtual bool is_same_host(PeerId peer) const = 0;
    /// How the peer reaches this transport; good until the next call.
    virtual Bytes address_for(PeerId peer) = 0;
    /// Who this process is.
    virtual ProcessIdentity identity() const = 0;
};

}  // namespace ddict
