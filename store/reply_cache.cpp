// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "store/reply_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"

namespace ddict::store {

/// A longer run that is free is cut; only then are new ones used.
std::uint64_t ReplyRuns::take(unsigned log2) {
    for (unsigned longer = log2; longer < free_.size(); ++longer) {
        if (free_[longer].empty()) continue;
        const std::uint64_t first = free_[longer].back();
        free_[longer].pop_back();
        for (; longer > log2; --longer)
            free_[longer - 1].push_back(first + (std::uint64_t{1} << (longer - 1)));
        return first;
    }
    const std::uint64_t count = std::uint64_t{1} << log2;
    if (count > limits::cached_replies_max - used_) return none;
    const std::uint64_t first = used_;
    used_ += count;
    return first;
}

SessionReplies* ReplyCache::open() {
    if (!has_capacity()) return nullptr;
    if (free_.empty()) {
        const auto number = static_cast<std::uint32_t>(sessions_.size());
        SessionReplies& session = sessions_.emplace_back();
        session.number = number;
        session.record = &memory_.session(number);
        memory_.set_sessions_used(number + 1);
        return &session;
    }
    SessionReplies* session = free_.back();
    free_.pop_back();
    return session;
}

void ReplyCache::name(SessionReplies& session, std::uint64_t id, std::uint64_t client,
                      std::uint64_t hello_number) noexcept {
    session.record->client = client;
    session.record->hello_number = hello_number;
    CachedReply::keep_order();
    session.record->id = id;
}

void ReplyCache::close(SessionReplies& session) {
    session.record->id = 0;
    forget_writer(session);
    for (CachedReply& reply : session.slots)
        release(session, reply);
    DDICT_ASSERT(session.holding == 0, "nothing is held once everything is released");
    slots_ -= session.slots.size();
    give_back(session);
    free_.push_back(&session);
}

void ReplyCache::note_writer(SessionReplies& session, std::uint32_t checkpoint) {
    const std::uint64_t at = std::uint64_t{checkpoint} + 1;
    if (at <= session.record->writer_at) return;
    forget_writer(session);
    session.record->writer_at = at;
    count_writer(session);
}

/// Of one that is noted.
void ReplyCache::count_writer(SessionReplies& session) {
    ++writers_[static_cast<std::uint32_t>(session.record->writer_at - 1)];
}

void ReplyCache::forget_writer(SessionReplies& session) {
    if (!is_writer(session)) return;
    const auto at = writers_.find(static_cast<std::uint32_t>(session.record->writer_at - 1));
    if (--at->second == 0) writers_.erase(at);
    session.record->writer_at = 0;
}

void ReplyCache::forget_writers() {
    for (SessionReplies& session : sessions_)
        forget_writer(session);
}

std::optional<ReplyCache::WritersAt> ReplyCache::oldest_writers() const {
    if (writers_.empty()) return std::nullopt;
    return WritersAt{.checkpoint = writers_.begin()->first, .writers = writers_.begin()->second};
}

void ReplyCache::close_all() {
    for_each_session([this](SessionReplies& session) { close(session); });
}

/// The session's run of replies.
void ReplyCache::give_back(SessionReplies& session) {
    if (session.slots.empty()) return;
    const std::uint64_t first = session.record->replies >> 8;
    session.record->replies = 0;
    runs_.give_back(first, static_cast<unsigned>(std::countr_zero(session.slots.size())));
    session.slots = {};
}

/// Runs that are free side by side become one when no other is long enough.
std::uint64_t ReplyCache::take_run(unsigned log2) {
    const std::uint64_t first = runs_.take(log2);
    if (first != ReplyRuns::none) return first;
    std::vector<std::span<CachedReply>> used;
    for (const SessionReplies& session : sessions_)
        if (!session.slots.empty()) used.push_back(session.slots);
    std::sort(used.begin(), used.end(), [](const auto& a, const auto& b) { return a.data() < b.data(); });
    runs_.forget();
    std::uint64_t end = 0;
    for (const std::span<CachedReply>& run : used) {
        const auto at = static_cast<std::uint64_t>(run.data() - &memory_.reply(0));
        runs_.skip(end, at);
        end = at + run.size();
    }
    runs_.skip(end, end);
    return runs_.take(log2);
}

/// The replies go to a run that is long enough; the record leads to the old one until they are there.
CachedReply* ReplyCache::new_slot(SessionReplies& session, std::uint64_t request) {
    const std::size_t size = std::bit_ceil(
        std::max<std::size_t>(wire::slot_of(request) + std::size_t{1}, 2 * session.slots.size()));
    const std::size_t more = size - session.slots.size();
    if (more > limits::cached_replies_max - slots_) return nullptr;
    const auto log2 = static_cast<unsigned>(std::countr_zero(size));
    const std::uint64_t first = take_run(log2);
    if (first == ReplyRuns::none) return nullptr;
    if (!memory_.reserve_replies(first + size)) {
        runs_.give_back(first, log2);
        return nullptr;
    }
    const std::span<CachedReply> slots(&memory_.reply(first), size);
    const auto rest = std::copy(session.slots.begin(), session.slots.end(), slots.begin());
    std::fill(rest, slots.end(), CachedReply{});
    CachedReply::keep_order();
    if (!session.slots.empty())
        runs_.give_back(session.record->replies >> 8,
                        static_cast<unsigned>(std::countr_zero(session.slots.size())));
    session.record->replies = replies_word(first, log2);
    session.slots = slots;
    slots_ += more;
    return session.at(request);
}

/// Of a reply that holds some.
void ReplyCache::release_memory(SessionReplies& session, CachedReply& reply) {
    --session.holding;
    reply.kind = CachedReply::Kind::forgotten;
    CachedReply::keep_order();
    if (reply.statuses != 0) release_statuses(reply);
    if (reply.block == 0) return;
    --values_;
    pool_.unpin(&pool_.at(std::exchange(reply.block, 0)));
}

/// The number of items stays.
void ReplyCache::release_statuses(CachedReply& reply) {
    status_bytes_ -= bytes_of_statuses(reply);
    free_records_.push_back(std::exchange(reply.statuses, 0));
}

bool ReplyCache::release_values() {
    if (values_ == 0) return false;
    for (SessionReplies& session : sessions_) {
        if (session.holding == 0) continue;
        for (CachedReply& reply : session.slots) {
            if (reply.block != 0) release_memory(session, reply);
        }
    }
    return true;
}

void ReplyCache::set_pair(const ReplySlot& slot, std::uint64_t request, const shm::Block& block) {
    slot.reply->block = pool_.offset_of(&block);
    slot.reply->kind = CachedReply::Kind::pair;
    slot.reply->finish(request);
    ++slot.session->holding;
    ++values_;
}

void ReplyCache::set_statuses(const ReplySlot& slot, std::uint64_t request, Bytes statuses) {
    CachedReply& reply = *slot.reply;
    reply.argument = statuses.size() / sizeof(std::uint16_t);
    const bool all_good =
        std::all_of(statuses.begin(), statuses.end(), [](std::byte b) { return b == std::byte{0}; });
    const bool kept = all_good || keep_statuses(reply, statuses);
    if (reply.statuses != 0) ++slot.session->holding;
    reply.kind = kept ? CachedReply::Kind::statuses : CachedReply::Kind::forgotten;
    reply.finish(request);
}

/// False if there is no space for them.
bool ReplyCache::keep_statuses(CachedReply& reply, Bytes statuses) {
    if (statuses.size() > sizeof(StatusRecord)) return false;
    if (free_records_.empty()) {
        if (records_ == ReplyMemory::status_records_max || !memory_.reserve_statuses(records_ + 1))
            return false;
        free_records_.push_back(++records_);
    }
    const std::uint32_t record = free_records_.back();
    free_records_.pop_back();
    std::memcpy(memory_.statuses(record).data(), statuses.data(), statuses.size());
    status_bytes_ += statuses.size();
    CachedReply::keep_order();
    reply.statuses = record;
    return true;
}

std::uint64_t ReplyCache::begin_many(const ReplySlot& slot, std::uint64_t request, ChangeKind kind) {
    CachedReply& reply = *slot.reply;
    const std::uint8_t what = static_cast<std::uint8_t>(kind) | CachedReply::many;
    if (reply.pending == request) {
        if (reply.statuses != 0) {
            std::copy_n(memory_.statuses(reply.statuses).begin(),
                        std::min<std::uint64_t>(reply.argument, limits::batch_items_max),
                        memory_.batch().begin());
            CachedReply::keep_order();
            --slot.session->holding;
            release_statuses(reply);
        }
        return reply.argument;
    }
    reply.begin_anew();
    reply.argument = 0;
    reply.argument2 = 0;
    reply.status = 0;
    reply.kind = CachedReply::Kind::numbers;
    reply.begin(request, what);
    return 0;
}

std::string ReplyCache::inconsistency() const {
    std::size_t slots = 0, values = 0, bytes = 0;
    for (const SessionReplies& session : sessions_) {
        std::size_t holding = 0;
        for (const CachedReply& reply : session.slots) {
            holding += reply.holds_memory() ? 1u : 0u;
            values += reply.block != 0 ? 1u : 0u;
            bytes += reply.statuses != 0 ? bytes_of_statuses(reply) : 0u;
            if ((reply.kind == CachedReply::Kind::pair) != (reply.block != 0) ||
                (reply.statuses != 0 && reply.kind != CachedReply::Kind::statuses && reply.pending == 0))
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
