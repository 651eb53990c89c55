// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/event_queue.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "ucx/status.h"

namespace ddict::ucx {
namespace {

/// Memory of UCX goes back to it, whatever the listener throws.
struct Held {
    ucp_worker_h worker;
    void* data;
    ~Held() {
        if (data != nullptr) ucp_am_data_release(worker, data);
    }
};

}  // namespace

void EventQueue::Arena::reserve(std::size_t bytes) {
    if (memory.size() - used < bytes) memory.resize(std::max(used + bytes, memory.size() * 2));
}

void EventQueue::Arena::copy(Bytes bytes) noexcept {
    if (!bytes.empty()) std::memcpy(memory.data() + used, bytes.data(), bytes.size());
    used += bytes.size();
}

/// Besides those that were promised.
void EventQueue::reserve_one() {
    const std::size_t needed = events_.size() + promised_ + 1;
    if (events_.capacity() < needed) events_.reserve(2 * needed + 8);
}

void EventQueue::promise() {
    reserve_one();
    ++promised_;
}

void EventQueue::push_promised(const Event& event) noexcept {
    --promised_;
    events_.push_back(event);
}

bool EventQueue::push_with_copies(Event event, Bytes header, Bytes payload) noexcept {
    try {
        reserve_one();
        filling_.reserve(header.size() + payload.size());
    } catch (const std::bad_alloc&) {
        return false;
    }
    event.header_bytes = static_cast<std::uint32_t>(header.size());
    event.header_offset = filling_.used;
    filling_.copy(header);
    filling_.copy(payload);
    events_.push_back(event);
    return true;
}

bool EventQueue::push_message(Bytes header, Bytes payload) noexcept {
    Event event;
    event.kind = Kind::message;
    event.payload_bytes = payload.size();
    return push_with_copies(event, header, payload);
}

bool EventQueue::push_held_message(Bytes header, void* held, std::size_t held_bytes) noexcept {
    Event event;
    event.kind = Kind::held_message;
    event.payload_bytes = held_bytes;
    event.held = held;
    return push_with_copies(event, header, {});
}

bool EventQueue::push_announcement(Bytes header, std::uint64_t token, std::uint64_t payload_bytes) noexcept {
    Event event;
    event.kind = Kind::announcement;
    event.id = token;
    event.payload_bytes = payload_bytes;
    return push_with_copies(event, header, {});
}

bool EventQueue::push_refused(Bytes header, std::uint64_t payload_bytes, bool too_many) noexcept {
    Event event;
    event.kind = Kind::refused;
    event.payload_bytes = payload_bytes;
    event.too_many = too_many;
    return push_with_copies(event, header, {});
}

void EventQueue::push_payload_received(std::uint64_t tag, bool ok) noexcept {
    Event event;
    event.kind = Kind::payload_received;
    event.id = tag;
    event.ok = ok;
    push_promised(event);
}

void EventQueue::push_payload_sent(std::uint64_t tag, bool ok) noexcept {
    Event event;
    event.kind = Kind::payload_sent;
    event.id = tag;
    event.ok = ok;
    push_promised(event);
}

void EventQueue::push_peer_lost(PeerId peer, ucs_status_t why) noexcept {
    Event event;
    event.kind = Kind::peer_lost;
    event.id = peer;
    event.status = why;
    push_promised(event);
}

void EventQueue::deliver_one(TransportEvents& events, const Event& event) const {
    const Bytes header(delivering_.memory.data() + event.header_offset, event.header_bytes);
    IncomingPayload payload;
    switch (event.kind) {
        case Kind::message:
            payload.bytes = event.payload_bytes;
            payload.in_memory = Bytes(header.data() + header.size(), event.payload_bytes);
            events.on_message(header, payload);
            break;
        case Kind::held_message: {
            const Bytes held(static_cast<const std::byte*>(event.held), event.payload_bytes);
            if (header.empty()) {
                events.on_message(held, payload);
            } else {
                payload.bytes = held.size();
                payload.in_memory = held;
                events.on_message(header, payload);
            }
            break;
        }
        case Kind::announcement:
            payload.bytes = event.payload_bytes;
            payload.token = event.id;
            events.on_message(header, payload);
            break;
        case Kind::refused:
            payload.bytes = event.payload_bytes;
            payload.too_many = event.too_many;
            events.on_message(header, payload);
            break;
        case Kind::payload_received:
            events.on_payload_received(event.id, event.ok);
            break;
        case Kind::payload_sent:
            events.on_payload_sent(event.id, event.ok);
            break;
        case Kind::peer_lost:
            events.on_peer_lost(event.id, lost_error(event.status));
            break;
    }
}

unsigned EventQueue::deliver(TransportEvents& events, ucp_worker_h worker) {
    if (batch_ == 0) {  // else the listener threw the last time
        std::swap(filling_, delivering_);
        batch_ = events_.size();
    }
    const auto count = static_cast<unsigned>(batch_ - delivered_);
    while (delivered_ < batch_) {
        const Event event = events_[delivered_++];  // a copy: there may be more events meanwhile
        const Held held{worker, event.held};
        deliver_one(events, event);
    }
    events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(batch_));
    batch_ = delivered_ = 0;
    delivering_.used = 0;
    return count;
}

void EventQueue::drop(ucp_worker_h worker) noexcept {
    for (; delivered_ < events_.size(); ++delivered_) {
        if (events_[delivered_].held != nullptr) ucp_am_data_release(worker, events_[delivered_].held);
    }
    events_.clear();
    batch_ = delivered_ = 0;
    filling_.used = delivering_.used = 0;
}

}  // namespace ddict::ucx
