// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/payloads.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace ddict::samehost {
namespace {

// Copied in one go: others wait for so long.
constexpr std::size_t copied_at_once_max = std::size_t{1} << 20;

template <class T>
Bytes bytes_of_object(const T& object) noexcept {
    return std::as_bytes(std::span(&object, 1));
}

}  // namespace

/// The other end waits for it: without it the connection has no sense any more.
void Payloads::send_status(Link& link, RecordKind kind, std::uint64_t token, std::uint64_t value) noexcept {
    const PayloadStatus status{.token = token, .value = value};
    try {
        if (!link.send(kind, bytes_of_object(status), {})) note_waiting_(link);
    } catch (const std::bad_alloc&) {
        out_of_memory_(link);
    }
}

// ---- the sender's side ----

void Payloads::offer(Link& link, Bytes header, Bytes payload, std::uint64_t tag) {
    begin_offer(link, RecordKind::offer, header, {.link = &link, .payload = payload, .parts = {}, .tag = tag},
                {});
}

void Payloads::offer(Link& link, Bytes header, Parts payload, std::uint64_t tag) {
    std::array<RemotePart, limits::value_parts_max> parts;
    for (std::size_t i = 0; i < payload.size(); ++i)
        parts[i] = {reinterpret_cast<std::uintptr_t>(payload[i].data()), payload[i].size()};
    begin_offer(link, RecordKind::offer_of_parts, header,
                {.link = &link, .payload = {}, .parts = payload, .tag = tag},
                std::span(parts).first(payload.size()));
}

void Payloads::begin_offer(Link& link, RecordKind kind, Bytes header, Offered offered,
                           std::span<const RemotePart> parts) {
    events_.promise();
    std::uint64_t token = 0;
    try {
        sending_.reserve(offered_.size() + 1);  // for on_request()
        PayloadOffer offer{.token = 0,
                           .bytes = offered.bytes(),
                           .address = parts.empty() ? reinterpret_cast<std::uintptr_t>(offered.payload.data())
                                                    : parts.size()};
        offer.token = token = offered_.add(std::move(offered));
        std::array<std::byte, sizeof offer + sizeof(RemotePart) * limits::value_parts_max> fixed;
        std::memcpy(fixed.data(), &offer, sizeof offer);
        if (!parts.empty()) std::memcpy(fixed.data() + sizeof offer, parts.data(), parts.size_bytes());
        link.send(kind, Bytes(fixed).first(sizeof offer + parts.size_bytes()), header);
    } catch (...) {
        if (token != 0) static_cast<void>(offered_.take(token));
        events_.forget();
        throw;
    }
    ++link.payloads;
    waiting_.payload_began();
}

void Payloads::on_taken(Link& link, const PayloadStatus& status) {
    const Offered* const offered = offered_.find(status.token);
    if (offered == nullptr || offered->link != &link) return;
    end_sending(status.token, status.value != 0);
}

void Payloads::end_sending(std::uint64_t token, bool ok) {
    std::erase(sending_, token);
    const Offered ended = *offered_.take(token);
    --ended.link->payloads;
    events_.payload_sent(ended.tag, ok);
    waiting_.payload_ended();
}

void Payloads::on_request(Link& link, const PayloadStatus& status) {
    Offered* const offered = offered_.find(status.token);
    if (offered == nullptr || offered->link != &link || offered->receiver_token != 0 || status.value == 0)
        return;
    offered->receiver_token = status.value;
    sending_.push_back(status.token);
}

Bytes Payloads::Offered::next() const noexcept {
    if (parts.empty()) return payload.subspan(sent);
    std::size_t before = sent;
    for (const Bytes part : parts) {
        if (before < part.size()) return part.subspan(before);
        before -= part.size();
    }
    return {};
}

void Payloads::send_some(std::uint64_t token) {
    Offered& offered = *offered_.find(token);
    if (offered.link->has_waiting()) return;
    offered.sent += offered.link->send_piece(offered.receiver_token, offered.next());
}

// ---- the receiver's side ----

Payloads::Announced Payloads::on_offer(Link& link, const PayloadOffer& offer,
                                       std::span<const RemotePart> parts) {
    Announced announced;
    try {
        announced.token =
            incoming_.add({.link = &link, .offer = offer, .parts = {parts.begin(), parts.end()}});
        announced.too_many = announced.token == 0;
    } catch (const std::bad_alloc&) {
    }
    if (announced.token != 0) {
        ++link.payloads;
        return announced;
    }
    ++refused_;
    send_status(link, RecordKind::taken, offer.token, 0);
    return announced;
}

void Payloads::receive(Link* from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                       std::uint64_t tag) {
    events_.promise();
    const Incoming* const found = incoming_.find(token);
    if (found == nullptr || found->offer.bytes != into.size() + rest.size())
        return events_.payload_received(tag, false);
    const Incoming& incoming = *found;
    Link& link = *incoming.link;
    std::uint64_t receiving = 0;
    try {
        copying_.reserve(copying_.size() + 1);
        receiving = receiving_.add({.link = &link,
                                    .from = from != nullptr ? from : &link,
                                    .sender_token = incoming.offer.token,
                                    .address = incoming.offer.address,
                                    .parts = incoming.parts,
                                    .into = into,
                                    .rest = rest,
                                    .tag = tag});
    } catch (...) {
        events_.forget();
        throw;
    }
    if (link.peer_memory().may_be_read()) {
        copying_.push_back(receiving);
    } else {
        ask_for_pieces(receiving, *receiving_.find(receiving));
    }
    static_cast<void>(incoming_.take(token));  // which link.payloads has counted
    if (from != nullptr && from != &link) ++from->payloads;
}

void Payloads::discard(std::uint64_t token) {
    const auto incoming = incoming_.take(token);
    if (!incoming) return;
    --incoming->link->payloads;
    send_status(*incoming->link, RecordKind::taken, incoming->offer.token, 1);
}

void Payloads::ask_for_pieces(std::uint64_t token, const Receiving& receiving) {
    send_status(*receiving.link, RecordKind::request, receiving.sender_token, token);
}

Payloads::Receiving Payloads::take_receiving(std::uint64_t token) {
    const Receiving taken = *receiving_.take(token);
    --taken.link->payloads;
    if (taken.from != taken.link) --taken.from->payloads;
    return taken;
}

void Payloads::end_receiving(std::uint64_t token, bool ok) {
    const Receiving ended = take_receiving(token);
    events_.payload_received(ended.tag, ok);
    send_status(*ended.link, RecordKind::taken, ended.sender_token, ok ? 1 : 0);
}

std::pair<MutableBytes, MutableBytes> Payloads::Receiving::next(std::size_t count) const noexcept {
    if (received >= into.size()) return {rest.subspan(received - into.size(), count), {}};
    const std::size_t first = std::min(count, into.size() - received);
    return {into.subspan(received, first), rest.first(count - first)};
}

PeerMemory::Outcome Payloads::read_next(const Receiving& receiving, std::size_t count) noexcept {
    const auto [into, rest] = receiving.next(count);
    PeerMemory& memory = receiving.link->peer_memory();
    if (receiving.parts.empty()) {
        const RemotePart all{receiving.address + receiving.received, count};
        return memory.read(std::span(&all, 1), into, rest);
    }
    std::array<RemotePart, limits::value_parts_max> parts;
    std::size_t used = 0;
    std::size_t before = receiving.received;
    for (const RemotePart& part : receiving.parts) {
        if (before < part.bytes && count > 0) {
            const std::size_t bytes = std::min<std::size_t>(part.bytes - before, count);
            parts[used++] = {part.address + before, bytes};
            count -= bytes;
            before = 0;
        } else if (before >= part.bytes) {
            before -= part.bytes;
        }
    }
    return memory.read(std::span(parts).first(used), into, rest);
}

/// True if it has ended, or is not for this process to copy any more.
bool Payloads::copy_some(std::uint64_t token) {
    Receiving& receiving = *receiving_.find(token);
    const std::size_t bytes = std::min(receiving.bytes() - receiving.received, copied_at_once_max);
    const auto outcome = read_next(receiving, bytes);
    if (outcome == PeerMemory::Outcome::not_permitted) {
        receiving.received = 0;
        ask_for_pieces(token, receiving);
        return true;
    }
    receiving.received += bytes;
    const bool ok = outcome == PeerMemory::Outcome::done && !receiving.link->peer_has_withdrawn();
    if (ok && receiving.received < receiving.bytes()) return false;
    // Memory that the peer shares with others may be written to by a process that has taken its place.
    end_receiving(token, ok && !receiving.link->peer_has_hung_up());
    return true;
}

bool Payloads::on_piece(Link& link, const PayloadStatus& status, Bytes piece) {
    Receiving* const receiving = receiving_.find(status.token);
    if (receiving == nullptr || receiving->link != &link) return true;  // of one that has been given up
    if (std::find(copying_.begin(), copying_.end(), status.token) != copying_.end()) return false;
    if (piece.empty() || piece.size() > receiving->bytes() - receiving->received) return false;
    const auto [into, rest] = receiving->next(piece.size());
    std::memcpy(into.data(), piece.data(), into.size());
    if (!rest.empty()) std::memcpy(rest.data(), piece.data() + into.size(), rest.size());
    receiving->received += piece.size();
    if (receiving->received == receiving->bytes()) end_receiving(status.token, !link.peer_has_withdrawn());
    return true;
}

// ---- both ----

/// One step of one that is copied, so that others wait no longer than that; they take turns.
void Payloads::progress() {
    if (!copying_.empty()) {
        const std::uint64_t token = copying_.front();
        const bool ended = copy_some(token);
        std::rotate(copying_.begin(), copying_.begin() + 1, copying_.end());
        if (ended) copying_.pop_back();
    }
    for (const std::uint64_t token : sending_)
        send_some(token);
    std::erase_if(sending_, [&](std::uint64_t token) {
        const Offered& offered = *offered_.find(token);
        return offered.sent == offered.bytes();
    });
}

bool Payloads::ask_for_space() {
    for (const std::uint64_t token : sending_) {
        if (!offered_.find(token)->link->has_waiting() &&
            offered_.find(token)->link->ask_for_space_of_piece())
            return true;
    }
    return !copying_.empty();
}

void Payloads::drop(Link& link) {
    if (link.payloads == 0) return;
    offered_.for_each([&](std::uint64_t token, const Offered& offered) {
        if (offered.link == &link) end_sending(token, false);
    });
    receiving_.for_each([&](std::uint64_t token, const Receiving& receiving) {
        if (receiving.link != &link && receiving.from != &link) return;
        std::erase(copying_, token);
        if (receiving.link != &link) return end_receiving(token, false);
        events_.payload_received(take_receiving(token).tag, false);
    });
    incoming_.for_each([&](std::uint64_t token, const Incoming& incoming) {
        if (incoming.link != &link) return;
        static_cast<void>(incoming_.take(token));
        --link.payloads;
    });
}

}  // namespace ddict::samehost
