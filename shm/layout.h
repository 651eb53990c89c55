// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What lies in shared memory, byte by byte: a pool, and at the end a dictionary's directory.
//
// One process, the manager, writes to a pool; any number of processes may map it read-only and read it at the
// same time.
//
//   pool      := PoolHeader (one page)  InitialDirectory  first IndexSegment  heap
//   heap      := (Block | index block | free block)*  end mark
//   index     := directory of 2^depth offsets -> IndexSegment of 256 buckets -> Block
//
// Offsets count from the start of the pool; 0 stands for "none". Numbers are little-endian.
//
// How readers stay right without a lock:
//   1. A bucket's version is odd while one of its slots changes, and grows by two with each change. What was
//      read through a slot is true if the version was even, and the same before and after.
//   2. A miss is true only if, afterwards, the first words of the home bucket and of all others that were
//      looked at are the same (and their versions even), and the directory still leads to the same segment:
//      an entry that moves between buckets marks its home bucket as changing, and a split publishes the new
//      segment in the directory before it takes the moved entries out of the old one.
//   3. structure_epoch is odd while a directory is exchanged or everything is cleared. Nothing read is true
//      unless it was even, and the same before and after.
//   4. A pool that is gone serves nothing. While freeze_epoch is odd and stays the same, no block changes,
//      and a value may be read in place.
//   5. Memory may change or be used again under a reader's hands. So each offset and length is checked
//      against the pool before it is followed, and what is read is believed only after 1 to 3.
//
// Checkpoints: a pair's identity is its key and the id of the checkpoint that it was written at. Until a
// change has come with an id above 0, PoolHeader::checkpoints is 0 and every key has one pair at the most.
// Afterwards it may have several, its versions: at a checkpoint the one with the highest id that is not above
// its own is seen, if it is not below the floor and does not say that the key is gone. What a broadcast has
// stored is seen at each. docs/decisions/0022 has the rest.
//
// How a pool is recovered after its manager was killed at any instruction (recovery.h): every write becomes
// visible by one atomic store (of a slot, a directory entry or index_root), and a block is complete before
// that. The live blocks are those reached through the index. What a kill leaves behind:
//   1. copies of entries that an interrupted split has moved: an entry counts only if the directory leads
//      from its hash to the very segment it is in;
//   2. directory entries of an interrupted split that still lead to the old segment, and its old local_depth:
//      of two segments whose hashes overlap, the deeper one is right;
//   3. two entries of one block, from an interrupted move between buckets: a block counts once;
//   4. odd versions, overflow counts that are too high, and numbers of entries that are wrong;
//   5. a clear that has begun: `clearing` says so, and it is made to its end.
// Allocator words (Block::size_and_flags, free lists), pins and counters are never trusted, but set up anew
// from the live blocks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/limits.h"

namespace ddict::shm {

inline constexpr std::uint64_t pool_magic = 0x31'6c6f'6f70'6464ULL;  // "ddpool1"
inline constexpr std::uint32_t pool_layout_version = 8;
inline constexpr std::uint64_t page_bytes = 4096;

using AtomicWord = std::atomic<std::uint64_t>;
static_assert(AtomicWord::is_always_lock_free && sizeof(AtomicWord) == 8);

// The index. A key's place follows from shard_hash(), whose lowest 16 bits are the same for all keys of a
// manager:
//   bits 63 and down   directory entry (as many bits as the directory is deep)
//   bits 39 to 24      tag, kept in the slot
//   bits 23 to 16      home bucket
inline constexpr unsigned bucket_bits = 8;
inline constexpr unsigned buckets_per_segment = 1U << bucket_bits;
inline constexpr unsigned slots_per_bucket = 7;
inline constexpr unsigned slots_per_segment = buckets_per_segment * slots_per_bucket;
inline constexpr unsigned probe_window = 4;  // a key is in its home bucket or in one of the next three
inline constexpr unsigned bucket_shift = 16;
inline constexpr unsigned tag_shift = 24;
inline constexpr unsigned directory_depth_max = 24;  // so that its bits stay clear of the tag's

constexpr unsigned home_bucket(std::uint64_t shard_hash) noexcept {
    return static_cast<unsigned>(shard_hash >> bucket_shift) & (buckets_per_segment - 1);
}
constexpr std::uint64_t directory_entry(std::uint64_t shard_hash, unsigned depth) noexcept {
    return depth == 0 ? 0 : shard_hash >> (64 - depth);
}

// A slot: 16 bits of tag above 48 bits of the block's offset; 0 is free.
inline constexpr unsigned offset_bits = 48;
inline constexpr std::uint64_t offset_mask = (std::uint64_t{1} << offset_bits) - 1;
constexpr std::uint64_t make_slot(std::uint64_t shard_hash, std::uint64_t block) noexcept {
    return ((shard_hash >> tag_shift) << offset_bits) | block;
}
constexpr std::uint64_t slot_block(std::uint64_t slot) noexcept {
    return slot & offset_mask;
}
constexpr std::uint64_t slot_tag(std::uint64_t slot) noexcept {
    return slot >> offset_bits;
}

// A bucket's first word: version in the lower half; above it the number of keys whose home is here but which
// are in one of the next three buckets. If that is 0, no other bucket need be looked at.
constexpr std::uint32_t bucket_version(std::uint64_t meta) noexcept {
    return static_cast<std::uint32_t>(meta);
}
constexpr std::uint32_t bucket_overflow(std::uint64_t meta) noexcept {
    return static_cast<std::uint32_t>(meta >> 32);
}
constexpr std::uint64_t make_bucket_meta(std::uint32_t version, std::uint32_t overflow) noexcept {
    return (std::uint64_t{overflow} << 32) | version;
}

struct alignas(64) Bucket {
    AtomicWord meta;
    AtomicWord slots[slots_per_bucket];
};
static_assert(sizeof(Bucket) == 64 && std::is_standard_layout_v<Bucket>);

struct alignas(64) IndexSegment {
    AtomicWord local_depth;  // how many upper bits of the shard hash all its keys share
    AtomicWord prefix;       // those bits, at the upper end
    std::uint64_t
        index_block;  // offset of the heap block that holds the segment; 0: the first one, outside the heap
    std::uint64_t entries;  // for the writer
    std::uint64_t reserved[4];
    Bucket buckets[buckets_per_segment];
};
static_assert(sizeof(IndexSegment) == 64 + 64 * buckets_per_segment);
static_assert(offsetof(IndexSegment, buckets) == 64);

// The directory's entries are the words that follow; index_root says where they start and how many there are.
struct alignas(64) DirectoryHeader {
    std::uint64_t index_block;  // offset of the heap block that holds the directory; 0: the first one
    std::uint64_t depth;
    std::uint64_t reserved[6];
};
static_assert(sizeof(DirectoryHeader) == 64);

// The root: where the directory's entries start, and its depth above that.
constexpr std::uint64_t make_root(std::uint64_t entries, unsigned depth) noexcept {
    return (std::uint64_t{depth} << offset_bits) | entries;
}
constexpr std::uint64_t root_entries(std::uint64_t root) noexcept {
    return root & offset_mask;
}
constexpr unsigned root_depth(std::uint64_t root) noexcept {
    return static_cast<unsigned>(root >> offset_bits);
}

// A dictionary's directory segment; directory_segment.h has the grammar.
inline constexpr std::uint64_t directory_magic = 0x31'7269'6464'6464ULL;  // "dddir1"
inline constexpr std::uint32_t directory_layout_version = 4;
// In the place of directory_magic when the dictionary has ended, and its pools are kept.
inline constexpr std::uint64_t directory_kept = 0x31'7470'656b'6464ULL;  // "ddkept1"
// Of a slot: multiples of 64.
inline constexpr std::uint64_t directory_slot_bytes_min = 64;
inline constexpr std::uint64_t directory_slot_bytes_max = 64 * 1024;

struct alignas(64) DirectorySegmentHeader {
    AtomicWord ready;  // directory_magic when all is there; written last
    std::uint32_t layout_version;
    std::uint32_t manager_count;
    std::uint64_t dictionary_id;
    std::byte secret[16];
    std::uint64_t bytes;  // of the directory; the segment may be larger
    std::uint32_t ucx_version;
    std::uint32_t local_managers;       // how many of the managers are on this node,
    std::uint32_t first_local_manager;  // and the first of them; the others follow
    std::uint32_t slot_bytes;           // of an entry
};
static_assert(sizeof(DirectorySegmentHeader) == 64 && std::is_standard_layout_v<DirectorySegmentHeader>);
static_assert(offsetof(DirectorySegmentHeader, layout_version) == 8 &&
              offsetof(DirectorySegmentHeader, bytes) == 40);

// PoolHeader::checkpoints: the id of the oldest that is kept in the lower half, of the newest in the upper
// half, and in the two highest bits which array of floors counts, and whether pairs may be transient. 0 until
// a change has come with an id above 0, unless they may.
constexpr std::uint32_t oldest_in(std::uint64_t checkpoints) noexcept {
    return static_cast<std::uint32_t>(checkpoints);
}
constexpr unsigned floors_in(std::uint64_t checkpoints) noexcept {
    return static_cast<unsigned>(checkpoints >> 63);
}
constexpr bool may_be_transient_in(std::uint64_t checkpoints) noexcept {
    return (checkpoints >> 62 & 1) != 0;
}
constexpr std::uint32_t newest_in(std::uint64_t checkpoints) noexcept {
    return static_cast<std::uint32_t>(checkpoints >> 32) & 0x3fff'ffffU;
}

/// The checkpoint that is looked at if this one is asked for. One that is newer than the newest is like that
/// one, unless pairs may be transient: those are not seen there.
constexpr std::uint32_t checkpoint_to_look_at(std::uint32_t asked, std::uint64_t checkpoints) noexcept {
    const bool is_like_newest = asked == limits::newest_checkpoint || !may_be_transient_in(checkpoints);
    return is_like_newest && asked > newest_in(checkpoints) ? newest_in(checkpoints) : asked;
}

// kept: it was left by a manager that has ended with its dictionary, and is to be taken over by another's.
enum class PoolState : std::uint32_t { formatted = 1, attached = 2, kept = 3 };
// How it came that a pool is gone: its manager ended alone, or in good order with its dictionary.
enum class PoolEnd : std::uint64_t { manager = 1, dictionary = 2 };

// PoolHeader::gone: a PoolEnd, or 0 while the pool serves, and above that how many dictionaries it has been
// of before. Whoever has it mapped since one of those serves nothing of it any more.
inline constexpr unsigned life_shift = 8;
constexpr std::uint64_t life_in(std::uint64_t gone) noexcept {
    return gone >> life_shift << life_shift;
}
constexpr std::uint64_t end_in(std::uint64_t gone) noexcept {
    return gone & ((std::uint64_t{1} << life_shift) - 1);
}

struct alignas(64) PoolHeader {
    AtomicWord magic;  // written last by format()
    std::uint32_t layout_version;
    std::uint32_t manager;
    std::uint64_t dictionary_id;
    std::byte secret[16];
    std::uint64_t segment_bytes;
    std::uint64_t heap_offset;
    std::uint64_t heap_bytes;
    std::atomic<std::uint32_t> state;
    std::uint32_t recoveries;   // how often a manager has taken the pool over from one that had been killed
    std::uint32_t working_set;  // WorkingSetSettings::packed()

    // What changes now and then: read by every get.
    alignas(64) AtomicWord index_root;
    AtomicWord structure_epoch;
    AtomicWord gone;  // whether the manager has ended, and what is here is not the dictionary: see life_in()
    AtomicWord freeze_epoch;  // odd while the dictionary is frozen; grows by one when that changes
    AtomicWord checkpoints;   // which are kept: see newest_in()

    // What changes with each write: for show.
    alignas(64) AtomicWord keys;
    AtomicWord free_bytes;
    AtomicWord index_bytes;

    // What only a recovery reads.
    alignas(64) AtomicWord clearing;  // not 0 while everything is being erased
    std::uint64_t is_without_kept;    // not 0: its dictionary was resumed, and had nothing for this manager
    // Of a pool that is not all there: the heap has used nothing from here on. Twice, and the larger one
    // counts: what is too much only takes more memory.
    AtomicWord used_until[2];

    // Of the checkpoint with the id i, at i modulo their number: at it, versions with a lower id are not
    // seen, since everything was erased. `checkpoints` says which of the two arrays counts: so the other one
    // can be written before the set moves, by one store.
    alignas(64) std::atomic<std::uint32_t> floors[2][limits::working_set_max];

    alignas(64) char node[80];  // NUL-terminated
};
static_assert(sizeof(PoolHeader) == 512 && std::is_standard_layout_v<PoolHeader>);
static_assert(offsetof(PoolHeader, layout_version) == 8 && offsetof(PoolHeader, dictionary_id) == 16);
static_assert(offsetof(PoolHeader, state) == 64 && offsetof(PoolHeader, index_root) == 128);
static_assert(offsetof(PoolHeader, gone) == 144 && offsetof(PoolHeader, freeze_epoch) == 152 &&
              offsetof(PoolHeader, checkpoints) == 160);
static_assert(offsetof(PoolHeader, keys) == 192 && offsetof(PoolHeader, node) == 384);

// The directory of depth 0, with its one entry, and the first index segment lie before the heap, so that an
// empty index takes nothing of it.
struct alignas(64) InitialDirectory {
    DirectoryHeader header;
    AtomicWord entry;
};
static_assert(sizeof(InitialDirectory) == 128);

inline constexpr std::uint64_t initial_directory_offset = page_bytes;
inline constexpr std::uint64_t first_segment_offset = initial_directory_offset + sizeof(InitialDirectory);
inline constexpr std::uint64_t heap_start_offset = first_segment_offset + sizeof(IndexSegment);
static_assert(sizeof(PoolHeader) <= page_bytes && first_segment_offset % 64 == 0 &&
              heap_start_offset % 64 == 0);

}  // namespace ddict::shm
