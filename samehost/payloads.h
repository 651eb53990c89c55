// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Payloads that are too large to go with their message. The sender offers one, and keeps it where it is; the
// receiver copies it from the sender's memory when it knows where to, and says that it has. Where the kernel
// does not let it, it asks for the payload in pieces, which go through the ring.
//
// Only receivers copy. So nothing is ever written into a process that does not wait for it; and what was
// copied while the sender took the payload back is thrown away (Link::withdraw).
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/token_table.h"
#include "os/wait_policy.h"
#include "samehost/events.h"
#include "samehost/link.h"

namespace ddict::samehost {

class Payloads {
  public:
    /// `note_waiting` is told of a link on which a record has to wait for space; `out_of_memory` of one that
    /// cannot go on.
    Payloads(Events& events, os::WaitPolicy& waiting, std::function<void(Link&)> note_waiting,
             std::function<void(Link&)> out_of_memory)
        : events_(events),
          waiting_(waiting),
          note_waiting_(std::move(note_waiting)),
          out_of_memory_(std::move(out_of_memory)) {}

    // ---- the sender's side ----

    /// Sends the message with an offer of its payload; payload_sent(tag) comes when the payload is needed no
    /// more. Requires an open link. std::bad_alloc if memory is missing; nothing was sent then.
    void offer(Link& link, Bytes header, Bytes payload, std::uint64_t tag);
    void offer(Link& link, Bytes header, Parts payload, std::uint64_t tag);
    void on_taken(Link& link, const PayloadStatus& status);
    void on_request(Link& link, const PayloadStatus& status);

    // ---- the receiver's side ----

    struct Announced {
        std::uint64_t token = 0;  // 0: it was refused, and the sender has been told
        bool too_many = false;    // then: limits::payloads_in_flight_max wait already; else memory is missing
    };
    Announced on_offer(Link& link, const PayloadOffer& offer, std::span<const RemotePart> parts);
    /// payload_received(tag) comes. std::bad_alloc if memory is missing; the payload waits on then.
    /// `from` is the link to whom the caller takes for the sender, null if it is the one of the offer: that
    /// ends it too.
    void receive(Link* from, std::uint64_t token, MutableBytes into, MutableBytes rest, std::uint64_t tag);
    void discard(std::uint64_t token);
    /// False if it says what cannot be.
    bool on_piece(Link& link, const PayloadStatus& status, Bytes piece);

    /// Moves what is under way by a step.
    void progress();
    bool is_idle() const noexcept { return copying_.empty() && sending_.empty(); }
    bool is_copying() const noexcept { return !copying_.empty(); }
    /// Before going to sleep: whether there is something to do after all.
    bool ask_for_space();

    /// Ends all of a link: payload_sent and payload_received, not ok, of what was under way.
    void drop(Link& link);
    std::uint64_t refused() const noexcept { return refused_; }

  private:
    struct Offered {
        Link* link;
        Bytes payload;
        Parts parts;  // instead
        std::uint64_t tag;
        /// What has not been sent, or the part of it that comes next.
        Bytes next() const noexcept;
        std::size_t bytes() const noexcept { return parts.empty() ? payload.size() : bytes_in(parts); }
        std::uint64_t receiver_token = 0;  // if it is sent in pieces
        std::size_t sent = 0;
    };
    struct Incoming {
        Link* link;
        PayloadOffer offer;
        std::vector<RemotePart> parts;  // if there are several
    };
    struct Receiving {
        Link* link;
        Link* from;  // often the same
        std::uint64_t sender_token;
        std::uint64_t address;
        std::vector<RemotePart> parts;
        MutableBytes into;
        MutableBytes rest;  // of into
        std::uint64_t tag;
        std::size_t received = 0;
        std::size_t bytes() const noexcept { return into.size() + rest.size(); }
        /// Where the next `count` bytes go: a part of into, of rest, or of both.
        std::pair<MutableBytes, MutableBytes> next(std::size_t count) const noexcept;
    };
    void begin_offer(Link& link, RecordKind kind, Bytes header, Offered offered,
                     std::span<const RemotePart> parts);
    PeerMemory::Outcome read_next(const Receiving& receiving, std::size_t count) noexcept;
    bool copy_some(std::uint64_t token);
    void send_some(std::uint64_t token);
    void ask_for_pieces(std::uint64_t token, const Receiving& receiving);
    Receiving take_receiving(std::uint64_t token);
    void end_receiving(std::uint64_t token, bool ok);
    void send_status(Link& link, RecordKind kind, std::uint64_t token, std::uint64_t value) noexcept;

    void end_sending(std::uint64_t token, bool ok);

    Events& events_;
    os::WaitPolicy& waiting_;
    std::function<void(Link&)> note_waiting_;
    std::function<void(Link&)> out_of_memory_;
    TokenTable<Offered> offered_{0x7fff'ffff};
    TokenTable<Incoming> incoming_{limits::payloads_in_flight_max};
    TokenTable<Receiving> receiving_{0x7fff'ffff};
    std::vector<std::uint64_t> copying_;  // of receiving_: by this process, from the sender's memory
    std::vector<std::uint64_t> sending_;  // of offered_: in pieces
    std::uint64_t refused_ = 0;
};

}  // namespace ddict::samehost
