// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One connection to a process of this host: a socket, by which the kernel tells that the other end has gone
// and by which a sleeper is woken up, and a channel, through which everything else goes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "os/unshared_descriptor.h"
#include "rpc/transport.h"
#include "samehost/channel.h"
#include "samehost/handshake.h"
#include "samehost/peer_memory.h"

namespace ddict::samehost {

/// Follows RecordKind::offer's word, before the header.
struct PayloadOffer {
    std::uint64_t token = 0;  // of the sender
    std::uint64_t bytes = 0;
    std::uint64_t address = 0;  // in the sender
};

/// taken: token of the sender, and whether it was received. request: tokens of the sender and of the
/// receiver. piece: token of the receiver, and the bytes follow.
struct PayloadStatus {
    std::uint64_t token = 0;
    std::uint64_t value = 0;
};

/// unclaimed: accepted, and nobody has asked to speak to it yet. open: somebody has. closing: closed, but
/// messages wait for space in the ring. closed: nothing more comes; it is about to be destroyed.
enum class LinkState : std::uint8_t { unclaimed, open, closing, closed };

/// between_two: the process at the other end is the one that is meant. through_tunnel: the one that is meant
/// is on another host, and its memory cannot be read. passed_on: both that are meant are elsewhere, and what
/// comes is for the TunnelPort.
enum class LinkUse : std::uint8_t { between_two, through_tunnel, passed_on };

/// Invariants:
/// 1. While messages wait, no newer one is written: the order is kept.
/// 2. The reader polls exactly while is_polled.
/// Threads: none; its transport's.
class Link {
  public:
    /// `nonce` and where it stands in this process: see EndFacts.
    Link(os::UnsharedDescriptor socket, Channel channel, Side side, pid_t peer, const std::uint64_t& nonce);
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    int socket() const noexcept { return socket_.fd(); }
    Side side() const noexcept { return side_; }
    pid_t peer() const noexcept { return peer_; }
    RingReader& reader() noexcept { return reader_; }
    PeerMemory& peer_memory() noexcept { return peer_memory_; }
    bool peer_has_withdrawn() noexcept;
    /// Whether the peer's process has ended, or is about to. One system call.
    bool peer_has_hung_up() const noexcept;
    /// From now on nothing that this end has offered may be believed.
    void withdraw() noexcept;

    /// Writes a record now, or when there is space. `payload` is the caller's: with a tag it is written from
    /// where it lies, and if that is later, flush() reports the tag. True if all was written now.
    /// std::bad_alloc if memory is missing; nothing was sent then.
    bool send(RecordKind kind, Bytes fixed, Bytes header, Bytes payload = {},
              std::optional<std::uint64_t> tag = std::nullopt);
    /// The same of a record as another transport has written it.
    bool pass_on(const Record& record);
    /// As much of a payload as there is space for; how many bytes that was. Not while messages wait.
    std::size_t send_piece(std::uint64_t token, Bytes rest) noexcept;
    bool has_waiting() const noexcept { return !waiting_.empty(); }
    std::size_t waiting() const noexcept { return waiting_.size(); }
    /// Writes what waits and has space by now; calls written(tag) for each payload.
    template <class Written>
    void flush(Written&& written) {
        while (!waiting_.empty()) {
            if (!write_first()) return;
            const std::optional<std::uint64_t> tag = waiting_.front().tag;
            waiting_.pop_front();
            if (tag) written(*tag);
        }
    }
    /// Forgets the payloads that wait, with their messages; calls dropped(tag) for each. Others go on
    /// waiting.
    template <class Dropped>
    void drop_waiting_payloads(Dropped&& dropped) {
        for (const Waiting& one : waiting_) {
            if (one.tag) dropped(*one.tag);
        }
        std::erase_if(waiting_, [](const Waiting& one) { return one.tag.has_value(); });
    }
    /// Before going to sleep: true if there is space by now for what waits.
    bool ask_for_space() noexcept;
    /// For the same reason: space for a piece.
    bool ask_for_space_of_piece() noexcept;

    /// Wakes the other end up. A connection that cannot is shut down: both ends learn of that.
    void ring() noexcept;
    /// Reads what the other end has rung; false if that has gone.
    bool hear() noexcept;

    PeerId id = no_peer;
    LinkName name{};  // of the transport that has connected
    LinkState state = LinkState::unclaimed;
    LinkUse use = LinkUse::between_two;
    bool is_held = false;  // passed_on: its records stay in the ring; its writer need not ring for them
    bool is_polled = false;
    bool has_woken = false;         // what was sent since somebody looked had to wake the other end up
    bool is_waiting = false;        // in its transport's list
    bool is_lost = false;           // the other end has gone, or has sent nonsense
    bool is_loss_promised = false;  // an event for its loss
    unsigned payloads = 0;          // in the tables of Payloads
    std::uint64_t last_active = 0;  // the transport's turn in which it last brought something
    std::optional<Error> trouble{};

  private:
    struct Waiting {
        RecordKind kind;
        std::size_t header_bytes;
        std::vector<std::byte> content;
        Bytes payload;
        std::optional<std::uint64_t> tag;
    };
    bool write_first() noexcept;
    bool write(RecordKind kind, std::size_t header_bytes, Bytes fixed, Bytes header, Bytes payload) noexcept;

    os::UnsharedDescriptor socket_;
    Channel channel_;
    Side side_;
    pid_t peer_;
    RingWriter writer_;
    RingReader reader_;
    PeerMemory peer_memory_;
    std::deque<Waiting> waiting_;
};

}  // namespace ddict::samehost
