// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "store/reply_cache.h"

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"

namespace ddict::store {

SessionReplies* ReplyCache::open() {
    if (free_.empty()) return &sessions_.emplace_back();
    SessionReplies* session = free_.back();
    free_.pop_back();
    return session;
}

void ReplyCache::close(SessionReplies& session) {
    for (CachedReply& reply : session.slots)
        release(session, reply);
    DDICT_ASSERT(session.holding == 0, "nothing is held once everything is released");
    slots_ -= session.slots.size();
    session = {};
    free_.push_back(&session);
}

CachedReply* ReplyCache::new_slot(SessionReplies& session, std::uint64_t request) {
    std::size_t size = std::max<std::size_t>(session.slots.size(), 1);
    while (size <= wire::place_of(request))
        size *= 2;
    const std::size_t more = size - session.slots.size();
    if (more > limits::cached_replies_max - slots_) return nullptr;
    slots_ += more;
    session.slots.resize(size);
    return session.at(request);
}

/// Of a reply that holds some.
void ReplyCache::release_memory(SessionReplies& session, CachedReply& reply) {
    --session.holding;
    status_bytes_ -= std::exchange(reply.status_bytes, 0);
    reply.statuses = nullptr;
    reply.kind = CachedReply::Kind::forgotten;
    if (reply.block == nullptr) return;
    --values_;
    pool_.unpin(std::exchange(reply.block, nullptr));
}

bool ReplyCache::release_values() {
    if (values_ == 0) return false;
    for (SessionReplies& session : sessions_) {
        if (session.holding == 0) continue;
        for (CachedReply& reply : session.slots) {
            if (reply.block != nullptr) release_memory(session, reply);
        }
    }
    return true;
}

void ReplyCache::set_pair(const ReplySlot& slot, std::uint64_t request, const shm::Block& block) {
    slot.reply->request = request;
    slot.reply->kind = CachedReply::Kind::pair;
    slot.reply->block = &block;
    ++slot.session->holding;
    ++values_;
}

void ReplyCache::set_statuses(const ReplySlot& slot, std::uint64_t request, Bytes statuses) {
    CachedReply& reply = *slot.reply;
    reply.request = request;
    reply.kind = CachedReply::Kind::statuses;
    reply.argument = statuses.size() / sizeof(std::uint16_t);
    if (std::all_of(statuses.begin(), statuses.end(), [](std::byte b) { return b == std::byte{0}; })) return;
    if (statuses.size() > limits::cached_status_bytes_max - status_bytes_) {
        reply.kind = CachedReply::Kind::forgotten;
        return;
    }
    reply.statuses = std::make_unique_for_overwrite<std::byte[]>(statuses.size());
    std::copy(statuses.begin(), statuses.end(), reply.statuses.get());
    reply.status_bytes = static_cast<std::uint32_t>(statuses.size());
    status_bytes_ += statuses.size();
    ++slot.session->holding;
}

std::string ReplyCache::inconsistency() const {
    std::size_t slots = 0, values = 0, bytes = 0;
    for (const SessionReplies& session : sessions_) {
        std::size_t holding = 0;
        for (const CachedReply& reply : session.slots) {
            holding += reply.holds_memory() ? 1u : 0u;
            values += reply.block != nullptr ? 1u : 0u;
            bytes += reply.status_bytes;
            if ((reply.kind == CachedReply::Kind::pair) != (reply.block != nullptr) ||
                (reply.statuses != nullptr && reply.kind != CachedReply::Kind::statuses) ||
                (reply.statuses == nullptr) != (reply.status_bytes == 0))
                return "a cached reply holds what it does not say";
        }
        if (holding != session.holding) return "a session holds more or less than it counts";
        slots += session.slots.size();
    }
    if (slots != slots_) return "the number of slots is not what was counted";
    if (values != values_) return "the number of values held is not what was counted";
    if (bytes != status_bytes_) return "the bytes of statuses are not what was counted";
    return {};
}

}  // namespace ddict::store
