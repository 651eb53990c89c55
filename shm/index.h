// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// From a key to its block: extendible hashing in the pool's memory, laid out for readers in other processes
// (layout.h says how they stay right). A directory, indexed by the upper bits of the shard hash, leads to
// segments of 256 buckets of one cache line each. A segment that is three quarters full is split in two, and
// a directory that is too shallow for that is doubled first. That is all the work there ever is at once: the
// index has no other pause. Where a key belongs and there is no slot, entries move closer together within the
// segment; so if the pool has no space for a split, a segment is filled almost to its last slot, and only
// then is a key refused.
//
// The index keeps its size when keys go, until the last has gone; then, as after clear, it is as small as in
// the beginning.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "cluster/placement.h"
#include "shm/block.h"
#include "shm/heap.h"
#include "shm/layout.h"
#include "shm/version.h"

namespace ddict::shm {

/// The writer's side. Not thread safe. Hashes are hash_of(key), unless they are called shard hashes.
class Index {
  public:
    /// Where a key is: valid until the next change of the index.
    struct Place {
        AtomicWord* slot = nullptr;
        std::uint64_t block = 0;
        explicit operator bool() const noexcept { return block != 0; }
    };
    /// What growing has cost so far.
    struct Growth {
        std::uint64_t splits = 0;
        std::uint64_t doublings = 0;
        std::uint64_t entries_moved_max = 0;  // by one insertion
    };
    struct Entry {
        std::uint64_t shard_hash;
        std::uint64_t block;
    };
    /// The entries of one segment, and the last shard hash that belongs to it.
    struct SegmentEntries {
        std::array<Entry, slots_per_segment> entries;
        std::size_t count = 0;
        std::uint64_t last_shard_hash = 0;
    };

    /// All must outlive the index. Makes it empty.
    Index(std::byte* pool, PoolHeader& header, Heap& heap);
    /// What is there already, and sound.
    struct Found {
        std::uint64_t keys = 0;
        std::uint64_t bytes = 0;  // all that the index takes
    };
    Index(std::byte* pool, PoolHeader& header, Heap& heap, const Found& found)
        : pool_(pool),
          header_(header),
          heap_(heap),
          bytes_(found.bytes),
          size_(found.keys),
          size_max_(found.keys) {}

    /// The first that is found: for an index in which a key has one pair at the most.
    Place find(KeyBytes key, std::uint64_t hash) const;
    /// Of this checkpoint.
    Place find(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint) const;
    /// All versions of a key.
    void gather_versions(KeyBytes key, std::uint64_t hash, Versions& out) const;
    /// The same, by the block that the slot leads to.
    Place slot_of(std::uint64_t block, std::uint64_t hash) const;
    /// Fetches the bucket into the cache ahead of a find.
    void prefetch(std::uint64_t hash) const {
        const std::uint64_t h = shard_hash(hash);
        __builtin_prefetch(&at<IndexSegment>(segment_of(h)).buckets[home_bucket(h)]);
    }
    /// Fetches the block as well, if it is where the bucket says at first sight; the bucket should be there.
    void prefetch_block(std::uint64_t hash) const;

    /// Adds a key that find() has not found. False if there is no space for it: the heap is full, or too many
    /// hashes are alike. Nothing is added then, though segments may have been split.
    bool insert(std::uint64_t block, std::uint64_t hash);
    /// The key is at another block from now on.
    void replace(const Place& place, std::uint64_t block);
    void erase(const Place& place, std::uint64_t hash);

    /// Empties the index, in constant time: afterwards nothing leads to any block, and its parts in the heap,
    /// which are to be freed with everything else, are in use no more. After a kill in between, what is in
    /// the index is neither all nor nothing: see PoolHeader::clearing.
    void clear();
    /// What an insertion that grows the index may allocate at once, at the most.
    std::uint64_t growth_bytes_max() const noexcept;

    /// The blocks of all pairs with this hash, in no order.
    std::vector<std::uint64_t> blocks_of(std::uint64_t hash) const;

    /// The entries of the segment that this shard hash belongs to, in no order.
    void gather(std::uint64_t shard_hash, SegmentEntries& out) const;

    std::uint64_t size() const noexcept { return size_; }
    /// All that the index takes, in the heap and before it.
    std::uint64_t bytes() const noexcept { return bytes_; }
    const Growth& growth() const noexcept { return growth_; }

  private:
    // Beyond, a segment would still take keys, but with ever longer searches.
    static constexpr std::uint64_t entries_before_split = slots_per_segment * 3 / 4;

    template <class T>
    T& at(std::uint64_t offset) const noexcept {
        return *reinterpret_cast<T*>(pool_ + offset);
    }
    std::uint64_t root() const noexcept { return header_.index_root.load(std::memory_order_relaxed); }
    std::uint64_t segment_of(std::uint64_t shard_hash) const noexcept {
        const std::uint64_t r = root();
        const std::uint64_t entry = directory_entry(shard_hash, root_depth(r));
        return at<AtomicWord>(root_entries(r) + 8 * entry).load(std::memory_order_relaxed);
    }
    Place find_among_alike(KeyBytes key, std::uint64_t hash) const;
    template <class F>
    void find_alike(std::uint64_t hash, F f) const;
    template <class F>
    Place find_pair(KeyBytes key, std::uint64_t hash, F is_wanted) const;
    bool store(IndexSegment& segment, std::uint64_t block, std::uint64_t shard_hash);
    unsigned depth_that_helps(const IndexSegment& segment, std::uint64_t shard_hash) const;
    bool split_segment_of(std::uint64_t shard_hash);
    bool move_together(IndexSegment& segment, unsigned home);
    void move_entry(IndexSegment& segment, unsigned from, unsigned slot, unsigned to);
    bool double_directory();
    bool split(std::uint64_t segment_offset);
    void publish_split(std::uint64_t old_segment, std::uint64_t new_segment, unsigned new_depth);
    void take_out_moved(IndexSegment& old_segment, const IndexSegment& new_segment,
                        const std::uint8_t* overflow);
    std::uint64_t allocate(std::uint64_t bytes, std::uint64_t& index_block);
    void free(std::uint64_t index_block);
    void initialise();
    static void lay_out_empty(std::byte* pool, PoolHeader& header);
    void start_anew();
    std::uint64_t shard_hash_of(std::uint64_t block) const;

    friend class Recovery;
    /// Parts of the index start at a cache line inside their heap blocks, which start at multiples of 16 with
    /// a word.
    static constexpr std::uint64_t part_slack = 64;
    static constexpr std::uint64_t bytes_when_empty = sizeof(InitialDirectory) + sizeof(IndexSegment);
    static constexpr std::uint64_t part_offset(std::uint64_t index_block) noexcept {
        return align_up(index_block + 8, 64);
    }

    std::byte* pool_;
    PoolHeader& header_;
    Heap& heap_;
    std::uint64_t bytes_;
    std::uint64_t size_ = 0;
    std::uint64_t size_max_ = 0;  // since the index was last empty
    std::uint64_t moved_by_this_insertion_ = 0;
    Growth growth_;
};

}  // namespace ddict::shm
