// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What UCX's callbacks have seen and the logic has not been told yet.
#pragma once

#include <cstdint>
#include <vector>

#include <ucp/api/ucp.h>

#include "rpc/transport.h"

namespace ddict::ucx {

/// Callbacks add to it while it is being delivered. It keeps its memory: nothing is allocated once it has
/// grown to the load.
///
/// Invariant: there is memory for all events that were promised. So what ends an operation can be told from
/// inside UCX, where nothing may be thrown. A message that comes may find no memory; its sender gets no
/// answer, as if the network had lost it.
class EventQueue {
  public:
    /// One event will come, of an operation that begins or of a peer. std::bad_alloc if memory is missing.
    void promise();
    /// One that was promised will not come.
    void forget() noexcept { --promised_; }

    // Each was promised.
    void push_payload_received(std::uint64_t tag, bool ok) noexcept;
    void push_payload_sent(std::uint64_t tag, bool ok) noexcept;
    void push_peer_lost(PeerId peer, ucs_status_t why) noexcept;

    // Nobody has promised these. False if memory is missing; nothing has happened then.
    /// Copies both; the payload may be empty.
    bool push_message(Bytes header, Bytes payload) noexcept;
    /// Keeps `held`, memory of UCX, until the event has been delivered, and then gives it back. It is the
    /// payload, or the whole message if `header` is empty. The header is copied.
    bool push_held_message(Bytes header, void* held, std::size_t held_bytes) noexcept;
    bool push_announcement(Bytes header, std::uint64_t token, std::uint64_t payload_bytes) noexcept;
    /// Of a payload that is not kept; see IncomingPayload::too_many.
    bool push_refused(Bytes header, std::uint64_t payload_bytes, bool too_many) noexcept;

    bool empty() const noexcept { return events_.empty(); }
    /// Delivers what was there at the call, in order; returns how much that was. `worker` gets its memory
    /// back. What a listener throws comes through; the next call goes on behind that event.
    unsigned deliver(TransportEvents& events, ucp_worker_h worker);
    /// Forgets everything; `worker` gets its memory back.
    void drop(ucp_worker_h worker) noexcept;

  private:
    enum class Kind : std::uint8_t {
        message,
        held_message,
        announcement,
        refused,
        payload_received,
        payload_sent,
        peer_lost
    };
    struct Event {
        Kind kind = Kind::message;
        bool ok = false;
        bool too_many = false;  // of what is refused
        ucs_status_t status = UCS_OK;
        std::uint32_t header_bytes = 0;
        std::size_t header_offset = 0;  // in an arena; a copied payload follows its header
        std::uint64_t id = 0;           // tag, token, peer
        std::uint64_t payload_bytes = 0;
        void* held = nullptr;
    };
    /// Two: what an event points to stays where it is while the logic's answer may make UCX call back.
    struct Arena {
        std::vector<std::byte> memory;
        std::size_t used = 0;

        /// Makes space for so many bytes more. std::bad_alloc.
        void reserve(std::size_t bytes);
        /// Requires that space.
        void copy(Bytes bytes) noexcept;
    };

    void reserve_one();
    void push_promised(const Event& event) noexcept;
    bool push_with_copies(Event event, Bytes header, Bytes payload) noexcept;
    void deliver_one(TransportEvents& events, const Event& event) const;

    std::vector<Event> events_;
    std::size_t promised_ = 0;
    std::size_t batch_ = 0;      // the first of them, which are being delivered and point into delivering_
    std::size_t delivered_ = 0;  // of the batch
    Arena filling_;
    Arena delivering_;
};

}  // namespace ddict::ucx
