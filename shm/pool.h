// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A manager's pairs, in shared memory of fixed size. layout.h describes the memory, block.h a pair in it.
//
// A key has one visible block or none. A write makes a new block and publishes it by one atomic store; the
// block it replaces is freed, or, while it is pinned, when the last pin is let go. Memory that is freed can
// be used again at once; where no free part is large enough for a new pair, others are moved to make space
// (compaction.h).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "shm/block.h"
#include "shm/compaction.h"
#include "shm/expiries.h"
#include "shm/heap.h"
#include "shm/index.h"
#include "shm/recovery.h"
#include "shm/segment.h"
#include "shm/working_set.h"

namespace ddict::shm {

struct PoolIdentity {
    std::uint64_t dictionary_id = 0;
    Secret secret{};
    std::uint32_t manager = 0;
    std::string node;  // host name
};

struct PoolUsage {
    std::uint64_t pool_bytes = 0;  // the segment, all included: used + free
    std::uint64_t used_bytes = 0;  // pairs, reserved and pinned blocks, the index, and the pool's own header
    std::uint64_t free_bytes = 0;
    std::uint64_t largest_free_bytes = 0;  // key and value together that fit without moving a pair
    std::uint64_t index_bytes = 0;         // the part of used_bytes that is index
    std::uint64_t keys = 0;
};

/// The blocks that a change is about to make visible, or to take away, noted before it does: after a kill
/// they tell whether the change was made. A put notes up to two blocks, of which one is visible once it is
/// made; an erase the one that is not visible any more.
using Noted = std::array<std::uint64_t, 2>;

/// The one writer of a pool. Not thread safe. Calls take constant time unless said otherwise; find, put and
/// erase neither allocate private memory nor call the system, save a put that takes memory of a sparse pool
/// (create_sparse_segment()).
///
/// When no free part is large enough though enough is free, put, reserve and publish move other pairs, for a
/// bounded time (Compactor::step_cost_max). So a block that find() has given is valid only until the next of
/// them, unless it is pinned; one that reserve() has given stays.
class Pool {
  public:
    /// Formats an empty pool in a new segment of at least limits::pool_bytes_min; for the node launcher.
    /// `working_set`: of at most limits::working_set_max checkpoints.
    static Result<void> format(Segment& segment, const PoolIdentity& identity,
                               const WorkingSetSettings& working_set = {});
    /// A new segment for a pool, of which only the beginning is reserved: the manager takes the rest piece by
    /// piece, when pairs need it, and whoever calls memory().reserve() can do so before. For the node
    /// launcher. Errors: Segment::create_sparse().
    static constexpr std::uint64_t bytes_at_first = std::uint64_t{64} << 20;
    static Result<Segment> create_sparse_segment(const std::string& name, std::uint64_t bytes,
                                                 const Preparation& prepare = {});
    /// Takes a formatted pool over; for the manager. protocol if the segment holds no pool or is cut;
    /// incompatible if another version of ddict formatted it; system if a manager has had it already.
    static Result<std::unique_ptr<Pool>> attach(Segment segment);
    /// Takes over what a manager has left that was killed at any instruction: each pair that was visible is
    /// there, the others are gone. The claims are answered. Errors as above, and protocol if the pool is so
    /// damaged that no pair can be found. Readers are sent to ask meanwhile. Killed in here, it can be done
    /// again. Cost: each index segment and each block is visited, twice; private memory of one bit for each
    /// 16 bytes of the heap, where there are pairs.
    static Result<std::unique_ptr<Pool>> recover(Segment segment, std::span<Claim> claims,
                                                 RecoveryReport& report);
    /// Whether a manager has taken this pool over before: then it is to be recovered.
    static bool was_attached(const Segment& segment);
    /// For the node launcher: a pool that a manager has left is to be another dictionary's, all its pairs
    /// included. Nobody may use it but readers, which serve nothing of it from here on. Killed in here, it
    /// can be done again. Errors: as of recover(), before anything is changed.
    static Result<void> hand_over(Segment& segment, const PoolIdentity& identity);
    /// Whether hand_over() was the last that happened to it: recover() is the first time then in its
    /// dictionary.
    static bool was_kept(const Segment& segment);
    /// For the node launcher, after format(): the pool is of a dictionary that was resumed, and that had
    /// nothing for its manager.
    static void set_without_kept(Segment& segment);

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// Tells the readers of a manager's pool that it has ended: from now on they serve nothing of it. For the
    /// node launcher; nothing happens if there is no such pool.
    static void mark_gone(const std::string& segment_name);
    static void mark_gone(const Segment& segment);
    /// The same, for the manager itself, when it ends in good order.
    void mark_gone(PoolEnd end = PoolEnd::manager);
    bool gone() const noexcept { return end_in(header().gone.load(std::memory_order_acquire)) != 0; }

    /// While the dictionary is frozen, no write must follow: readers may then read values in place. Ending it
    /// comes before the first write.
    void set_frozen(bool frozen);
    bool frozen() const noexcept;

    const PoolIdentity& identity() const noexcept { return identity_; }
    /// Key and value together that an empty pool can hold at the most. What DirectoryEntry::pool_bytes
    /// carries.
    std::uint64_t capacity_bytes() const noexcept { return capacity_bytes_; }

    /// A write in two steps, for values that come in slowly: reserve, fill block->value(), publish. Until
    /// then the pair cannot be found and does not count. Exactly one of publish() and abandon() must follow;
    /// any number of writes, also of the same key, may happen meanwhile. no_space with need and have (key and
    /// value together); too_large if not even an empty pool would do; also too_large for a key above
    /// limits::key_bytes_max, and invalid_argument for an empty key.
    /// Looks at all of the pair but its value.
    Result<Block*> reserve(const Pair& pair, std::uint64_t value_bytes);
    /// Makes the pair visible; replaces the older block of its key and checkpoint. no_space if the index has
    /// to grow and cannot; the block is abandoned then.
    Result<void> publish(Block* block, Noted* noted = nullptr);
    void abandon(Block* block);
    /// Between reserve() and publish(): another mark than that of the pair that was reserved, which had one.
    void set_mark(Block* block, std::uint64_t mark);

    /// After no_space: whether so large a pair might be reserved after all, once more pairs have been moved
    /// than one call does. Then make_space() and reserve() are to be called in turn, until reserve() succeeds
    /// or this is false.
    bool may_make_space(const Pair& pair, std::uint64_t value_bytes) const;
    /// One more step towards that.
    void make_space(const Pair& pair, std::uint64_t value_bytes);
    /// Nobody goes on with make_space().
    void stop_making_space();

    /// Before reserve(): whether it would take much of a sparse pool's memory for so large a pair, and so
    /// long that others should not wait for it. Then take_some() is to be called until it is false, and
    /// reserve().
    bool takes_long(const Pair& pair, std::uint64_t value_bytes) const;
    /// One step, of some milliseconds. False if there is no more to be taken, or to be had.
    bool take_some(const Pair& pair, std::uint64_t value_bytes);

    /// While one lives, all that happens shares the bounded time of one call.
    class OneStep {
      public:
        explicit OneStep(Pool& pool) noexcept : pool_(pool) {
            pool_.compaction_credit_ = Compactor::step_cost_max;
            pool_.credit_is_shared_ = true;
        }
        ~OneStep() { pool_.credit_is_shared_ = false; }
        OneStep(const OneStep&) = delete;
        OneStep& operator=(const OneStep&) = delete;

      private:
        Pool& pool_;
    };

    /// A write in one step, of a value that does not lie in this pool (but in a pinned block); errors as
    /// above, and then the old value is as it was. When the pool is full, but the new value fits into the
    /// memory of the old one, the new one is made visible in the scratch block (Compactor) for a moment, if
    /// it fits there too: only here, never by reserve().
    Result<void> put(const Pair& pair, Noted* noted = nullptr);

    /// The key's visible block, valid until the next write of any key; nullptr if there is none.
    const Block* find(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint = newest) const {
        if (set_.in_use()) [[unlikely]]
            return find_version(key, hash, checkpoint);
        const Index::Place place = index_.find(key, hash);
        return place ? &block_at(place.block) : nullptr;
    }
    /// Fetches what find() will look at first into the cache; for batches.
    void prefetch(std::uint64_t hash) const { index_.prefetch(hash); }
    /// Fetches the pair itself too. To be called some time after prefetch().
    void prefetch_pair(std::uint64_t hash) const { index_.prefetch_block(hash); }
    /// False if there was no such pair; an older version of its key is seen again. Erasing the last pair also
    /// frees what the index has grown.
    bool erase(KeyBytes key, std::uint64_t hash, Noted* noted = nullptr, std::uint32_t checkpoint = 0);
    /// Erases all keys: afterwards exactly as much is free as in the beginning, but for reserved and pinned
    /// blocks until they are let go. Takes constant time, and some for each of those.
    void clear();

    /// The offset of a block of this pool, and the block at an offset that was one.
    std::uint64_t offset_of(const Block* block) const;
    const Block& at(std::uint64_t offset) const noexcept { return block_at(offset); }

    /// Makes a pair visible again that was erased; its block has been pinned since before. False, and nothing
    /// has happened, if the key has another pair by now, or the index cannot grow.
    bool restore(const Block& block);

    /// A pinned block stays as it is, whatever happens to its key. At most 32767 pins at a time on one block.
    void pin(const Block* block);
    void unpin(const Block* block);

    /// Visits pairs in the order of their shard hashes, beginning at `cursor` (0: the start), until `visit`
    /// returns false or there are no more. Returns the cursor to go on with; 0 at the end. The pair for which
    /// `visit` returns false has been visited; if others share its hash (all 64 bits), they are visited too
    /// before the scan stops, at most 27. A key that is there from the first call to the last is visited
    /// exactly once, whatever is put, erased or split between the calls; one that comes or goes meanwhile, at
    /// most once. `visit` must not change the pool. Cost: for each index segment touched (one per call, or
    /// more), a look at each of its entries, at most 1792, and sorting them.
    std::uint64_t scan(std::uint64_t cursor, const std::function<bool(const Block&)>& visit,
                       std::uint32_t checkpoint = newest) const;

    // ---- checkpoints: see working_set.h, and pool_checkpoints.cpp for what is done here ----
    /// The id that stands for whichever is the newest.
    static constexpr std::uint32_t newest = limits::newest_checkpoint;
    const WorkingSet& checkpoints() const noexcept { return set_; }
    /// Makes this one the newest, if it is newer.
    void advance(std::uint32_t checkpoint);
    /// See WorkingSet::hold(). Nothing if this one is held already.
    void hold_checkpoint(std::optional<std::uint32_t> checkpoint);
    /// No change is made any more at it or before, until the hold ends; the one after it is there then.
    void close_checkpoint(std::uint32_t checkpoint);
    /// The key is not there from this checkpoint on. not_found if it was not; no_space.
    Result<void> erase_version(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint,
                               Noted* noted = nullptr);
    /// The same, and the pair that was seen there, with one pin: as a version of this checkpoint, if need be
    /// by a copy of it.
    Result<const Block*> take_version(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint,
                                      Noted* noted = nullptr);
    /// restore() of a pair that was taken by take_version().
    bool restore_version(const Block& block);
    /// Nothing is seen at this checkpoint any more, nor at those after it, but for what has been written at
    /// them. Cost: a look at every pair, unless it is the newest and the only one.
    void clear_version(std::uint32_t checkpoint);
    /// Nothing is left at any checkpoint, and this one is the only one from now on, whichever there were.
    /// After a kill it is done once more.
    void begin_at(std::uint32_t checkpoint);
    /// Takes out some of what nobody can see any more: a few keys, or what is left of a segment of the index.
    /// False if nothing is left to do. retire_keys() does the former only: some microseconds.
    bool retire_some();
    bool retire_keys();
    /// The same, of keys with this hash.
    void retire(std::uint64_t hash);
    std::uint64_t keys_at(std::uint32_t checkpoint) const noexcept {
        return set_.in_use() ? set_.keys_at(checkpoint) : index_.size();
    }

    // ---- times to live ----
    /// When the next visible pair is over, by the clock of Pair::until; no_end if none is.
    std::uint64_t next_end() const noexcept { return expiries_.empty() ? no_end : expiries_.next_end(); }
    /// One that is over by now, valid until the next write; null if there is none.
    const Block* over(std::uint64_t now);
    /// Another end, or no_end, of a visible pair that has a time to live. Nothing moves.
    void set_until(const Block& block, std::uint64_t until);

    PoolUsage usage() const;
    /// Reserving, and touching what is reserved without changing it, is for any thread.
    const Segment& memory() const noexcept { return segment_; }
    /// Two numbers of that, each in a few instructions.
    std::uint64_t pool_bytes() const noexcept { return segment_.size(); }
    std::uint64_t used_bytes() const noexcept { return segment_.size() - heap_.free_bytes(); }
    /// The least that pairs and index may take of a pool of this size that has none.
    static std::uint64_t free_bytes_when_empty(std::uint64_t pool_bytes) noexcept;
    /// Of pairs: versions count each.
    std::uint64_t size() const noexcept { return index_.size(); }
    /// How often the pool was taken over by recover().
    std::uint32_t recoveries() const noexcept { return header().recoveries; }
    /// See set_without_kept().
    bool is_without_kept() const noexcept { return header().is_without_kept != 0; }
    /// What growing the index has cost so far.
    const Index::Growth& growth() const noexcept { return index_.growth(); }
    /// What moving pairs has cost so far.
    const Compactor::Counters& compaction() const noexcept { return compactor_.counters(); }
    /// Walks the whole heap; empty if all is well. For tests.
    std::string inconsistency() const;

  private:
    Pool(Segment segment, PoolIdentity identity);
    MissingMemory missing();
    std::uint64_t take(std::uint64_t until);
    std::uint64_t missing_bytes() const noexcept { return segment_.size() - segment_.reserved_bytes(); }
    Pool(Segment segment, PoolIdentity identity, Recovery& recovery);

    PoolHeader& header() const noexcept { return *reinterpret_cast<PoolHeader*>(data_); }
    Block& block_at(std::uint64_t offset) const noexcept { return *reinterpret_cast<Block*>(data_ + offset); }
    bool admits(const Pair& pair, std::uint64_t value_bytes) const noexcept;
    std::uint64_t bytes_max(const Pair& pair) const noexcept;
    Error refusal(const Pair& pair, std::uint64_t value_bytes) const;
    Error no_space(KeyBytes key, std::uint64_t value_bytes) const;
    std::uint64_t allocate(const Pair& pair, std::uint64_t value_bytes);
    std::uint64_t allocate_with_trailers(const Pair& pair, std::uint64_t value_bytes);
    std::uint64_t allocate(const Pair& pair, std::uint64_t value_bytes, std::uint64_t need);
    bool move_for(std::uint64_t heap_bytes, Compactor::Effort effort);
    static void note(Noted* noted, std::size_t which, std::uint64_t offset) noexcept {
        if (noted == nullptr) return;
        (*noted)[which] = offset;
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    Result<void> show(std::uint64_t offset);
    Result<void> show(std::uint64_t offset, const Index::Place& place);
    Result<void> show_new(std::uint64_t offset);
    Result<void> put_through_scratch(const Pair& pair, Noted* noted);
    static void set_header(Block& block, const Pair& pair, std::uint64_t value_bytes) noexcept;
    static void set_value(Block& block, Bytes value) noexcept;
    void free(std::uint64_t offset);
    void drop(std::uint64_t offset);
    void settle_if_empty();
    // Apart, so that what is on the way of every call need not save registers for it.
    [[gnu::noinline, gnu::cold]] const Block* find_version(KeyBytes key, std::uint64_t hash,
                                                           std::uint32_t checkpoint) const;
    template <bool has_versions>
    Result<void> put_pair(const Pair& pair, Noted* noted);
    Index::Place place_of(const Pair& pair) const;
    bool erase_pair(KeyBytes key, std::uint64_t hash, Noted* noted, std::uint32_t checkpoint);
    [[gnu::noinline, gnu::cold]] Result<void> put_version(const Pair& pair, Noted* noted);
    [[gnu::noinline, gnu::cold]] Result<void> show_version(std::uint64_t offset);
    [[gnu::noinline, gnu::cold]] bool erase_and_account(KeyBytes key, std::uint64_t hash, Noted* noted,
                                                        std::uint32_t checkpoint);
    bool may_be_transient(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint, Versions& before);
    void account(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint, const Versions& before);
    void drop_version(std::uint64_t offset);
    void take_out(std::uint64_t offset);
    void find_versions_again();
    void erase_all_of(std::uint32_t checkpoint);
    template <class F>
    void for_each_key(std::span<const Index::Entry> alike, F f) const;
    void for_each_seen(std::span<const Index::Entry> alike, std::uint32_t checkpoint,
                       const std::function<void(const Block&)>& f) const;
    void show_counters();
    // Apart, as are versions.
    [[gnu::noinline, gnu::cold]] void note_end(std::uint64_t offset);
    [[gnu::noinline, gnu::cold]] void drop_end(std::uint64_t offset);
    void hold(std::uint64_t offset) { held_.push_back(offset); }
    void let_go(std::uint64_t offset);

    Segment segment_;
    std::byte* data_;  // the segment's, which stays where it is
    PoolIdentity identity_;
    std::chrono::steady_clock::time_point ask_again_;  // the system for memory
    Heap heap_;
    Index index_;
    Expiries expiries_;
    Compactor compactor_;
    WorkingSet set_;
    std::uint64_t compaction_credit_ = 0;
    bool credit_is_shared_ = false;
    std::vector<std::uint64_t> held_;  // the blocks that are reserved or pinned
    std::uint64_t capacity_bytes_;
};

}  // namespace ddict::shm
