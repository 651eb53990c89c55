// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/event_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ddict::ucx {

std::size_t EventQueue::Half::copy(Bytes bytes) {
    const std::size_t offset = arena_used;
    if (arena.size() - offset < bytes.size()) {
        arena.resize(std::max(offset + bytes.size(), arena.size() * 2));
    }
    if (!bytes.empty()) std::memcpy(arena.data() + offset, bytes.data(), bytes.size());
    arena_used += bytes.size();
    return offset;
}

void EventQueue::Half::clear() noexcept {
    events.clear();
    errors.clear();
    arena_used = 0;
}

void EventQueue::push_message(Bytes head, Bytes body) {
    Event event;
    event.kind = Kind::message;
    event.head_bytes = static_cast<std::uint32_t>(head.size());
    event.body_bytes = body.size();
    event.head_offset = filling_.copy(head);
    filling_.copy(body);
    filling_.events.push_back(event);
}

void EventQueue::push_held_message(Bytes head, void* held, std::size_t held_bytes) {
    Event event;
    event.kind = Kind::held_message;
    event.head_bytes = static_cast<std::uint32_t>(head.size());
    event.body_bytes = held_bytes;
    event.head_offset = filling_.copy(head);
    event.held = held;
    filling_.events.push_back(event);
}

void EventQueue::push_announcement(Bytes head, std::uint64_t token, std::uint64_t body_bytes) {
    Event event;
    event.kind = Kind::announcement;
    event.head_bytes = static_cast<std::uint32_t>(head.size());
    event.head_offset = filling_.copy(head);
    event.id = token;
    event.body_bytes = body_bytes;
    filling_.events.push_back(event);
}

void EventQueue::push_body_received(std::uint64_t tag, bool ok) {
    Event event;
    event.kind = Kind::body_received;
    event.id = tag;
    event.ok = ok;
    filling_.events.push_back(event);
}

void EventQueue::push_body_sent(std::uint64_t tag, bool ok) {
    Event event;
    event.kind = Kind::body_sent;
    event.id = tag;
    event.ok = ok;
    filling_.events.push_back(event);
}

void EventQueue::push_peer_lost(PeerId peer, const Error& why) {
    Event event;
    event.kind = Kind::peer_lost;
    event.id = peer;
    event.body_bytes = filling_.errors.size();
    filling_.errors.push_back(why);
    filling_.events.push_back(event);
}

void EventQueue::deliver_one(TransportEvents& events, const Half& half, const Event& event) {
    const Bytes head(half.arena.data() + event.head_offset, event.head_bytes);
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
            events.on_peer_lost(event.id, half.errors[event.body_bytes]);
            break;
    }
}

unsigned EventQueue::deliver(TransportEvents& events, ucp_worker_h worker) {
    if (filling_.events.empty()) return 0;
    std::swap(filling_, delivering_);
    for (const Event& event : delivering_.events) {
        deliver_one(events, delivering_, event);
        if (event.held != nullptr) ucp_am_data_release(worker, event.held);
    }
    const auto count = static_cast<unsigned>(delivering_.events.size());
    delivering_.clear();
    return count;
}

void EventQueue::drop(ucp_worker_h worker) {
    for (const Event& event : filling_.events) {
        if (event.held != nullptr) ucp_am_data_release(worker, event.held);
    }
    filling_.clear();
}

}  // namespace ddict::ucx
