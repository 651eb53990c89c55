// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What ReplyCache does with memory that a manager has left which was killed at any instruction. Nothing that
// is read is trusted; what makes no sense is forgotten.
#include <algorithm>
#include <bit>
#include <unordered_set>

#include "store/reply_cache.h"

namespace ddict::store {
namespace {

struct Run {
    std::uint64_t first = 0;
    unsigned log2 = 0;
    std::uint32_t session = 0;

    std::uint64_t end() const noexcept { return first + (std::uint64_t{1} << log2); }
};

/// False if the record leads nowhere.
bool read_run(const SessionRecord& record, Run& run) {
    const std::uint64_t log2 = (record.replies & 0xff) - 1;
    run.first = record.replies >> 8;
    run.log2 = static_cast<unsigned>(log2);
    return record.replies != 0 && log2 <= wire::slot_bits && run.first < limits::cached_replies_max &&
           run.end() <= limits::cached_replies_max;
}

/// Those of all sessions that have some, in the order in which they lie. What was never reserved makes no
/// sense: it is reserved now, so that it can be read, or left out.
std::vector<Run> runs_in(ReplyMemory& memory) {
    std::vector<Run> runs;
    if (!memory.reserve_sessions(memory.sessions_used())) return runs;
    for (std::uint32_t number = 0; number < memory.sessions_used(); ++number) {
        Run run;
        if (memory.session(number).id == 0 || !read_run(memory.session(number), run)) continue;
        if (!memory.reserve_replies(run.end())) continue;
        run.session = number;
        runs.push_back(run);
    }
    std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.first < b.first; });
    std::uint64_t end = 0;
    std::erase_if(runs, [&](const Run& run) {
        const bool overlaps = run.first < end;
        end = std::max(end, run.end());
        return overlaps;
    });
    return runs;
}

bool is_many(const CachedReply& reply) {
    return (reply.pending_kind & CachedReply::many) != 0;
}

bool is_broadcast(const CachedReply& reply) {
    return (reply.pending_kind & CachedReply::broadcast) != 0;
}

ChangeKind pending_kind_of(const CachedReply& reply) {
    return static_cast<ChangeKind>(reply.pending_kind & ~CachedReply::many);
}

/// Whether a change is half made; not if the reply was whole, but for the last word.
bool is_pending(const CachedReply& reply) {
    return reply.pending != 0 && !is_broadcast(reply) &&
           (reply.pending != reply.request || pending_kind_of(reply) == ChangeKind::put_back);
}

/// Two for each reply, to be answered by the pool.
std::array<shm::Claim, 2> claims_of(const CachedReply& reply) {
    using Kind = CachedReply::Kind;
    std::array<shm::Claim, 2> claims{};
    if (!is_pending(reply)) {
        if (reply.kind == Kind::pair) claims[0] = {.block = reply.block, .hold = true};
        return claims;
    }
    const ChangeKind kind = pending_kind_of(reply);
    const bool has_pair =
        kind == ChangeKind::take || (kind == ChangeKind::put_back && reply.kind == Kind::pair);
    claims[0] = {.block = reply.noted[0], .hold = has_pair};
    if (kind != ChangeKind::put_back) claims[1] = {.block = reply.noted[1]};
    return claims;
}

bool asks(const std::array<shm::Claim, 2>& claims) {
    return claims[0].block != 0 || claims[1].block != 0;
}

/// Of a put, an erase or a take.
bool was_made(const CachedReply& reply, const std::array<shm::Claim, 2>& claims) {
    if (pending_kind_of(reply) == ChangeKind::put) return claims[0].visible || claims[1].visible;
    if (reply.noted[1] != 0) return claims[1].visible;  // the version that says that the key is gone
    return reply.noted[0] != 0 && !claims[0].visible;
}

}  // namespace

std::vector<shm::Claim> ReplyCache::claims_in(ReplyMemory& memory) {
    std::vector<shm::Claim> claims;
    for (const Run& run : runs_in(memory)) {
        for (std::uint64_t number = run.first; number < run.end(); ++number) {
            const std::array<shm::Claim, 2> two = claims_of(memory.reply(number));
            if (asks(two)) claims.insert(claims.end(), two.begin(), two.end());
        }
    }
    return claims;
}

std::optional<HalfMade> ReplyCache::recover(std::span<const shm::Claim> claims) {
    const std::uint32_t sessions =
        memory_.reserve_sessions(memory_.sessions_used()) ? memory_.sessions_used() : 0;
    for (std::uint32_t number = 0; number < sessions; ++number) {
        SessionReplies& session = sessions_.emplace_back();
        session.number = number;
        session.record = &memory_.session(number);
        const bool makes_sense =
            session.record->id != 0 && session.record->writer_at <= limits::checkpoint_id_max + 1;
        if (!makes_sense) session.record->writer_at = 0;
        if (is_writer(session)) count_writer(session);
    }
    std::optional<HalfMade> half_made;
    std::unordered_set<std::uint32_t> records;
    std::uint64_t end = 0;
    for (const Run& run : runs_in(memory_)) {
        runs_.skip(end, run.first);
        end = run.end();
        SessionReplies& session = sessions_[run.session];
        session.slots = {&memory_.reply(run.first), std::size_t{1} << run.log2};
        slots_ += session.slots.size();
        for (CachedReply& reply : session.slots) {
            std::array<shm::Claim, 2> two{};
            if (asks(claims_of(reply))) {
                std::copy_n(claims.begin(), two.size(), two.begin());
                claims = claims.subspan(two.size());
            }
            forget_what_makes_no_sense(reply, records);
            if (reply.kind == CachedReply::Kind::under_way) interrupt_broadcast(reply);
            if (is_pending(reply)) {
                if (const auto one = resolve(reply, two)) half_made = one;
            } else {
                if (reply.pending == reply.request) reply.pending = 0;
                if (reply.block != 0 && !two[0].held) {
                    reply.block = 0;
                    reply.kind = CachedReply::Kind::forgotten;
                }
            }
            count_held(session, reply);
        }
    }
    runs_.skip(end, end);
    for (SessionReplies& session : sessions_) {
        if (session.record->id == 0) {
            session.record->replies = 0;
            free_.push_back(&session);
        } else if (session.slots.empty()) {
            session.record->replies = 0;
        }
    }
    records_ = records.empty() ? 0 : *std::max_element(records.begin(), records.end());
    for (std::uint32_t record = 1; record < records_; ++record)
        if (!records.contains(record)) free_records_.push_back(record);
    keep_interrupted();
    return half_made;
}

/// Afterwards the reply has a block only if it says so, and statuses only in a record that no other has.
void ReplyCache::forget_what_makes_no_sense(CachedReply& reply, std::unordered_set<std::uint32_t>& records) {
    using Kind = CachedReply::Kind;
    if (reply.kind > CachedReply::kind_last) reply.kind = Kind::forgotten;
    if (reply.kind != Kind::pair) reply.block = 0;
    // Of what is being done, only a put_back has a pair already, and has noted its block.
    const bool is_of_put_back =
        !is_many(reply) && pending_kind_of(reply) == ChangeKind::put_back && reply.noted[0] == reply.block;
    if (is_pending(reply) && !is_of_put_back) reply.block = 0;
    if (reply.kind == Kind::pair && reply.block == 0) reply.kind = Kind::forgotten;
    const bool may_have_statuses = reply.kind == Kind::statuses || (is_pending(reply) && is_many(reply));
    if (reply.statuses == 0) return;
    if (may_have_statuses && reply.statuses <= ReplyMemory::status_records_max &&
        reply.argument <= limits::batch_items_max && memory_.reserve_statuses(reply.statuses) &&
        records.insert(reply.statuses).second)
        return;
    reply.statuses = 0;
    if (reply.kind == Kind::statuses) reply.kind = Kind::forgotten;
}

void ReplyCache::count_held(SessionReplies& session, const CachedReply& reply) {
    if (reply.holds_memory()) ++session.holding;
    if (reply.block != 0) ++values_;
    if (reply.statuses != 0) status_bytes_ += bytes_of_statuses(reply);
}

/// Of a change that is half made: it has a reply, or it has not happened. What can always be made to the end
/// is returned, and has its reply.
std::optional<HalfMade> ReplyCache::resolve(CachedReply& reply, const std::array<shm::Claim, 2>& claims) {
    using Kind = CachedReply::Kind;
    const ChangeKind kind = pending_kind_of(reply);
    const bool made = was_made(reply, claims);
    if (is_many(reply)) {
        if (made && reply.argument2 == reply.argument) count_one(reply, 0);
        reply.noted = {};
        if (reply.statuses == 0 && reply.argument != 0) interrupted_ = &reply;
        return std::nullopt;
    }
    switch (kind) {
        case ChangeKind::put:
        case ChangeKind::erase:
            made ? reply.finish(reply.pending) : not_made(reply);
            return std::nullopt;
        case ChangeKind::take:
            if (made && claims[0].held) {
                reply.block = reply.noted[0];
                reply.kind = Kind::pair;
                reply.finish(reply.pending);
            } else if (made) {
                reply.kind = Kind::forgotten;  // its block was damaged
                reply.finish(reply.pending);
            } else {
                not_made(reply);
            }
            return std::nullopt;
        case ChangeKind::put_back:
            if (claims[0].visible) {
                reply.block = 0;
                reply.set(reply.pending, 0, reply.noted[1], 0);
            } else if (reply.kind == Kind::pair && claims[0].held) {
                reply.pending = 0;  // the pair is still the reply's
            } else {
                reply.block = 0;
                reply.set(reply.pending, reply.status, reply.noted[1], 0);
            }
            return std::nullopt;
        case ChangeKind::clear:
        case ChangeKind::begin_at:
        case ChangeKind::freeze:
        case ChangeKind::unfreeze:
            return HalfMade{kind, &reply};
    }
    not_made(reply);
    return std::nullopt;
}

/// Of one that nobody goes on with until its request comes again.
void ReplyCache::interrupt_broadcast(CachedReply& reply) {
    const std::uint64_t of = reply.pending != 0 ? reply.pending : reply.request;
    if (of != 0) {
        reply.pending_kind = CachedReply::broadcast;
        reply.pending = of;
        CachedReply::keep_order();
        reply.request = std::min(reply.request, of - 1);
        CachedReply::keep_order();
    }
    reply.kind = CachedReply::Kind::numbers;
}

/// The request will come again. The one before it is no longer waited for.
void ReplyCache::not_made(CachedReply& reply) {
    reply.kind = CachedReply::Kind::forgotten;
    reply.pending = 0;
}

/// The statuses so far of the batch that was being executed: batch() is for the next.
void ReplyCache::keep_interrupted() {
    if (interrupted_ == nullptr || interrupted_->argument == 0) return;
    const auto items = std::min<std::uint64_t>(interrupted_->argument, limits::batch_items_max);
    const auto bytes = std::as_bytes(std::span(memory_.batch()).first(static_cast<std::size_t>(items)));
    if (!keep_statuses(*interrupted_, bytes)) return;
    for (SessionReplies& session : sessions_)
        if (!session.slots.empty() && interrupted_ >= session.slots.data() &&
            interrupted_ < session.slots.data() + session.slots.size())
            ++session.holding;
}

/// From `from` to `to` there is no run in use, but there has been one.
void ReplyRuns::skip(std::uint64_t from, std::uint64_t to) {
    used_ = std::max(used_, to);
    while (from < to) {
        const unsigned log2 = std::min(wire::slot_bits, static_cast<unsigned>(std::bit_width(to - from)) - 1);
        free_[log2].push_back(from);
        from += std::uint64_t{1} << log2;
    }
}

}  // namespace ddict::store
