// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "transport/tunnels.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/limits.h"
#include "os/error.h"
#include "samehost/reason.h"

namespace ddict::transport {

using samehost::LinkName;
using samehost::Record;
using samehost::RecordKind;

/// open: asks for a tunnel; from the entrance. opened: there is one; from the exit. data: bytes of the
/// stream, or none. end: the stream has so many bytes, and why nothing follows.
enum class Tunnels::Kind : std::uint8_t { open = 1, opened = 2, data = 3, end = 4 };

/// The beginning of a message of UCX that is a tunnel's. Its content follows. (Every other message begins
/// with the version of the protocol.)
struct Tunnels::Frame {
    static constexpr std::uint8_t magic_of_frames = 0xdd;
    std::uint8_t magic = magic_of_frames;
    Kind kind{};
    std::array<std::uint8_t, 6> reserved{};
    std::uint64_t tunnel = 0;        // its number: unpredictable, so that no one else can meddle
    std::uint64_t position = 0;      // in the stream, of the content's first byte
    std::uint64_t acknowledged = 0;  // of the stream of the other direction
};

namespace {

/// A record in the stream: this, and its bytes.
struct RecordHead {
    std::uint32_t content_bytes = 0;
    std::uint16_t header_bytes = 0;
    RecordKind kind{};
    std::uint8_t reserved = 0;
};
static_assert(sizeof(RecordHead) == 8 && samehost::record_content_max <= UINT16_MAX);

constexpr std::size_t frame_bytes_max = limits::header_bytes_max;
constexpr std::size_t acknowledged_at_least_every = Tunnels::window_bytes / 4;
constexpr std::string_view request_word = "ddict: asks for a tunnel";
constexpr std::string_view open_word = "ddict: opens a tunnel";

template <class T>
Bytes bytes_of_object(const T& object) noexcept {
    return std::as_bytes(std::span(&object, 1));
}

Proof proof_of(const Secret& secret, std::string_view word, Bytes number, const LinkName& name,
               Bytes address) {
    return SipHash(secret).add(bytes_of(word)).add(number).add(name).add(address).finish();
}

Error malformed() {
    return Error(Errc::protocol, "nonsense came through the tunnel to it");
}

/// What the process that has asked for a tunnel reads: not a fault of the manager that it means.
Error cannot_pass_on(const Error& why) {
    return Error(Errc::manager_lost,
                 std::string("a manager of this node cannot pass messages on to it: ") + why.detail.data())
        .set_state(ManagerState::unreachable);
}

/// The same where the manager that it means cannot, which lives.
Error takes_no_more(const Error& why) {
    return Error(Errc::busy, std::string("it takes no more connections at present: ") + why.detail.data());
}

}  // namespace

std::vector<std::byte> pack_tunnel_request(const Secret& secret, const LinkName& name, Bytes ucx) {
    std::vector<std::byte> request;
    Packer(request).put(proof_of(secret, request_word, {}, name, ucx));
    request.insert(request.end(), ucx.begin(), ucx.end());
    return request;
}

Tunnels::Tunnels(samehost::Transport& samehost, ucx::Worker& ucx, const Secret& secret)
    : samehost_(samehost), ucx_(ucx), secret_(secret) {
    samehost.set_tunnels(*this);
}

Tunnels::~Tunnels() {
    for (const auto& [number, tunnel] : tunnels_) {
        if (tunnel->link != no_peer) samehost_.close(tunnel->link);
        ucx_.close(tunnel->peer);
    }
    samehost_.unset_tunnels();
}

unsigned Tunnels::poll(TransportEvents& listener) {
    listener_ = &listener;
    return ucx_.poll(*this);
}

// ---- making them ----

bool Tunnels::on_request(PeerId link, const LinkName& name, Bytes request) {
    Proof proof;
    const bool has_proof = request.size() > proof.size();
    if (has_proof) std::memcpy(proof.data(), request.data(), proof.size());
    const Bytes address = has_proof ? request.subspan(proof.size()) : Bytes();
    if (!has_proof || address.size() > limits::address_bytes_max ||
        !equal_in_constant_time(proof, proof_of(secret_, request_word, {}, name, address))) {
        ++rejected_;
        return false;
    }
    try {
        const Result<void> begun = begin(link, address, name);
        if (!begun) {
            ++refused_;
            samehost_.end_tunnel(link, cannot_pass_on(begun.error()));
        }
    } catch (const std::bad_alloc&) {
        ++refused_;
        const Error why = cannot_pass_on(Error(Errc::system, "it has no memory for that"));
        if (Tunnel* const tunnel = of_link(link); tunnel != nullptr) {
            end(*tunnel, why);
        } else {
            samehost_.end_tunnel(link, why);
        }
    }
    return true;
}

/// What comes from the link before the other end has answered stays in its ring.
Result<void> Tunnels::begin(PeerId link, Bytes ucx_address, const LinkName& name) {
    if (tunnels_.size() >= tunnels_max) return Error(Errc::busy, "it does that for too many already");
    std::uint64_t number = 0;
    if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number))
        return os::error_of(errno, "asking the kernel for random bytes");
    const Result<PeerId> peer = ucx_.connect(ucx_address);
    if (!peer) return peer.error();
    Tunnel& tunnel = add(number, link, *peer, true);
    std::vector<std::byte> content;
    Packer(content).put(name).put(
        proof_of(secret_, open_word, bytes_of_object(number), name, ucx_.address()));
    content.insert(content.end(), ucx_.address().begin(), ucx_.address().end());
    send(tunnel, Kind::open, content);
    return {};
}

Tunnels::Tunnel& Tunnels::add(std::uint64_t number, PeerId link, PeerId peer, bool is_entrance) {
    try {
        auto made = std::make_unique<Tunnel>();
        Tunnel& tunnel = *made;
        tunnel.number = number;
        tunnel.link = link;
        tunnel.peer = peer;
        tunnel.is_entrance = is_entrance;
        tunnel.out.frame.reserve(frame_bytes_max);
        tunnel.out.frame.resize(sizeof(Frame));
        if (link != no_peer) by_link_[link] = &tunnel;
        by_peer_[peer] = &tunnel;
        tunnels_[number] = std::move(made);
        return tunnel;
    } catch (...) {
        by_link_.erase(link);
        by_peer_.erase(peer);
        ucx_.close(peer);
        throw;
    }
}

/// Strangers get no answer: see SessionGate.
void Tunnels::on_open(const Frame& frame, Bytes content) {
    LinkName name;
    Proof proof;
    constexpr std::size_t fixed_bytes = sizeof name + sizeof proof;
    if (content.size() <= fixed_bytes || tunnels_.contains(frame.tunnel)) {
        ++rejected_;
        return;
    }
    std::memcpy(name.data(), content.data(), sizeof name);
    std::memcpy(proof.data(), content.data() + sizeof name, sizeof proof);
    const Bytes address = content.subspan(fixed_bytes);
    if (!equal_in_constant_time(proof,
                                proof_of(secret_, open_word, bytes_of_object(frame.tunnel), name, address))) {
        ++rejected_;
        return;
    }
    const Result<PeerId> peer = ucx_.connect(address);
    if (!peer) {  // whom nothing can be said to
        ++refused_;
        return;
    }
    Tunnel& tunnel = add(frame.tunnel, no_peer, *peer, false);
    const Result<PeerId> link = tunnels_.size() > tunnels_max
                                    ? Result<PeerId>(Error(Errc::busy, "it has too many tunnels"))
                                    : samehost_.make_tunnel_end(name);
    if (!link) {
        ++refused_;
        return end(tunnel, takes_no_more(link.error()));
    }
    tunnel.link = *link;
    by_link_[*link] = &tunnel;
    tunnel.is_open = true;
    send(tunnel, Kind::opened);
}

// ---- from here to there ----

Tunnels::Tunnel* Tunnels::of_link(PeerId link) noexcept {
    const auto found = by_link_.find(link);
    return found != by_link_.end() ? found->second : nullptr;
}

bool Tunnels::on_record(PeerId link, const Record& record, bool is_last) {
    Tunnel* const tunnel = of_link(link);
    if (tunnel == nullptr) return true;
    const Outgoing& out = tunnel->out;
    const bool is_full = out.sent + out.frame.size() - sizeof(Frame) - out.acknowledged >= window_bytes;
    if (!is_last && (!tunnel->is_open || is_full)) return false;
    if (!tunnel->is_open) return true;
    try {
        if (!goes_through_tunnels(record.kind)) {
            end(*tunnel, malformed());
            return true;
        }
        const RecordHead head{.content_bytes = static_cast<std::uint32_t>(record.content.size()),
                              .header_bytes = static_cast<std::uint16_t>(record.header_bytes),
                              .kind = record.kind};
        append(*tunnel, bytes_of_object(head));
        append(*tunnel, record.content);
    } catch (const std::bad_alloc&) {
        end(*tunnel, Error(Errc::system, "a manager has no memory to pass messages on"));
    }
    return true;
}

void Tunnels::append(Tunnel& tunnel, Bytes bytes) {
    std::vector<std::byte>& frame = tunnel.out.frame;
    while (!bytes.empty()) {
        const std::size_t some = std::min(bytes.size(), frame_bytes_max - frame.size());
        frame.insert(frame.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(some));
        bytes = bytes.subspan(some);
        if (frame.size() == frame_bytes_max) send_frame(tunnel);
    }
}

void Tunnels::on_records_end(PeerId link) {
    Tunnel* const tunnel = of_link(link);
    if (tunnel == nullptr || tunnel->out.frame.size() == sizeof(Frame)) return;
    try {
        send_frame(*tunnel);
    } catch (const std::bad_alloc&) {
        end(*tunnel, Error(Errc::system, "a manager has no memory to pass messages on"));
    }
}

void Tunnels::send_frame(Tunnel& tunnel) {
    Outgoing& out = tunnel.out;
    if (!samehost_.has_waiting(tunnel.link)) tunnel.in.acknowledged = tunnel.in.received;
    Frame frame;
    frame.kind = Kind::data;
    frame.tunnel = tunnel.number;
    frame.position = out.sent;
    frame.acknowledged = tunnel.in.acknowledged;
    std::memcpy(out.frame.data(), &frame, sizeof frame);
    ucx_.send(tunnel.peer, out.frame);
    out.sent += out.frame.size() - sizeof frame;
    out.frame.resize(sizeof frame);
}

void Tunnels::send(Tunnel& tunnel, Kind kind, Bytes content) {
    Frame frame;
    frame.kind = kind;
    frame.tunnel = tunnel.number;
    frame.position = tunnel.out.sent;
    frame.acknowledged = tunnel.in.acknowledged;
    std::vector<std::byte> bytes;
    Packer(bytes).put(frame);
    bytes.insert(bytes.end(), content.begin(), content.end());
    ucx_.send(tunnel.peer, bytes);
}

// ---- from there to here ----

void Tunnels::on_message(Bytes header, const IncomingPayload& payload) {
    const bool is_frame = !header.empty() && header[0] == std::byte{Frame::magic_of_frames};
    if (!is_frame) return listener_->on_message(header, payload);
    if (header.size() < sizeof(Frame) || payload.present()) {
        ++rejected_;
        if (payload.token != 0) ucx_.discard_payload(payload.token);
        return;
    }
    on_frame(header);
}

void Tunnels::on_frame(Bytes bytes) {
    Frame frame;
    std::memcpy(&frame, bytes.data(), sizeof frame);
    if (frame.kind < Kind::open || frame.kind > Kind::end ||
        frame.reserved != std::array<std::uint8_t, 6>{}) {
        ++rejected_;
        return;
    }
    const Bytes content = bytes.subspan(sizeof frame);
    const auto found = tunnels_.find(frame.tunnel);
    Tunnel* const tunnel = found != tunnels_.end() ? found->second.get() : nullptr;
    try {
        if (frame.kind == Kind::open) return on_open(frame, content);
        if (tunnel == nullptr) return;  // of one that has ended here
        switch (frame.kind) {
            case Kind::opened:
                tunnel->is_open = true;
                return samehost_.resume(tunnel->link);
            case Kind::data:
                return on_data(*tunnel, frame, content);
            case Kind::end:
                return on_end(*tunnel, frame.position, content);
            case Kind::open:
                break;
        }
        ++rejected_;
    } catch (const std::bad_alloc&) {
        if (tunnel != nullptr)
            end(*tunnel, Error(Errc::system, "a manager has no memory to pass messages on"));
    }
}

/// What was not sent cannot be acknowledged.
bool Tunnels::note_acknowledged(Tunnel& tunnel, std::uint64_t position) {
    Outgoing& out = tunnel.out;
    if (position > out.sent) return false;
    if (position <= out.acknowledged) return true;  // overtaken
    out.acknowledged = position;
    samehost_.resume(tunnel.link);
    return true;
}

void Tunnels::on_data(Tunnel& tunnel, const Frame& frame, Bytes bytes) {
    if (!note_acknowledged(tunnel, frame.acknowledged)) return end(tunnel, malformed());
    if (bytes.empty()) return;
    Incoming& in = tunnel.in;
    // What has been acknowledged does not come again, and nothing is sent beyond the window.
    const std::uint64_t ahead = frame.position - in.acknowledged;
    bool is_sound = frame.position >= in.received && ahead <= in_flight_bytes_max &&
                    ahead + bytes.size() <= in_flight_bytes_max;
    if (is_sound && frame.position != in.received) {
        if (!in.early.keep(frame.position, bytes)) end(tunnel, malformed());
        return;
    }
    for (std::vector<std::byte> early; is_sound && !bytes.empty(); bytes = early) {
        is_sound = take_in(tunnel, bytes);
        early = in.early.take(in.received);
    }
    if (!is_sound) return end(tunnel, malformed());
    if (!has_come_to_its_end(tunnel)) acknowledge_if_due(tunnel);
}

/// Writes the records that are whole. False if they cannot be records.
bool Tunnels::take_in(Tunnel& tunnel, Bytes bytes) {
    std::vector<std::byte>& kept = tunnel.in.record;
    tunnel.in.received += bytes.size();
    kept.insert(kept.end(), bytes.begin(), bytes.end());
    Bytes rest = kept;
    RecordHead head;
    while (rest.size() >= sizeof head) {
        std::memcpy(&head, rest.data(), sizeof head);
        if (!goes_through_tunnels(head.kind) || head.content_bytes > samehost::record_content_max ||
            head.header_bytes > head.content_bytes)
            return false;
        if (rest.size() < sizeof head + head.content_bytes) break;
        samehost_.write(tunnel.link, {.kind = head.kind,
                                      .header_bytes = head.header_bytes,
                                      .content = rest.subspan(sizeof head, head.content_bytes)});
        rest = rest.subspan(sizeof head + head.content_bytes);
    }
    kept.erase(kept.begin(), kept.end() - static_cast<std::ptrdiff_t>(rest.size()));
    return true;
}

void Tunnels::acknowledge_if_due(Tunnel& tunnel) {
    Incoming& in = tunnel.in;
    if (in.received - in.acknowledged < acknowledged_at_least_every || samehost_.has_waiting(tunnel.link))
        return;
    in.acknowledged = in.received;
    send(tunnel, Kind::data);
}

void Tunnels::on_written(PeerId link) {
    Tunnel* const tunnel = of_link(link);
    if (tunnel == nullptr) return;
    try {
        acknowledge_if_due(*tunnel);
    } catch (const std::bad_alloc&) {
        end(*tunnel, Error(Errc::system, "a manager has no memory to pass messages on"));
    }
}

// ---- ending them ----

void Tunnels::on_end(Tunnel& tunnel, std::uint64_t position, Bytes reason) {
    std::optional<Error> why = samehost::unpack_reason(reason);
    const bool is_sound = why && position - tunnel.in.received <= in_flight_bytes_max;
    tunnel.in.end = is_sound ? position : tunnel.in.received;
    tunnel.why = is_sound ? *why : malformed();
    static_cast<void>(has_come_to_its_end(tunnel));
}

/// True if the tunnel is gone.
bool Tunnels::has_come_to_its_end(Tunnel& tunnel) {
    if (tunnel.in.end != tunnel.in.received) return false;
    const Error why = *tunnel.why;  // which goes with the tunnel
    remove(tunnel, why);
    return true;
}

void Tunnels::on_link_lost(PeerId link) {
    Tunnel* const tunnel = of_link(link);
    if (tunnel == nullptr) return;
    end(*tunnel, tunnel->is_entrance
                     ? Error(Errc::manager_lost, "the client has closed the connection, or ended")
                     : Error(Errc::manager_lost, "it has closed the connection"));
}

void Tunnels::on_peer_lost(PeerId peer, const Error& why) {
    const auto found = by_peer_.find(peer);
    if (found == by_peer_.end()) return listener_->on_peer_lost(peer, why);
    remove(*found->second, why);
}

void Tunnels::end(Tunnel& tunnel, const Error& why) {
    try {
        send(tunnel, Kind::end, samehost::pack_reason(why));
    } catch (const std::bad_alloc&) {
    }  // it learns that there is no connection any more
    remove(tunnel, why);
}

void Tunnels::remove(Tunnel& tunnel, const Error& why) {
    const PeerId link = tunnel.link;
    by_link_.erase(link);
    by_peer_.erase(tunnel.peer);
    ucx_.close(tunnel.peer);
    tunnels_.erase(tunnel.number);
    if (link != no_peer) samehost_.end_tunnel(link, why);
}

}  // namespace ddict::transport
