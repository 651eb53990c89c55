// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The replies to requests that may have changed something, in case a client asks again because the reply did
// not reach it. A session has one reply for each slot of its requests (wire::place_of); the next request in
// the slot shows that the client has it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "shm/pool.h"
#include "store/change.h"
#include "wire/messages.h"

namespace ddict::store {

struct CachedReply {
    enum class Kind : std::uint8_t {
        numbers,    // status and arguments
        pair,       // `block`, which a take has removed; pinned
        statuses,   // of the items of a batch: those in `statuses`, or `argument` times 0 if it is null
        under_way,  // a broadcast; the reply will come
        forgotten,  // it was more than there is memory for
    };

    std::uint64_t request = 0;  // its number; 0: there was none
    std::uint64_t argument = 0;
    std::uint64_t argument2 = 0;
    const shm::Block* block = nullptr;
    std::unique_ptr<std::byte[]> statuses;
    std::uint32_t status_bytes = 0;  // of `statuses`
    std::uint16_t status = 0;
    Kind kind = Kind::numbers;

    /// Requires that it holds no memory.
    void set(std::uint64_t to, std::uint16_t code, std::uint64_t first, std::uint64_t second) noexcept {
        request = to;
        argument = first;
        argument2 = second;
        status = code;
        kind = Kind::numbers;
    }
    /// Memory other than its own.
    bool holds_memory() const noexcept { return block != nullptr || statuses != nullptr; }
};
static_assert(sizeof(CachedReply) <= 64);

/// Of one session.
struct SessionReplies {
    std::vector<CachedReply> slots;
    std::uint32_t holding = 0;  // of the slots, those that hold memory

    /// Null if there is no slot for such a request yet. On the way of every write.
    CachedReply* at(std::uint64_t request) noexcept {
        const std::uint32_t slot = wire::place_of(request);
        return slot < slots.size() ? &slots[slot] : nullptr;
    }
};

/// Invariants:
///  1. `values` is the number of cached replies with a block, each with a pin of its own on it.
///  2. `status_bytes` is the sum of CachedReply::status_bytes, at most limits::cached_status_bytes_max.
///  3. SessionReplies::holding is the number of its replies that hold memory.
///  4. A reply holds a block or statuses only if its kind says so.
///  5. `slots` is the number of slots of all sessions, at most limits::cached_replies_max.
class ReplyCache {
  public:
    /// `pool` must outlive it, and be the one that the blocks are of.
    explicit ReplyCache(shm::Pool& pool) noexcept : pool_(pool) {}
    ReplyCache(const ReplyCache&) = delete;
    ReplyCache& operator=(const ReplyCache&) = delete;

    /// For a new session; stays where it is until closed.
    SessionReplies* open();
    void close(SessionReplies& session);

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
    /// The reply has these statuses. Copies them.
    void set_statuses(const ReplySlot& slot, std::uint64_t request, Bytes statuses);

    /// The reply will come, whatever happens to the connection.
    void set_under_way(const ReplySlot& slot, std::uint64_t request) noexcept {
        slot.reply->set(request, 0, 0, 0);
        slot.reply->kind = CachedReply::Kind::under_way;
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
    void release_memory(SessionReplies& session, CachedReply& reply);

    shm::Pool& pool_;
    std::deque<SessionReplies> sessions_;
    std::vector<SessionReplies*> free_;
    std::size_t slots_ = 0;
    std::size_t values_ = 0;
    std::size_t status_bytes_ = 0;
};

}  // namespace ddict::store
