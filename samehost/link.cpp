// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/link.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace ddict::samehost {
namespace {

// A piece much shorter than this is not worth its record: rather wait for space.
constexpr std::size_t piece_bytes_min = 2048;

}  // namespace

Link::Link(os::UnsharedDescriptor socket, Channel channel, Side side, pid_t peer, const std::uint64_t& nonce)
    : socket_(std::move(socket)),
      channel_(std::move(channel)),
      side_(side),
      peer_(peer),
      writer_(channel_.writer(side)),
      reader_(channel_.reader(side)),
      peer_memory_(peer, channel_.facts(other(side))) {
    EndFacts& own = channel_.facts(side);
    own.nonce.store(nonce, std::memory_order_relaxed);
    own.nonce_address.store(reinterpret_cast<std::uintptr_t>(&nonce), std::memory_order_relaxed);
}

/// What was read before this was asked is sound if it says no: the other end changes the memory only after it
/// has withdrawn.
bool Link::peer_has_withdrawn() noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    return channel_.facts(other(side_)).has_withdrawn.load(std::memory_order_relaxed) != 0;
}

/// Before the kernel tells anybody of the end of a process, it has closed its descriptors.
bool Link::peer_has_hung_up() const noexcept {
    pollfd socket{socket_.fd(), POLLRDHUP, 0};
    return ::poll(&socket, 1, 0) > 0 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

void Link::withdraw() noexcept {
    channel_.facts(side_).has_withdrawn.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

bool Link::write(RecordKind kind, std::size_t header_bytes, Bytes fixed, Bytes header,
                 Bytes payload) noexcept {
    if (!writer_.write(kind, header_bytes, fixed, header, payload)) return false;
    if (writer_.must_ring()) {
        ring();
        has_woken = true;
    }
    return true;
}

bool Link::send(RecordKind kind, Bytes fixed, Bytes header, Bytes payload, std::optional<std::uint64_t> tag) {
    if (waiting_.empty() && write(kind, header.size(), fixed, header, payload)) return true;
    Waiting later{.kind = kind, .header_bytes = header.size(), .content = {}, .payload = {}, .tag = tag};
    later.content.reserve(fixed.size() + header.size() + (tag ? 0 : payload.size()));
    later.content.insert(later.content.end(), fixed.begin(), fixed.end());
    later.content.insert(later.content.end(), header.begin(), header.end());
    if (tag) {
        later.payload = payload;
    } else {
        later.content.insert(later.content.end(), payload.begin(), payload.end());
    }
    waiting_.push_back(std::move(later));
    return false;
}

bool Link::pass_on(const Record& record) {
    if (waiting_.empty() && write(record.kind, record.header_bytes, record.content, {}, {})) return true;
    waiting_.push_back({.kind = record.kind,
                        .header_bytes = record.header_bytes,
                        .content = {record.content.begin(), record.content.end()},
                        .payload = {},
                        .tag = std::nullopt});
    return false;
}

std::size_t Link::send_piece(std::uint64_t token, Bytes rest) noexcept {
    constexpr std::size_t fixed_bytes = sizeof(PayloadStatus);
    const std::size_t space = writer_.space();
    if (space < fixed_bytes + std::min(rest.size(), piece_bytes_min)) {
        writer_.hurry_reader();
        return 0;
    }
    const Bytes piece = rest.first(std::min(rest.size(), space - fixed_bytes));
    const PayloadStatus status{.token = token, .value = 0};
    return write(RecordKind::piece, 0, std::as_bytes(std::span(&status, 1)), {}, piece) ? piece.size() : 0;
}

bool Link::write_first() noexcept {
    const Waiting& next = waiting_.front();
    if (write(next.kind, next.header_bytes, next.content, {}, next.payload)) return true;
    writer_.hurry_reader();
    return false;
}

bool Link::ask_for_space() noexcept {
    const Waiting& next = waiting_.front();
    return writer_.ask_for_space(next.content.size() + next.payload.size());
}

bool Link::ask_for_space_of_piece() noexcept {
    return writer_.ask_for_space(sizeof(PayloadStatus) + piece_bytes_min);
}

/// Where the socket is full, the other end has as much to hear already.
void Link::ring() noexcept {
    const char byte = 0;
    ssize_t sent = 0;
    do {
        sent = ::send(socket_.fd(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    const bool may_sleep_on = sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK;
    if (may_sleep_on) ::shutdown(socket_.fd(), SHUT_RDWR);
}

bool Link::hear() noexcept {
    std::array<char, 256> bytes;
    for (;;) {
        const ssize_t got = ::recv(socket_.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (got > 0) return true;
        if (got == 0) return false;
        if (errno != EINTR) return errno == EAGAIN || errno == EWOULDBLOCK;
    }
}

}  // namespace ddict::samehost
