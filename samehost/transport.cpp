// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Messages and the turn of a poll. How connections come and go is in connections.cpp.
#include "samehost/transport.h"

#include <algorithm>
#include <cstring>

#include "base/limits.h"

namespace ddict::samehost {
namespace {

// A payload up to here goes with its message, through the ring. Beyond, one copy by the receiver costs less
// than two.
constexpr std::size_t payload_inline_max = 12 * 1024;
constexpr std::size_t header_with_payload_max = 64 + limits::key_bytes_max;
static_assert(payload_inline_max + header_with_payload_max <= record_content_max);
static_assert(header_with_payload_max <= limits::header_bytes_max &&
              limits::header_bytes_max <= record_content_max);
// A peer that does not read what it is sent is dropped before it costs more memory than this many messages.
constexpr std::size_t waiting_per_link_max = 4 * limits::operations_in_flight_max;
// While others are polled, a link that has brought nothing for some turns is not: for fewer, the more there
// are, so that many that come at once and say nothing more cost no more than so many looks at each.
constexpr std::uint64_t idle_looks_max = std::uint64_t{1} << 18;
constexpr std::uint64_t idle_turns_min = 64;
constexpr std::uint64_t idle_turns_max = 4096;
constexpr std::uint64_t idle_turns_for(std::size_t polled) noexcept {
    return std::clamp(idle_looks_max / std::max<std::uint64_t>(polled, 1), idle_turns_min, idle_turns_max);
}

/// Reads a T from the beginning of a record, once.
template <class T>
bool read_fixed(const Record& record, T& fixed) noexcept {
    if (record.content.size() < sizeof fixed) return false;
    std::memcpy(&fixed, record.content.data(), sizeof fixed);
    return true;
}

}  // namespace

// ---- sending ----

void Transport::send(PeerId peer, Bytes header) {
    Link* const link = find(peer);
    if (link == nullptr || link->is_lost) return;
    if (!link->send(RecordKind::message, {}, header)) note_waiting(*link);
    expect_answer(*link);
}

void Transport::send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) {
    Link* const link = find(peer);
    if (link == nullptr || link->is_lost) {
        events_.promise();
        events_.payload_sent(tag, false);
        return;
    }
    if (payload.size() > payload_inline_max) {
        payloads_.offer(*link, header, payload, tag);
        if (link->has_waiting()) note_waiting(*link);  // the offer, or what was there before
    } else if (send_inline(*link, header, payload, tag)) {
        events_.payload_sent(tag, true);
    } else {
        note_waiting(*link);
    }
    expect_answer(*link);
}

void Transport::send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) {
    Link* const link = find(peer);
    if (link == nullptr || link->is_lost) {
        events_.promise();
        events_.payload_sent(tag, false);
        return;
    }
    payloads_.offer(*link, header, payload, tag);
    if (link->has_waiting()) note_waiting(*link);
    expect_answer(*link);
}

void Transport::expect_answer(Link& link) {
    ++counters_.messages_sent;
    if (!link.is_polled) start_polling(link);
    if (!link.has_woken) return;
    link.has_woken = false;
    wait_policy_.woke_other();
}

/// True if it was written now, and its event is due.
bool Transport::send_inline(Link& link, Bytes header, Bytes payload, std::uint64_t tag) {
    events_.promise();
    try {
        return link.send(RecordKind::message, {}, header, payload, tag);
    } catch (...) {
        events_.forget();
        throw;
    }
}

void Transport::note_waiting(Link& link) {
    if (!link.is_waiting) waiting_.push_back(&link);
    link.is_waiting = true;
    if (link.waiting() <= waiting_per_link_max || link.is_lost) return;
    link.trouble = Error(Errc::manager_lost, "it does not read what it is sent");
    mark_lost(link);
}

void Transport::receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                                std::uint64_t tag) {
    Link* const sender = find(from);
    if (sender == nullptr && is_own(from)) {  // lost, or closed
        events_.promise();
        payloads_.discard(token & ~id_bit);
        return events_.payload_received(tag, false);
    }
    payloads_.receive(sender, token & ~id_bit, into, rest, tag);
}

void Transport::discard_payload(std::uint64_t token) {
    payloads_.discard(token & ~id_bit);
}

// ---- receiving ----

unsigned Transport::poll(TransportEvents& listener) {
    ++turn_;
    unsigned delivered = 0;
    // (By number: what a message causes may add to the list.)
    for (std::size_t i = 0; i < polled_.size(); ++i)
        delivered += take_records(*polled_[i], listener);
    if (!waiting_.empty() || !lost_.empty() || !closed_.empty() || !events_.empty() || !payloads_.is_idle())
        delivered += attend(listener);
    if (turn_ >= next_idle_look_ && polled_.size() > 1) stop_polling_idle();
    return delivered;
}

/// Whatever the listener throws: the record has been read.
class Transport::Reading {
  public:
    Reading(Transport& transport, Link& link) noexcept : transport_(transport), link_(link) {
        transport_.reading_ = &link;
    }
    ~Reading() {
        transport_.reading_ = nullptr;
        link_.reader().advance();
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

  private:
    Transport& transport_;
    Link& link_;
};

unsigned Transport::take_records(Link& link, TransportEvents& listener) {
    if (link.use == LinkUse::passed_on) return pass_on_records(link, false);
    RingReader& reader = link.reader();
    unsigned taken = 0;
    for (; taken < records_at_once_max && link.state <= LinkState::open && link.use != LinkUse::passed_on;
         ++taken) {
        const std::optional<Record> record = reader.next();
        if (!record) break;
        bool is_sound = false;
        {
            const Reading reading(*this, link);
            is_sound = take_record(link, *record, listener);
        }
        if (!is_sound) {
            malformed(link, "it sent a message that breaks the rules; the connection was dropped");
            break;
        }
    }
    if (taken != 0) link.last_active = turn_;
    if (reader.is_broken()) malformed(link, "it sent a record that cannot be; the connection was dropped");
    if (reader.publish()) link.ring();
    return taken;
}

bool Transport::take_record(Link& link, const Record& record, TransportEvents& listener) {
    PayloadStatus status;
    switch (record.kind) {
        case RecordKind::message:
            return take_message(record, listener);
        case RecordKind::offer:
            return take_offer(link, record, listener);
        case RecordKind::offer_of_parts:
            return take_offer_of_parts(link, record, listener);
        case RecordKind::taken:
            if (!read_fixed(record, status)) return false;
            payloads_.on_taken(link, status);
            return true;
        case RecordKind::request:
            if (!read_fixed(record, status)) return false;
            payloads_.on_request(link, status);
            return true;
        case RecordKind::piece:
            return read_fixed(record, status) &&
                   payloads_.on_piece(link, status, record.content.subspan(sizeof status));
        case RecordKind::tunnel:
            return take_tunnel(link, record);
        case RecordKind::tunnel_end:
            return take_tunnel_end(link, record);
        case RecordKind::none:
        case RecordKind::skip:
            break;
    }
    return false;
}

/// Nothing of what is longer than any header may be.
std::optional<Bytes> Transport::copied(Bytes content) noexcept {
    if (content.size() > copy_.size()) return std::nullopt;
    std::copy(content.begin(), content.end(), copy_.begin());
    return Bytes(copy_).first(content.size());
}

bool Transport::take_message(const Record& record, TransportEvents& listener) {
    const std::size_t payload_bytes = record.content.size() - record.header_bytes;
    if (payload_bytes != 0 && record.header_bytes > header_with_payload_max) return false;
    const std::optional<Bytes> header = copied(record.content.first(record.header_bytes));
    if (!header) return false;
    IncomingPayload payload;
    if (payload_bytes != 0)
        payload = {.in_memory = record.content.subspan(record.header_bytes),
                   .token = 0,
                   .bytes = payload_bytes,
                   .is_shared = true};
    ++counters_.messages_received;
    listener.on_message(*header, payload);
    return true;
}

bool Transport::take_offer(Link& link, const Record& record, TransportEvents& listener) {
    PayloadOffer offer;
    if (!read_fixed(record, offer) || record.content.size() - sizeof offer != record.header_bytes ||
        record.header_bytes > header_with_payload_max || offer.bytes == 0)
        return false;
    deliver_offer(link, offer, {}, record.content.last(record.header_bytes), listener);
    return true;
}

bool Transport::take_offer_of_parts(Link& link, const Record& record, TransportEvents& listener) {
    PayloadOffer offer;
    if (!read_fixed(record, offer) || record.header_bytes > header_with_payload_max) return false;
    const std::uint64_t count = offer.address;
    if (count == 0 || count > limits::value_parts_max ||
        record.content.size() != sizeof offer + count * sizeof(RemotePart) + record.header_bytes)
        return false;
    std::array<RemotePart, limits::value_parts_max> parts;
    std::memcpy(parts.data(), record.content.data() + sizeof offer, count * sizeof(RemotePart));
    std::uint64_t bytes = 0;
    for (const RemotePart& part : std::span(parts).first(count)) {
        if (part.bytes == 0 || part.bytes > offer.bytes - bytes) return false;
        bytes += part.bytes;
    }
    if (bytes != offer.bytes) return false;
    deliver_offer(link, offer, std::span(parts).first(count), record.content.last(record.header_bytes),
                  listener);
    return true;
}

void Transport::deliver_offer(Link& link, const PayloadOffer& offer, std::span<const RemotePart> parts,
                              Bytes header, TransportEvents& listener) {
    std::memcpy(copy_.data(), header.data(), header.size());
    ++counters_.messages_received;
    const auto [token, too_many] = payloads_.on_offer(link, offer, parts);
    listener.on_message(Bytes(copy_).first(header.size()), {.in_memory = {},
                                                            .token = token != 0 ? token | id_bit : 0,
                                                            .bytes = offer.bytes,
                                                            .too_many = too_many});
}

void Transport::malformed(Link& link, const char* what) {
    if (link.is_lost) return;
    ++counters_.malformed;
    link.trouble = Error(Errc::protocol, what);
    mark_lost(link);
}

void Transport::out_of_memory(Link& link) {
    if (link.is_lost) return;
    link.trouble =
        Error(Errc::manager_lost, "this process has no memory to go on with the connection, and dropped it");
    mark_lost(link);
}

void Transport::mark_lost(Link& link) {
    if (link.is_lost) return;
    link.is_lost = true;
    lost_.push_back(&link);
}

void Transport::mark_closed(Link& link) {
    if (link.state == LinkState::closed) return;
    link.state = LinkState::closed;
    closed_.push_back(&link);
}

// ---- what else a turn has to do ----

unsigned Transport::attend(TransportEvents& listener) {
    payloads_.progress();
    flush();
    while (!lost_.empty()) {
        Link& link = *lost_.back();
        lost_.pop_back();
        lose(link, listener);
    }
    if (!closed_.empty()) destroy_closed();
    return events_.empty() ? 0 : events_.deliver(listener);
}

void Transport::flush() {
    // (By number: who is told of a tunnel may write to another one.)
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
        Link* const link = waiting_[i];
        link->flush([this](std::uint64_t tag) { events_.payload_sent(tag, true); });
        if (link->has_waiting()) continue;
        if (link->state == LinkState::closing) mark_closed(*link);
        if (link->state == LinkState::open && link->use == LinkUse::passed_on) tunnels_->on_written(link->id);
    }
    std::erase_if(waiting_, [](Link* link) {
        link->is_waiting = link->has_waiting();
        return !link->is_waiting;
    });
}

bool Transport::prepare_to_sleep() {
    if (!lost_.empty() || !closed_.empty() || !events_.empty() || payloads_.ask_for_space()) return false;
    for (Link* const link : waiting_) {
        if (link->ask_for_space()) return false;
    }
    for (; !polled_.empty(); polled_.pop_back()) {
        Link& link = *polled_.back();
        if (link.reader().publish_all()) link.ring();
        if (!link.is_held && !link.reader().stop_polling()) return false;
        link.is_polled = false;
    }
    return true;
}

void Transport::start_polling(Link& link) {
    if (link.is_polled) return;
    polled_.push_back(&link);
    link.is_polled = true;
    link.last_active = turn_;
    link.reader().poll_from_now_on();
}

void Transport::stop_polling_idle() {
    const std::uint64_t idle_turns = idle_turns_for(polled_.size());
    next_idle_look_ = turn_ + idle_turns / 4;
    std::erase_if(polled_, [&](Link* link) {
        if (turn_ - link->last_active < idle_turns) return false;
        if (link->reader().publish_all()) link->ring();
        if (!link->is_held && !link->reader().stop_polling()) return false;
        link->is_polled = false;
        return true;
    });
}

}  // namespace ddict::samehost
