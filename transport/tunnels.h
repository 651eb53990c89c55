// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Tunnels: the way of a process that must not touch UCX (a child of fork()) to managers of other hosts. It
// connects to a manager of its own host, over samehost/, and asks for a tunnel; that one, the *entrance*,
// passes the records of the connection on, in frames over UCX, to the manager that is meant, the *exit*,
// which has the end of a connection within the host in its own process, and takes them out of that as if the
// client were of its host. Neither looks into what it passes on. docs/architecture.md has the picture,
// docs/protocol.md the bytes.
//
// Invariants:
// 1. Of what one end has sent, at most window_bytes (and what was in a ring when its writer went) have not
//    been acknowledged; the other end acknowledges what is in the ring of the one who reads it, and ends a
//    tunnel through which more comes. So a tunnel costs bounded memory, whoever does not read, and whatever
//    passes through.
// 2. The bytes of each direction come out in the order in which they went in, whatever order UCX delivers in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/secret.h"
#include "rpc/transport.h"
#include "samehost/transport.h"
#include "samehost/tunnel_port.h"
#include "transport/early_bytes.h"
#include "ucx/worker.h"

namespace ddict::transport {

/// What Transport::connect_through() of samehost/ is given: proves that the transport of this name knows the
/// secret, and names whom it wants, by an address of UCX.
std::vector<std::byte> pack_tunnel_request(const Secret& secret, const samehost::LinkName& name, Bytes ucx);

/// Belongs to whoever owns its transports, and ends before them. Threads: those of its transports.
class Tunnels final : public samehost::TunnelPort, private TransportEvents {
  public:
    static constexpr std::size_t window_bytes = std::size_t{128} << 10;
    /// What one end may have sent and the other has not acknowledged. A link whose process has gone may leave
    /// a ring full behind.
    static constexpr std::size_t in_flight_bytes_max = window_bytes + 2 * samehost::ring_bytes;
    /// In which all of that fits in pieces as small as a message, whatever order they come in.
    static constexpr std::size_t early_memory_max = 4 * in_flight_bytes_max;
    static constexpr std::size_t tunnels_max = std::size_t{1} << 16;

    /// Becomes the port of `samehost` until it ends. Both transports must outlive it. Who does not know the
    /// secret gets no tunnel.
    Tunnels(samehost::Transport& samehost, ucx::Worker& ucx, const Secret& secret);
    /// Closes all tunnels, without a word: their other ends see that the connection has gone.
    ~Tunnels();
    Tunnels(const Tunnels&) = delete;
    Tunnels& operator=(const Tunnels&) = delete;

    /// As that of the worker of UCX; what is no tunnel's goes to `listener`.
    unsigned poll(TransportEvents& listener);
    std::size_t size() const noexcept { return tunnels_.size(); }
    /// Frames and requests that were none.
    std::uint64_t rejected() const noexcept { return rejected_; }
    /// Tunnels that were asked for rightly, and could not be made here: they are too many, or memory, a
    /// descriptor or the network is missing.
    std::uint64_t refused() const noexcept { return refused_; }

    // As of samehost::TunnelPort.
    bool on_request(PeerId link, const samehost::LinkName& name, Bytes request) override;
    bool on_record(PeerId link, const samehost::Record& record, bool is_last) override;
    void on_records_end(PeerId link) override;
    void on_written(PeerId link) override;
    void on_link_lost(PeerId link) override;

  private:
    struct Frame;
    enum class Kind : std::uint8_t;
    /// One direction, as its sender sees it.
    struct Outgoing {
        std::uint64_t sent = 0;
        std::uint64_t acknowledged = 0;
        std::vector<std::byte> frame;  // being filled; its beginning is for the Frame
    };
    /// The other, as its receiver sees it.
    struct Incoming {
        std::uint64_t received = 0;          // all bytes before this position
        std::uint64_t acknowledged = 0;      // as far as the sender was told
        std::vector<std::byte> record;       // the beginning of one
        EarlyBytes early{early_memory_max};  // what has overtaken others
        std::optional<std::uint64_t> end;    // how many bytes there are, if that is known
    };
    struct Tunnel {
        std::uint64_t number = 0;
        PeerId link = no_peer;
        PeerId peer = no_peer;  // of UCX
        bool is_entrance = false;
        bool is_open = false;  // the other end knows it
        Outgoing out;
        Incoming in;
        std::optional<Error> why;  // with in.end
    };

    void on_message(Bytes header, const IncomingPayload& payload) override;
    void on_payload_received(std::uint64_t tag, bool ok) override { listener_->on_payload_received(tag, ok); }
    void on_payload_sent(std::uint64_t tag, bool ok) override { listener_->on_payload_sent(tag, ok); }
    void on_peer_lost(PeerId peer, const Error& why) override;

    void on_frame(Bytes bytes);
    void on_open(const Frame& frame, Bytes content);
    void on_data(Tunnel& tunnel, const Frame& frame, Bytes bytes);
    void on_end(Tunnel& tunnel, std::uint64_t position, Bytes reason);
    bool take_in(Tunnel& tunnel, Bytes bytes);
    bool has_come_to_its_end(Tunnel& tunnel);
    bool note_acknowledged(Tunnel& tunnel, std::uint64_t position);
    void acknowledge_if_due(Tunnel& tunnel);
    void append(Tunnel& tunnel, Bytes bytes);
    void send_frame(Tunnel& tunnel);
    void send(Tunnel& tunnel, Kind kind, Bytes content = {});
    Result<void> begin(PeerId link, Bytes ucx_address, const samehost::LinkName& name);
    Tunnel& add(std::uint64_t number, PeerId link, PeerId peer, bool is_entrance);
    /// Tells the other end, and the process at this one, why.
    void end(Tunnel& tunnel, const Error& why);
    /// The other end has gone, or knows it already.
    void remove(Tunnel& tunnel, const Error& why);
    Tunnel* of_link(PeerId link) noexcept;

    samehost::Transport& samehost_;
    ucx::Worker& ucx_;
    Secret secret_;
    TransportEvents* listener_ = nullptr;                                 // during poll()
    std::unordered_map<std::uint64_t, std::unique_ptr<Tunnel>> tunnels_;  // by number
    std::unordered_map<PeerId, Tunnel*> by_link_;
    std::unordered_map<PeerId, Tunnel*> by_peer_;
    std::uint64_t rejected_ = 0;
    std::uint64_t refused_ = 0;
};

}  // namespace ddict::transport
