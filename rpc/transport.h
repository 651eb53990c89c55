// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The port through which the logic of managers and clients talks to the world: messages out through
// Transport, messages and events in through TransportEvents. transport/ implements it for real, the
// simulated network in the tests.
//
// A message is a *header* (small; our fixed header, the key, and a small value) and, for large values, a
// *payload* that is moved separately and without copies. Messages between two peers may overtake each other.
// A message does not say who sent it: the session number in its header does.
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

/// A payload that has been announced with its header. In memory it is there already, but only during the
/// event; otherwise it waits at the sender until receive_payload() fetches it or discard_payload() lets it
/// go. One of the two must be called for every payload with a token, now or later. Or the transport has
/// refused it: the header is there, and whoever sent it should be answered.
struct IncomingPayload {
    Bytes in_memory;
    std::uint64_t token = 0;
    std::uint64_t bytes = 0;
    bool too_many = false;  // was refused for limits::payloads_in_flight_max; otherwise memory was missing
    /// The sender can still change what is in memory, at any moment: it is to be read once, and what is to be
    /// interpreted has to be copied first.
    bool is_shared = false;
    bool present() const noexcept { return bytes != 0; }
    bool is_refused() const noexcept { return bytes != 0 && token == 0 && in_memory.empty(); }
};

class TransportEvents {
  public:
    /// `header` and `payload.in_memory` are valid only during the call.
    virtual void on_message(Bytes header, const IncomingPayload& payload) = 0;
    /// The payload asked for with receive_payload(…, tag) is there (ok), or will never be. Not ok while the
    /// peer can be sent to: its memory could not be read, or there was none to receive it.
    virtual void on_payload_received(std::uint64_t tag, bool ok) = 0;
    /// The payload given to send(…, tag) may be changed or freed. Comes for every such send, also when the
    /// peer is lost.
    virtual void on_payload_sent(std::uint64_t tag, bool ok) = 0;
    /// The peer has died, or cannot be reached. Its PeerId is closed already; nothing more comes for it
    /// but the outstanding on_payload_received / on_payload_sent, all of which come before this event.
    virtual void on_peer_lost(PeerId peer, const Error& why) = 0;

  protected:
    ~TransportEvents() = default;
};

class Transport {
  public:
    virtual ~Transport() = default;

    /// Starts a connection; never waits. Whether the peer is there shows later.
    virtual Result<PeerId> connect(Bytes address, const ProcessIdentity& process) = 0;
    /// Ends a connection. Payloads on their way are dropped; their events still come. Messages without a
    /// payload that were sent before still go out. Closing a closed peer does nothing.
    virtual void close(PeerId peer) = 0;

    /// Sends a message of at most limits::header_bytes_max; `header` is copied if need be. Sending to a
    /// closed peer is ignored: its loss has been or will be told. std::bad_alloc if memory is missing;
    /// nothing was sent then.
    virtual void send(PeerId peer, Bytes header) = 0;
    /// The same with a payload, which must stay as it is until on_payload_sent(tag). Here the header has at
    /// most 64 + limits::key_bytes_max bytes.
    virtual void send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) = 0;
    /// The same with a payload of at most limits::value_parts_max parts, none of them empty, which are sent
    /// from where they lie, one after the other. The span's own elements must stay as long as what they name.
    virtual void send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) = 0;

    /// Fetches an announced payload; `into` must stay until on_payload_received(tag). into.size() ==
    /// IncomingPayload::bytes. `from` is whom the logic takes for the sender: if that peer is lost, the
    /// transfer ends with ok == false. std::bad_alloc if memory is missing; the payload waits on then.
    virtual void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) = 0;
    /// The same into two pieces of memory, neither empty: the payload's beginning, and the rest of it.
    virtual void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                                 std::uint64_t tag) = 0;
    virtual void discard_payload(std::uint64_t token) = 0;

    /// The transports and devices that the connection really uses, for people: "same host" or "tcp/eth0".
    virtual std::string describe(PeerId peer) const = 0;
    /// The devices of this process among which the peer chooses for what it sends, "eth0 usb0"; empty if
    /// there is no choice.
    virtual std::string ways_back(PeerId /*peer*/) const { return {}; }
    /// The kernel tells when the peer's process has ended: silence of it needs no question.
    virtual bool is_same_host(PeerId peer) const = 0;
    /// How the peer reaches this transport; good until the next call.
    virtual Bytes address_for(PeerId peer) = 0;
    /// Who this process is.
    virtual ProcessIdentity identity() const = 0;
};

}  // namespace ddict
