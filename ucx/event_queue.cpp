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

bool EventQueue::push_with_copies(Event event, Bytes head, Bytes body) noexcept {
    try {
        reserve_one();
        filling_.reserve(head.size() + body.size());
    } catch (const std::bad_alloc&) {
        return false;
    }
    event.head_bytes = static_cast<std::uint32_t>(head.size());
    event.head_offset = filling_.used;
    filling_.copy(head);
    filling_.copy(body);
    events_.push_back(event);
    return true;
}

bool EventQueue::push_message(Bytes head, Bytes body) noexcept {
    Event event;
    event.kind = Kind::message;
    event.body_bytes = body.size();
    return push_with_copies(event, head, body);
}

bool EventQueue::push_held_message(Bytes head, void* held, std::size_t held_bytes) noexcept {
    Event event;
    event.kind = Kind::held_message;
    event.body_bytes = held_bytes;
    event.held = held;
    return push_with_copies(event, head, {});
}

bool EventQueue::push_announcement(Bytes head, std::uint64_t token, std::uint64_t body_bytes) noexcept {
    Event event;
    event.kind = Kind::announcement;
    event.id = token;
    event.body_bytes = body_bytes;
    return push_with_copies(event, head, {});
}

void EventQueue::push_body_received(std::uint64_t tag, bool ok) noexcept {
    Event event;
    event.kind = Kind::body_received;
    event.id = tag;
    event.ok = ok;
    push_promised(event);
}

void EventQueue::push_body_sent(std::uint64_t tag, bool ok) noexcept {
    Event event;
    event.kind = Kind::body_sent;
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
    const Bytes head(delivering_.memory.data() + event.head_offset, event.head_bytes);
    IncomingBody body;
    switch (event.kind) {
        case Kind::message:
            body.bytes = event.body_bytes;
            body.in_memory = Bytes(head.data() + head.size(), event.body_bytes);
            events.on_message(head, body);
            break;
        case Kind::held_message: {
            const Bytes held(static_cast<const std::byte*>(event.held), event.body_bytes);
            if (head.empty()) {
                events.on_message(held, body);
            } else {
                body.bytes = held.size();
                body.in_memory = held;
                events.on_message(head, body);
            }
            break;
        }
        case Kind::announcement:
            body.bytes = event.body_bytes;
            body.token = event.id;
            events.on_message(head, body);
            break;
        case Kind::body_received:
            events.on_body_received(event.id, event.ok);
            break;
        case Kind::body_sent:
            events.on_body_sent(event.id, event.ok);
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
