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

/// A queue in two halves: callbacks fill one while the other is being delivered, so that what an event points
/// to stays where it is although the logic's answer may make UCX call back. Both halves keep their memory:
/// nothing is allocated once they have grown to the load.
class EventQueue {
  public:
    /// Copies both; the body may be empty.
    void push_message(Bytes head, Bytes body);
    /// Keeps `held`, memory of UCX, until the event has been delivered, and then gives it back. It is the
    /// body, or the whole message if `head` is empty. The head is copied.
    void push_held_message(Bytes head, void* held, std::size_t held_bytes);
    void push_announcement(Bytes head, std::uint64_t token, std::uint64_t body_bytes);
    void push_body_received(std::uint64_t tag, bool ok);
    void push_body_sent(std::uint64_t tag, bool ok);
    void push_peer_lost(PeerId peer, const Error& why);

    bool empty() const noexcept { return filling_.events.empty(); }
    /// Delivers what was there at the call, in order; returns how much that was. `worker` gets its memory
    /// back.
    unsigned deliver(TransportEvents& events, ucp_worker_h worker);
    /// Forgets everything; `worker` gets its memory back.
    void drop(ucp_worker_h worker);

  private:
    enum class Kind : std::uint8_t {
        message,
        held_message,
        announcement,
        body_received,
        body_sent,
        peer_lost
    };
    struct Event {
        Kind kind = Kind::message;
        bool ok = false;
        std::uint32_t head_bytes = 0;
        std::size_t head_offset = 0;  // in the arena; a copied body follows its head
        std::uint64_t id = 0;         // tag, token, peer
        std::uint64_t body_bytes = 0;
        void* held = nullptr;
    };
    struct Half {
        std::vector<Event> events;
        std::vector<std::byte> arena;
        std::size_t arena_used = 0;
        std::vector<Error> errors;  // of peer_lost, in order

        std::size_t copy(Bytes bytes);
        void clear() noexcept;
    };

    static void deliver_one(TransportEvents& events, const Half& half, const Event& event);

    Half filling_;
    Half delivering_;
};

}  // namespace ddict::ucx
