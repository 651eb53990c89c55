// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a shard stores: its pairs, the marks of broadcasts, and the replies that clients may ask for again.
// One entry changes pairs, marks and the frozen state, and caches the reply of the change: apply(). Replies
// that come of no change, or of many, are cached apart. No network, no clock, no threads.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <ddict/result.h>

#include "base/bytes.h"
#include "shm/pool.h"
#include "store/broadcast_marks.h"
#include "store/change.h"
#include "store/reply_cache.h"
#include "store/reply_memory.h"

namespace ddict::store {

/// Invariants:
///  1. Only apply() makes, replaces or removes a visible pair, or freezes and unfreezes.
///  2. While frozen, no pair changes. A pair that a broadcast has stored is changed by broadcasts only.
///  3. A change with a slot has its reply cached when apply() returns, whatever came of it.
///  4. Sequence numbers of what changed have no gaps.
class Store {
  public:
    Store(std::unique_ptr<shm::Pool> pool, ReplyMemory memory);
    explicit Store(std::unique_ptr<shm::Pool> pool) : Store(std::move(pool), ReplyMemory::anonymous()) {}
    /// Takes over what a manager has left that was killed at any instruction: of each change it is known
    /// whether it was made, and those that were have their reply. Errors and cost: shm::Pool::recover().
    static Result<std::unique_ptr<Store>> recover(shm::Segment segment, ReplyMemory memory,
                                                  shm::RecoveryReport& report);
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// What recover() has found of clients is not to be gone on with: they are clients of a dictionary that
    /// has ended. Before the first request.
    void forget_sessions() { replies_.close_all(); }

    /// To look at. Blocks that it gives are valid until the next change or reserve(), unless pinned.
    const shm::Pool& pool() const noexcept { return *pool_; }
    const BroadcastMarks& marks() const noexcept { return marks_; }
    const ReplyCache& replies() const noexcept { return replies_; }
    ReplyCache& replies() noexcept { return replies_; }
    /// Whoever executes a request says so before and after, unless an exception ends the process: if it kills
    /// managers twice, it is not to be executed again, and begin_request() is true.
    bool begin_request(std::uint64_t session, std::uint64_t request) const noexcept {
        return memory_.begin_request({session, request});
    }
    void end_request() const noexcept { memory_.end_request(); }
    void end_executed() const noexcept { memory_.end_executed(); }

    /// Null if the key is not known. See BroadcastProgress.
    BroadcastProgress* progress(KeyBytes key) { return marks_.progress(key); }
    /// Of a broadcast of this key that a kill has interrupted after it was made here: the key's mark is
    /// there. Otherwise it is to be made, and the version is 0.
    BroadcastNote interrupted_broadcast(const ReplySlot& slot, std::uint64_t request, KeyBytes key,
                                        std::uint64_t hash);
    /// Of a key that was erased in this version before a kill, and of which only the hash was known.
    void remember_key(KeyBytes key, std::uint64_t version);
    /// Pairs of this shard's own, without the copies of other managers' broadcasts.
    std::uint64_t size(std::uint32_t checkpoint = limits::newest_checkpoint) const noexcept {
        return pool_->keys_at(checkpoint) - marks_.copies();
    }
    const shm::WorkingSet& checkpoints() const noexcept { return pool_->checkpoints(); }
    /// Whether the checkpoints that there are matter to a request at this one.
    bool minds_checkpoint(std::uint32_t checkpoint) const noexcept {
        const shm::WorkingSet& set = pool_->checkpoints();
        return checkpoint != 0 || set.in_use() || set.settings().waits_for_writers;
    }
    /// The newest checkpoint at which a change may come: at a newer one, one that is to wait for something
    /// (WorkingSetSettings) would be retired.
    std::uint32_t newest_permitted() const;
    /// By what it is bounded.
    wire::AskAgain what_is_awaited() const;
    /// A request has come at this checkpoint.
    void note_at(SessionReplies& session, std::uint32_t checkpoint, bool is_change) {
        if (is_change || ReplyCache::is_writer(session)) replies_.note_writer(session, checkpoint);
    }
    bool frozen() const noexcept { return frozen_; }
    /// The number of the last change that was made.
    std::uint64_t sequence() const noexcept { return sequence_; }

    /// Makes one change, if it may be made, and caches its reply; that of a broadcast comes later, and its
    /// slot only says that it has begun. A reserved block is the store's from now on, whatever comes of it.
    /// Constant time but for clear, which takes some for each pinned block, and but for what moving pairs
    /// takes (shm/compaction.h). Errors: no_space with need and have; too_large; invalid_argument for a key
    /// that a broadcast has stored; frozen; not_found where there is nothing to erase or to take;
    /// checkpoint_retired. A change at a newer checkpoint than all before makes that one the newest.
    Applied apply(const Change& change) {
        if (refuses_some() || minds_checkpoint(change.checkpoint())) [[unlikely]]
            return apply_if_permitted(change);
        if (change.kind != ChangeKind::put || change.role != BroadcastRole::none ||
            change.reserved != nullptr)
            return make(change);
        begin(change);
        const Result<void> stored = pool_->put(change.pair, noted_of(change));
        if (!stored) [[unlikely]]
            return put_again(change, stored.error());
        finish(change, 0, change.argument, 0);
        return {.argument = change.argument, .sequence = ++sequence_};
    }

    /// Whether some changes are refused; the question on the way of every write.
    bool refuses_some() const noexcept { return frozen_ || marks_.any(); }
    /// Why a change of this pair would be refused now; Errc{} if it would not. An empty key stands for all.
    Errc refusal(KeyBytes key, BroadcastRole role) const;

    /// Caches a reply that says no more than this, and comes of no change.
    void cache(const ReplySlot& slot, std::uint64_t request, std::uint16_t status, std::uint64_t argument,
               std::uint64_t argument2) noexcept {
        if (slot.reply != nullptr) slot.reply->set(request, status, argument, argument2);
    }

    /// See shm::Pool::reserve(). What it gives goes to apply() or abandon().
    Result<shm::Block*> reserve(const shm::Pair& pair, std::uint64_t value_bytes);
    void abandon(shm::Block* block) { pool_->abandon(block); }

    // See shm::Pool. None of them changes what is stored.
    void make_space(const shm::Pair& pair, std::uint64_t value_bytes) {
        pool_->make_space(pair, value_bytes);
    }
    void stop_making_space() { pool_->stop_making_space(); }
    bool take_some(const shm::Pair& pair, std::uint64_t value_bytes) {
        return pool_->take_some(pair, value_bytes);
    }
    void pin(const shm::Block& block) { pool_->pin(&block); }
    void unpin(const shm::Block& block) { pool_->unpin(&block); }
    shm::Pool::OneStep one_step() { return shm::Pool::OneStep(*pool_); }
    /// See shm::Pool::retire_some(). False if nothing is left to do.
    bool retire_some() { return pool_->retire_some(); }
    bool has_retired() const noexcept {
        return pool_->checkpoints().has_retired() || pool_->checkpoints().sweeps();
    }
    // See shm::Pool.
    void hold_checkpoint(std::optional<std::uint32_t> id) { pool_->hold_checkpoint(id); }
    void close_checkpoint(std::uint32_t id) { pool_->close_checkpoint(id); }
    // Of pairs with a time to live, see shm::Pool.
    void set_until(const shm::Block& block, std::uint64_t until) { pool_->set_until(block, until); }
    /// When expire() has something to do; shm::no_end: nothing, as things are.
    std::uint64_t next_end() const noexcept { return frozen_ ? shm::no_end : pool_->next_end(); }
    /// Erases pairs whose time is over, at most a few hundred microseconds' worth: at the newest checkpoint,
    /// if they are seen there. Returns how many. What cannot be erased now (no_space) is tried again later.
    std::uint64_t expire(std::uint64_t now);

    void mark_gone(shm::PoolEnd end) { pool_->mark_gone(end); }

  private:
    static constexpr bool is_of_all(ChangeKind kind) noexcept {
        return kind == ChangeKind::clear || kind == ChangeKind::begin_at;
    }
    /// From here on a kill leaves a reply that tells whether the change was made.
    static void begin(const Change& change) noexcept {
        CachedReply* reply = change.slot.reply;
        if (reply == nullptr || change.role != BroadcastRole::none) return;
        if (change.is_one_of_many) {
            reply->noted = {};
            CachedReply::keep_order();
            reply->argument2 = reply->argument;
            return;
        }
        reply->begin_anew();
        reply->argument = change.argument;
        reply->argument2 = 0;
        reply->status = 0;
        reply->kind = CachedReply::Kind::numbers;
        reply->begin(change.origin.request, static_cast<std::uint8_t>(change.kind),
                     {is_of_all(change.kind) ? change.checkpoint() : 0, 0});
    }
    static shm::Noted* noted_of(const Change& change) noexcept {
        return change.slot.reply != nullptr ? &change.slot.reply->noted : nullptr;
    }
    void finish(const Change& change, std::uint16_t status, std::uint64_t argument,
                std::uint64_t argument2) noexcept {
        CachedReply* reply = change.slot.reply;
        if (reply == nullptr || change.role != BroadcastRole::none) return;
        if (change.is_one_of_many) return replies_.count_one(*reply, status);
        reply->set(change.origin.request, status, argument, argument2);
    }
    Applied apply_if_permitted(const Change& change);
    Errc go_to_checkpoint(const Change& change);
    template <class F>
    void clear(F&& clear_pool);
    Applied make(const Change& change);
    Applied put_again(const Change& change, const Error& error);
    Applied cached(const Change& change, const Applied& applied) noexcept;
    Applied make_uncached(const Change& change);
    Applied put(const Change& change);
    Applied erase(const Change& change);
    Applied erase_broadcast(const Change& change);
    Applied take(const Change& change);
    Applied put_back(const Change& change);
    static void begin_put_back(const Change& change);
    void give_up_pair(const Change& change, Errc code);
    Applied put_broadcast(const Change& change);
    std::uint64_t begin_broadcast(const Change& change, Errc code);
    void freeze(bool frozen);
    bool has_released_space(const Error& error);
    // Of some thousand keys that are retired, some milliseconds. The rest goes with time.
    static constexpr unsigned tries_max = 5;
    /// Tries again while there is no space, and there may be more now.
    template <class F>
    std::invoke_result_t<F> with_space(F try_it) {
        for (unsigned tries = 1;; ++tries) {
            const std::invoke_result_t<F> outcome = try_it();
            if (outcome || tries == tries_max || !has_released_space(outcome.error())) return outcome;
        }
    }

    std::unique_ptr<shm::Pool> pool_;
    ReplyMemory memory_;
    BroadcastMarks marks_;
    ReplyCache replies_;
    std::uint64_t sequence_ = 0;
    bool frozen_;
};

}  // namespace ddict::store
