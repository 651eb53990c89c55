// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The replies to requests that may have changed something, in case a client asks again because the reply did
// not reach it. A session has one reply for each slot of its requests (wire::slot_of); the next request in
// the slot shows that the client has it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "shm/pool.h"
#include "store/change.h"
#include "store/reply_memory.h"
#include "wire/messages.h"

namespace ddict::store {

/// Of one session.
struct SessionReplies {
    std::span<CachedReply> slots;
    SessionRecord* record = nullptr;
    std::uint32_t number = 0;   // of the record
    std::uint32_t holding = 0;  // of the slots, those that hold memory

    /// Null if there is no slot for such a request yet. On the way of every write.
    CachedReply* at(std::uint64_t request) noexcept {
        const std::uint32_t slot = wire::slot_of(request);
        return slot < slots.size() ? &slots[slot] : nullptr;
    }
};

/// A change of the whole shard that a kill has interrupted: it is made, and then its reply is finished.
struct HalfMade {
    ChangeKind kind;
    CachedReply* reply;
};

/// Which of the replies in memory are whose: runs of them, as long as a power of two.
class ReplyRuns {
  public:
    static constexpr std::uint64_t none = ~std::uint64_t{0};
    /// The first of the run; none if there are no more.
    std::uint64_t take(unsigned log2);
    void give_back(std::uint64_t first, unsigned log2) { free_[log2].push_back(first); }
    /// For recovery, in order: all from `from` to `to` is free, and what follows is in use.
    void skip(std::uint64_t from, std::uint64_t to);
    void forget() { *this = {}; }

  private:
    std::uint64_t used_ = 0;  // beyond, none has ever been
    std::array<std::vector<std::uint64_t>, wire::slot_bits + 1> free_;
};

/// Invariants:
///  1. `values` is the number of cached replies with a block, each with a pin of its own on it.
///  2. `status_bytes` is what the statuses of all replies take; each reply with some has a record of its own.
///  3. SessionReplies::holding is the number of its replies that hold memory.
///  4. A reply holds a block or statuses only if its kind says so, or if it is of a batch that was
///  interrupted.
///  5. `slots` is the number of slots of all sessions, at most limits::cached_replies_max.
class ReplyCache {
  public:
    /// Both must outlive it; the pool is the one that the blocks are of. The memory holds no session yet.
    ReplyCache(shm::Pool& pool, ReplyMemory& memory) noexcept : pool_(pool), memory_(memory) {}
    ReplyCache(const ReplyCache&) = delete;
    ReplyCache& operator=(const ReplyCache&) = delete;

    /// What is to be asked of the pool before a cache recovers this memory.
    static std::vector<shm::Claim> claims_in(ReplyMemory& memory);
    /// Instead of a memory that holds no session: takes over what it holds, with the pool's answers to
    /// claims_in(). Returns the change of the whole shard that was being made, if there is one.
    std::optional<HalfMade> recover(std::span<const shm::Claim> claims);
    /// Of sessions whose client has changed something: the checkpoint that it was at last. It is there from
    /// now on, unless it has been at a later one.
    void note_writer(SessionReplies& session, std::uint32_t checkpoint);
    static bool is_writer(const SessionReplies& session) noexcept { return session.record->writer_at != 0; }
    void forget_writers();
    struct WritersAt {
        std::uint32_t checkpoint;
        std::uint64_t writers;
    };
    /// The oldest at which there is one.
    std::optional<WritersAt> oldest_writers() const;
    /// Calls f(session) for each that is open.
    template <class F>
    void for_each_session(F f) {
        for (SessionReplies& session : sessions_)
            if (session.record->id != 0) f(session);
    }

    /// Whether open() would succeed.
    bool has_capacity() {
        return !free_.empty() || (sessions_.size() < limits::sessions_max &&
                                  memory_.reserve_sessions(static_cast<std::uint32_t>(sessions_.size()) + 1));
    }
    /// For a new session, of which name() says later which it is; stays where it is until closed. Null if
    /// there are limits::sessions_max, or if there is no memory for more.
    SessionReplies* open();
    static void name(SessionReplies& session, std::uint64_t id, std::uint64_t client,
                     std::uint64_t hello_number) noexcept;
    void close(SessionReplies& session);
    /// All that there are.
    void close_all();

    /// The slot of a request, made if need be; its reply is null if there are too many already. On the way of
    /// every write.
    ReplySlot slot(SessionReplies& session, std::uint64_t request) {
        CachedReply* reply = session.at(request);
        return {&session, reply != nullptr ? reply : new_slot(session, request)};
    }

    /// The client has the reply, or does not want it any more.
    void release(SessionReplies& session, CachedReply& reply) {
        if (reply.holds_memory()) release_memory(session, reply);
    }
    /// Blocks that were taken use space in the pool until their clients say that they have them. When it is
    /// full they have to go. True if there were any.
    bool release_values();

    /// The reply to `request` has this pair. Takes over a pin of the caller's.
    void set_pair(const ReplySlot& slot, std::uint64_t request, const shm::Block& block);
    const shm::Block& block_of(const CachedReply& reply) const noexcept { return pool_.at(reply.block); }
    const StatusRecord& statuses_of(const CachedReply& reply) const noexcept {
        return memory_.statuses(reply.statuses);
    }

    /// A request that makes many changes begins; or goes on, after a manager was killed over it. Returns how
    /// many it has made; their statuses are in batch().
    std::uint64_t begin_many(const ReplySlot& slot, std::uint64_t request, ChangeKind kind);
    const StatusRecord& batch() const noexcept { return memory_.batch(); }
    /// One more has been made, with this status.
    void count_one(CachedReply& reply, std::uint16_t status) noexcept {
        if (reply.argument < limits::batch_items_max) memory_.batch()[reply.argument] = status;
        CachedReply::keep_order();
        ++reply.argument;
    }
    /// The reply has these statuses. Copies them.
    void set_statuses(const ReplySlot& slot, std::uint64_t request, Bytes statuses);

    /// The reply to a broadcast will come, whatever happens to the connection.
    void set_under_way(const ReplySlot& slot, std::uint64_t request, const BroadcastNote& note) noexcept {
        slot.reply->noted = note.packed();
        CachedReply::keep_order();
        slot.reply->kind = CachedReply::Kind::under_way;
        slot.reply->finish(request);
    }
    /// Of a broadcast that a kill has interrupted; of version 0 if the request is none.
    static BroadcastNote interrupted_broadcast(const ReplySlot& slot, std::uint64_t request) noexcept {
        const CachedReply* reply = slot.reply;
        return reply != nullptr && reply->pending == request &&
                       (reply->pending_kind & CachedReply::broadcast) != 0
                   ? BroadcastNote::of(reply->noted)
                   : BroadcastNote{};
    }

    /// What is kept of replies that may not have arrived yet: pairs that were taken, and bytes outside the
    /// pool.
    std::size_t values() const noexcept { return values_; }
    std::size_t status_bytes() const noexcept { return status_bytes_; }
    std::size_t slots() const noexcept { return slots_; }

    /// What is wrong with the invariants; empty if nothing is. Looks at everything: for tests.
    std::string inconsistency() const;

  private:
    CachedReply* new_slot(SessionReplies& session, std::uint64_t request);
    void forget_writer(SessionReplies& session);
    void count_writer(SessionReplies& session);
    void release_memory(SessionReplies& session, CachedReply& reply);
    void release_statuses(CachedReply& reply);
    void give_back(SessionReplies& session);
    static std::size_t bytes_of_statuses(const CachedReply& reply) noexcept {
        return sizeof(std::uint16_t) * std::min<std::size_t>(reply.argument, limits::batch_items_max);
    }
    void forget_what_makes_no_sense(CachedReply& reply, std::unordered_set<std::uint32_t>& records);
    void count_held(SessionReplies& session, const CachedReply& reply);
    std::optional<HalfMade> resolve(CachedReply& reply, const std::array<shm::Claim, 2>& claims);
    static void not_made(CachedReply& reply);
    static void interrupt_broadcast(CachedReply& reply);
    void keep_interrupted();
    std::uint64_t take_run(unsigned log2);
    bool keep_statuses(CachedReply& reply, Bytes statuses);

    shm::Pool& pool_;
    ReplyMemory& memory_;
    std::deque<SessionReplies> sessions_;  // by their numbers
    std::vector<SessionReplies*> free_;
    ReplyRuns runs_;
    std::uint32_t records_ = 0;  // of statuses, that have been used
    std::vector<std::uint32_t> free_records_;
    CachedReply* interrupted_ = nullptr;              // for recovery: of the batch that was being executed
    std::map<std::uint32_t, std::uint64_t> writers_;  // how many there are at a checkpoint
    std::size_t slots_ = 0;
    std::size_t values_ = 0;
    std::size_t status_bytes_ = 0;
};

}  // namespace ddict::store
