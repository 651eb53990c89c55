// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/index.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "shm/structure_change.h"

namespace ddict::shm {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// The order that readers and recovery rely on (processors other than x86 need more than the compiler's care
// for it). gcc's thread sanitizer does not see fences and says so; nothing is lost, as one process writes
// with one thread.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif
void store_fence() noexcept {
    std::atomic_thread_fence(std::memory_order_release);
}

// A bucket's version is odd between begin_change() and end_change(). The fences also keep the order in which
// the stores reach memory: a block's contents before the slot that leads to it, and the slot that led to a
// block before anything that happens to the block afterwards. Readers rely on that, and so does recovery
// after a kill.
void begin_change(Bucket& bucket) noexcept {
    const std::uint64_t meta = bucket.meta.load(relaxed);
    bucket.meta.store(make_bucket_meta(bucket_version(meta) + 1, bucket_overflow(meta)), relaxed);
    store_fence();
}

void end_change(Bucket& bucket) noexcept {
    store_fence();
    const std::uint64_t meta = bucket.meta.load(relaxed);
    bucket.meta.store(make_bucket_meta(bucket_version(meta) + 1, bucket_overflow(meta)), relaxed);
}

/// Buckets start at multiples of their size.
Bucket& bucket_of(AtomicWord* slot) noexcept {
    return *reinterpret_cast<Bucket*>(reinterpret_cast<std::uintptr_t>(slot) & ~(sizeof(Bucket) - 1));
}

void set_slot(AtomicWord& slot, std::uint64_t value) noexcept {
    Bucket& bucket = bucket_of(&slot);
    begin_change(bucket);
    slot.store(value, relaxed);
    end_change(bucket);
}

void add_overflow(Bucket& home, std::uint32_t difference) noexcept {
    const std::uint64_t meta = home.meta.load(relaxed);
    home.meta.store(make_bucket_meta(bucket_version(meta), bucket_overflow(meta) + difference), relaxed);
}

Bucket& bucket_after(IndexSegment& segment, unsigned home, unsigned distance) noexcept {
    return segment.buckets[(home + distance) % buckets_per_segment];
}

/// The first free slot; slots_per_bucket if there is none.
unsigned free_slot(const Bucket& bucket) noexcept {
    unsigned slot = 0;
    while (slot < slots_per_bucket && bucket.slots[slot].load(relaxed) != 0)
        ++slot;
    return slot;
}

/// Compares a short key without a call of memcmp, which would cost more than comparing. False if the block's
/// is another, and for all long ones.
bool has_short_key(const Block& block, KeyBytes key) noexcept {
    constexpr std::size_t word = sizeof(std::uint64_t);
    const std::size_t bytes = key.size();
    if (block.key_word() != key.word() || bytes > 8 * word) return false;
    const std::byte* a = block.key().data();
    const std::byte* b = key.data();
    const auto differ = [&](std::size_t at) {
        std::uint64_t words[2];
        std::memcpy(&words[0], a + at, word);
        std::memcpy(&words[1], b + at, word);
        return words[0] ^ words[1];
    };
    if (bytes >= 2 * word) {  // two words at a time; the last two may have been looked at in part
        const std::size_t last = bytes - 2 * word;
        for (std::size_t at = 0; at < last; at += 2 * word)
            if ((differ(at) | differ(at + word)) != 0) return false;
        return (differ(last) | differ(last + word)) == 0;
    }
    if (bytes >= word) return (differ(0) | differ(bytes - word)) == 0;
    for (std::size_t at = 0; at < bytes; ++at)
        if (a[at] != b[at]) return false;
    return true;
}

}  // namespace

Index::Index(std::byte* pool, PoolHeader& header, Heap& heap)
    : pool_(pool), header_(header), heap_(heap), bytes_(bytes_when_empty) {
    initialise();
}

void Index::initialise() {
    lay_out_empty(pool_, header_);
    size_ = 0;
    size_max_ = 0;
}

/// Depth 0, and one empty segment. The versions go on, so that no reader takes an old bucket for the same.
void Index::lay_out_empty(std::byte* pool, PoolHeader& header) {
    auto& directory = *reinterpret_cast<InitialDirectory*>(pool + initial_directory_offset);
    directory.header = {};
    auto& segment = *reinterpret_cast<IndexSegment*>(pool + first_segment_offset);
    segment.index_block = 0;
    segment.entries = 0;
    segment.prefix.store(0, relaxed);
    segment.local_depth.store(0, relaxed);
    for (Bucket& bucket : segment.buckets) {
        // It may be odd already, from a kill.
        const std::uint32_t version = (bucket_version(bucket.meta.load(relaxed)) + 1) | 1;
        bucket.meta.store(make_bucket_meta(version, bucket_overflow(bucket.meta.load(relaxed))), relaxed);
        store_fence();
        for (AtomicWord& slot : bucket.slots)
            slot.store(0, relaxed);
        bucket.meta.store(make_bucket_meta(version, 0), relaxed);
        end_change(bucket);
    }
    directory.entry.store(first_segment_offset, relaxed);
    header.index_root.store(make_root(initial_directory_offset + offsetof(InitialDirectory, entry), 0),
                            std::memory_order_release);
}

std::uint64_t Index::shard_hash_of(std::uint64_t block) const {
    return shard_hash(at<Block>(block).hash());
}

Index::Place Index::find(KeyBytes key, std::uint64_t hash) const {
    const std::uint64_t h = shard_hash(hash);
    const std::uint64_t tag = slot_tag(make_slot(h, 0));
    auto& segment = at<IndexSegment>(segment_of(h));
    const unsigned home = home_bucket(h);
    unsigned distance = 0;
    do {
        for (AtomicWord& slot : bucket_after(segment, home, distance).slots) {
            const std::uint64_t word = slot.load(relaxed);
            if (slot_tag(word) != tag || word == 0) continue;
            const auto& block = at<Block>(slot_block(word));
            if (block.hash() != hash) continue;
            if (!has_short_key(block, key)) return find_among_alike(key, hash);
            return {.slot = &slot, .block = slot_block(word)};
        }
    } while (bucket_overflow(segment.buckets[home].meta.load(relaxed)) != 0 && ++distance < probe_window);
    return {};
}

/// Calls f(slot, offset of the block) for each pair with this hash, until it is true.
template <class F>
void Index::find_alike(std::uint64_t hash, F f) const {
    const std::uint64_t h = shard_hash(hash);
    auto& segment = at<IndexSegment>(segment_of(h));
    for (unsigned distance = 0; distance < probe_window; ++distance) {
        for (AtomicWord& slot : bucket_after(segment, home_bucket(h), distance).slots) {
            const std::uint64_t word = slot.load(relaxed);
            if (word == 0 || slot_tag(word) != slot_tag(make_slot(h, 0))) continue;
            const std::uint64_t block = slot_block(word);
            if (at<Block>(block).hash() == hash && f(slot, block)) return;
        }
    }
}

/// The first pair of this key that is wanted.
template <class F>
Index::Place Index::find_pair(KeyBytes key, std::uint64_t hash, F is_wanted) const {
    Place place;
    find_alike(hash, [&](AtomicWord& slot, std::uint64_t offset) {
        const auto& block = at<Block>(offset);
        if (block.key() != key || !is_wanted(block)) return false;
        place = {.slot = &slot, .block = offset};
        return true;
    });
    return place;
}

/// There is a key with the same 64 bits of hash: this one, if it is long; else another, which is rare.
Index::Place Index::find_among_alike(KeyBytes key, std::uint64_t hash) const {
    return find_pair(key, hash, [](const Block&) { return true; });
}

Index::Place Index::find(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint) const {
    return find_pair(key, hash, [&](const Block& block) { return block.checkpoint() == checkpoint; });
}

void Index::gather_versions(KeyBytes key, std::uint64_t hash, Versions& out) const {
    out.clear();
    find_alike(hash, [&](const AtomicWord&, std::uint64_t offset) {
        const auto& block = at<Block>(offset);
        if (block.key() == key) out.add(version_of(block, offset));
        return false;
    });
}

std::vector<std::uint64_t> Index::blocks_of(std::uint64_t hash) const {
    std::vector<std::uint64_t> blocks;
    find_alike(hash, [&](const AtomicWord&, std::uint64_t offset) {
        blocks.push_back(offset);
        return false;
    });
    return blocks;
}

Index::Place Index::slot_of(std::uint64_t block, std::uint64_t hash) const {
    const std::uint64_t h = shard_hash(hash);
    auto& segment = at<IndexSegment>(segment_of(h));
    for (unsigned distance = 0; distance < probe_window; ++distance) {
        for (AtomicWord& slot : bucket_after(segment, home_bucket(h), distance).slots)
            if (slot.load(relaxed) == make_slot(h, block)) return {.slot = &slot, .block = block};
    }
    return {};
}

void Index::prefetch_block(std::uint64_t hash) const {
    const std::uint64_t h = shard_hash(hash);
    const std::uint64_t tag = slot_tag(make_slot(h, 0));
    const Bucket& bucket = at<IndexSegment>(segment_of(h)).buckets[home_bucket(h)];
    // (A free slot leads to the pool's beginning, which does no harm.)
#pragma GCC unroll 7
    for (const AtomicWord& slot : bucket.slots) {
        const std::uint64_t word = slot.load(relaxed);
        if (slot_tag(word) == tag) __builtin_prefetch(&at<Block>(slot_block(word)));
    }
}

bool Index::insert(std::uint64_t block, std::uint64_t hash) {
    const std::uint64_t h = shard_hash(hash);
    moved_by_this_insertion_ = 0;
    // The index need not become larger than it was when it held as many keys: the same keys put once more, in
    // any order, find space in it.
    const bool may_grow = size_ >= size_max_;
    if (may_grow && at<IndexSegment>(segment_of(h)).entries >= entries_before_split) split_segment_of(h);
    for (;;) {
        auto& segment = at<IndexSegment>(segment_of(h));
        if (store(segment, block, h) ||
            (move_together(segment, home_bucket(h)) && store(segment, block, h))) {
            ++segment.entries;
            size_max_ = std::max(size_max_, ++size_);
            return true;
        }
        if (depth_that_helps(segment, h) > directory_depth_max || !split_segment_of(h)) return false;
    }
}

bool Index::store(IndexSegment& segment, std::uint64_t block, std::uint64_t shard_hash) {
    const unsigned home = home_bucket(shard_hash);
    for (unsigned distance = 0; distance < probe_window; ++distance) {
        Bucket& bucket = bucket_after(segment, home, distance);
        const unsigned slot = free_slot(bucket);
        if (slot == slots_per_bucket) continue;
        if (distance != 0) add_overflow(segment.buckets[home], 1);  // first, so that readers look further
        set_slot(bucket.slots[slot], make_slot(shard_hash, block));
        return true;
    }
    return false;
}

void Index::replace(const Place& place, std::uint64_t block) {
    set_slot(*place.slot, (place.slot->load(relaxed) & ~offset_mask) | block);  // of the same tag
}

void Index::erase(const Place& place, std::uint64_t hash) {
    const std::uint64_t h = shard_hash(hash);
    auto& segment = at<IndexSegment>(segment_of(h));
    Bucket& home = segment.buckets[home_bucket(h)];
    set_slot(*place.slot, 0);
    if (&bucket_of(place.slot) != &home) add_overflow(home, ~std::uint32_t{0});
    --segment.entries;
    if (--size_ == 0 && root_depth(root()) != 0) {
        const StructureChange change(header_);
        start_anew();
    }
}

/// The old parts stay as they are until their memory is used again: a reader who is inside one finds out
/// that the structure has changed.
void Index::clear() {
    const StructureChange change(header_);
    initialise();
    bytes_ = bytes_when_empty;
}

std::uint64_t Index::growth_bytes_max() const noexcept {
    const std::uint64_t entries = std::uint64_t{2} << root_depth(root());
    return std::max(sizeof(IndexSegment), sizeof(DirectoryHeader) + 8 * entries) + part_slack;
}

/// Requires that all slots are free, and a StructureChange, since readers may still be inside. First the root
/// is exchanged, then what nothing leads to any more is freed: after a kill in between, all that is reached
/// is sound.
void Index::start_anew() {
    const std::uint64_t old_root = root();
    initialise();
    std::uint64_t last = 0;
    for (std::uint64_t entry = 0; entry >> root_depth(old_root) == 0; ++entry) {
        const std::uint64_t segment = at<AtomicWord>(root_entries(old_root) + 8 * entry).load(relaxed);
        if (segment != last) free(at<IndexSegment>(segment).index_block);
        last = segment;
    }
    free(at<DirectoryHeader>(root_entries(old_root) - sizeof(DirectoryHeader)).index_block);
}

void Index::gather(std::uint64_t shard_hash, SegmentEntries& out) const {
    const auto& segment = at<IndexSegment>(segment_of(shard_hash));
    out.count = 0;
    for (const Bucket& bucket : segment.buckets) {
        for (const AtomicWord& slot : bucket.slots) {
            const std::uint64_t block = slot_block(slot.load(relaxed));
            if (block == 0) continue;
            const std::uint64_t h = shard_hash_of(block);
            if (h >= shard_hash) out.entries[out.count++] = {.shard_hash = h, .block = block};
        }
    }
    const auto depth = static_cast<unsigned>(segment.local_depth.load(relaxed));
    out.last_shard_hash = segment.prefix.load(relaxed) | (~std::uint64_t{0} >> depth);
}

/// The least depth at which a segment no longer holds both this hash and all that fill its window now.
/// Splitting does not help if that is more than the directory can have: then too many hashes are alike.
unsigned Index::depth_that_helps(const IndexSegment& segment, std::uint64_t shard_hash) const {
    unsigned least = 65;
    for (unsigned distance = 0; distance < probe_window; ++distance) {
        const unsigned bucket = (home_bucket(shard_hash) + distance) % buckets_per_segment;
        for (const AtomicWord& slot : segment.buckets[bucket].slots) {
            const std::uint64_t other = shard_hash_of(slot_block(slot.load(relaxed)));
            least = std::min(least, static_cast<unsigned>(std::countl_zero(other ^ shard_hash)) + 1);
        }
    }
    return least;
}

/// One split, and before it a doubling of the directory if need be. False if there is no space for that.
bool Index::split_segment_of(std::uint64_t shard_hash) {
    const std::uint64_t offset = segment_of(shard_hash);
    const std::uint64_t depth = at<IndexSegment>(offset).local_depth.load(relaxed);
    if (depth >= directory_depth_max) return false;
    if (depth == root_depth(root()) && !double_directory()) return false;
    return split(offset);
}

/// The window of this home bucket is full. Moves entries to other buckets of their own windows, along the
/// shortest chain of moves that ends in a free slot, so that one in this window becomes free. False if there
/// is no such chain. Looks at each bucket of the segment once at the most.
bool Index::move_together(IndexSegment& segment, unsigned home) {
    struct Origin {
        bool seen = false;
        bool in_window = false;
        unsigned bucket = 0;  // whose entry
        unsigned slot = 0;    // at this place would move here
    };
    Origin origins[buckets_per_segment];
    unsigned queue[buckets_per_segment];
    unsigned queued = 0;
    for (unsigned distance = 0; distance < probe_window; ++distance) {
        queue[queued] = (home + distance) % buckets_per_segment;
        origins[queue[queued++]] = {.seen = true, .in_window = true};
    }
    for (unsigned next = 0; next < queued; ++next) {
        const unsigned from = queue[next];
        for (unsigned slot = 0; slot < slots_per_bucket; ++slot) {
            const std::uint64_t block = slot_block(segment.buckets[from].slots[slot].load(relaxed));
            const unsigned home_of_entry = home_bucket(shard_hash_of(block));
            for (unsigned distance = 0; distance < probe_window; ++distance) {
                unsigned to = (home_of_entry + distance) % buckets_per_segment;
                if (origins[to].seen) continue;
                origins[to] = {.seen = true, .in_window = false, .bucket = from, .slot = slot};
                queue[queued++] = to;
                if (free_slot(segment.buckets[to]) == slots_per_bucket) continue;
                for (; !origins[to].in_window; to = origins[to].bucket)
                    move_entry(segment, origins[to].bucket, origins[to].slot, to);
                return true;
            }
        }
    }
    return false;
}

/// Both buckets and the entry's home are marked as changing meanwhile, so that a reader who sees the entry in
/// neither place does not take that for a miss.
void Index::move_entry(IndexSegment& segment, unsigned from, unsigned slot, unsigned to) {
    Bucket& source = segment.buckets[from];
    Bucket& target = segment.buckets[to];
    const std::uint64_t entry = source.slots[slot].load(relaxed);
    Bucket& home = segment.buckets[home_bucket(shard_hash_of(slot_block(entry)))];
    const bool home_apart = &home != &source && &home != &target;
    begin_change(source);
    begin_change(target);
    if (home_apart) begin_change(home);
    if (&source == &home) add_overflow(home, 1);
    target.slots[free_slot(target)].store(entry, relaxed);
    store_fence();
    source.slots[slot].store(0, relaxed);
    if (&target == &home) add_overflow(home, ~std::uint32_t{0});
    if (home_apart) end_change(home);
    end_change(target);
    end_change(source);
}

bool Index::double_directory() {
    const std::uint64_t old_root = root();
    const unsigned depth = root_depth(old_root) + 1;
    const std::uint64_t count = std::uint64_t{1} << depth;
    std::uint64_t index_block = 0;
    const std::uint64_t offset = allocate(sizeof(DirectoryHeader) + 8 * count, index_block);
    if (offset == 0) return false;
    auto& header = at<DirectoryHeader>(offset);
    header = {};
    header.index_block = index_block;
    header.depth = depth;
    const std::uint64_t entries = offset + sizeof(DirectoryHeader);
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t segment = at<AtomicWord>(root_entries(old_root) + 8 * (i / 2)).load(relaxed);
        at<AtomicWord>(entries + 8 * i).store(segment, relaxed);
    }
    {
        const StructureChange change(header_);
        header_.index_root.store(make_root(entries, depth), std::memory_order_release);
    }
    free(at<DirectoryHeader>(root_entries(old_root) - sizeof(DirectoryHeader)).index_block);
    ++growth_.doublings;
    return true;
}

/// Each entry keeps its bucket and slot number, in the old segment or in the new one: so there is always
/// space, and what moves is told from what stays by looking at one place.
bool Index::split(std::uint64_t segment_offset) {
    auto& old_segment = at<IndexSegment>(segment_offset);
    const auto depth = static_cast<unsigned>(old_segment.local_depth.load(relaxed));
    std::uint64_t index_block = 0;
    const std::uint64_t offset = allocate(sizeof(IndexSegment), index_block);
    if (offset == 0) return false;
    auto& new_segment = at<IndexSegment>(offset);
    std::memset(pool_ + offset, 0, sizeof(IndexSegment));
    new_segment.index_block = index_block;
    new_segment.local_depth.store(depth + 1, relaxed);
    const std::uint64_t side = std::uint64_t{1} << (63 - depth);
    new_segment.prefix.store(old_segment.prefix.load(relaxed) | side, relaxed);

    std::uint8_t old_overflow[buckets_per_segment] = {};
    std::uint8_t new_overflow[buckets_per_segment] = {};
    std::uint64_t moved = 0;
    for (unsigned b = 0; b < buckets_per_segment; ++b) {
        for (unsigned i = 0; i < slots_per_bucket; ++i) {
            const std::uint64_t slot = old_segment.buckets[b].slots[i].load(relaxed);
            if (slot == 0) continue;
            const std::uint64_t h = shard_hash_of(slot_block(slot));
            const bool moves = (h & side) != 0;
            if (home_bucket(h) != b) ++(moves ? new_overflow : old_overflow)[home_bucket(h)];
            if (!moves) continue;
            new_segment.buckets[b].slots[i].store(slot, relaxed);
            ++moved;
        }
    }
    for (unsigned b = 0; b < buckets_per_segment; ++b)
        new_segment.buckets[b].meta.store(make_bucket_meta(0, new_overflow[b]), relaxed);

    new_segment.entries = moved;
    publish_split(offset, new_segment.prefix.load(relaxed), depth + 1);
    take_out_moved(old_segment, new_segment, old_overflow);
    old_segment.local_depth.store(depth + 1, relaxed);
    old_segment.entries -= moved;
    ++growth_.splits;
    moved_by_this_insertion_ += moved;
    growth_.entries_moved_max = std::max(growth_.entries_moved_max, moved_by_this_insertion_);
    return true;
}

void Index::publish_split(std::uint64_t new_segment, std::uint64_t prefix, unsigned new_depth) {
    const std::uint64_t r = root();
    const std::uint64_t first = directory_entry(prefix, root_depth(r));
    const std::uint64_t count = std::uint64_t{1} << (root_depth(r) - new_depth);
    for (std::uint64_t entry = first; entry < first + count; ++entry)
        at<AtomicWord>(root_entries(r) + 8 * entry).store(new_segment, std::memory_order_release);
}

void Index::take_out_moved(IndexSegment& old_segment, const IndexSegment& new_segment,
                           const std::uint8_t* overflow) {
    for (unsigned b = 0; b < buckets_per_segment; ++b) {
        Bucket& bucket = old_segment.buckets[b];
        begin_change(bucket);
        for (unsigned i = 0; i < slots_per_bucket; ++i)
            if (new_segment.buckets[b].slots[i].load(relaxed) != 0) bucket.slots[i].store(0, relaxed);
        bucket.meta.store(make_bucket_meta(bucket_version(bucket.meta.load(relaxed)), overflow[b]), relaxed);
        end_change(bucket);
    }
}

std::uint64_t Index::allocate(std::uint64_t bytes, std::uint64_t& index_block) {
    index_block = heap_.allocate(bytes + part_slack, Heap::Side::back);
    if (index_block == 0) return 0;
    at<std::uint64_t>(index_block) |= block_word::index;
    bytes_ += heap_.block_bytes(index_block);
    return part_offset(index_block);
}

void Index::free(std::uint64_t index_block) {
    if (index_block == 0) return;  // the first directory and the first segment are not in the heap
    bytes_ -= heap_.block_bytes(index_block);
    heap_.free(index_block);
}

}  // namespace ddict::shm
