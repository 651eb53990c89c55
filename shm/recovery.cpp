// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/recovery.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "base/hash.h"
#include "base/limits.h"

namespace ddict::shm {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// PoolHeader::clearing
constexpr std::uint64_t clear_has_begun = 1;
constexpr std::uint64_t rebuild_has_begun = 2;

// How many blocks are fetched into the cache ahead of those that are looked at.
constexpr std::size_t prefetch_distance = 24;
constexpr std::uint64_t cache_line_bytes = 64;
constexpr std::size_t threads_max = 4;
// A thread is to have more than a hundred thousand pairs, which take it some ten milliseconds.
constexpr std::size_t segments_per_thread_min = 128;

void fence() noexcept {
    std::atomic_thread_fence(std::memory_order_release);
}

bool is_run(std::uint64_t first, std::uint64_t count) noexcept {
    return std::has_single_bit(count) && first % count == 0;
}

}  // namespace

BlockMap::Words BlockMap::zeros(std::uint64_t words) {
    Words memory(static_cast<std::uint64_t*>(std::calloc(words, sizeof(std::uint64_t))));
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

BlockMap::BlockMap(std::uint64_t begin, std::uint64_t end)
    : begin_(begin),
      words_((end - begin) / block_alignment / 64 + 1),
      map_(zeros(words_)),
      summary_(zeros(words_ / 64 + 1)) {}

bool BlockMap::insert(std::uint64_t block) noexcept {
    const std::uint64_t bit = (block - begin_) / block_alignment;
    const std::uint64_t mask = std::uint64_t{1} << (bit % 64);
    const std::uint64_t before = std::atomic_ref(map_[bit / 64]).fetch_or(mask, relaxed);
    if (before == 0)
        std::atomic_ref(summary_[bit / 4096]).fetch_or(std::uint64_t{1} << (bit / 64 % 64), relaxed);
    return (before & mask) == 0;
}

void BlockMap::erase(std::uint64_t block) noexcept {
    const std::uint64_t bit = (block - begin_) / block_alignment;
    map_[bit / 64] &= ~(std::uint64_t{1} << (bit % 64));
}

bool BlockMap::contains(std::uint64_t block) const noexcept {
    const std::uint64_t bit = (block - begin_) / block_alignment;
    return block >= begin_ && bit / 64 < words_ && ((map_[bit / 64] >> (bit % 64)) & 1) != 0;
}

std::uint64_t BlockMap::next(std::uint64_t from) const noexcept {
    const std::uint64_t bit = (from - begin_) / block_alignment;
    std::uint64_t index = bit / 64;
    if (index >= words_) return 0;
    std::uint64_t word = map_[index] & (~std::uint64_t{0} << (bit % 64));
    if (word == 0) {
        ++index;
        std::uint64_t group = index / 64;
        const std::uint64_t groups = words_ / 64 + 1;
        if (group >= groups) return 0;
        std::uint64_t full = summary_[group] & (~std::uint64_t{0} << (index % 64));
        while (word == 0) {
            while (full == 0) {
                if (++group == groups) return 0;
                full = summary_[group];
            }
            index = 64 * group + static_cast<unsigned>(std::countr_zero(full));
            word = map_[index];  // 0 if what was there has been erased
            full &= full - 1;
        }
    }
    return begin_ + (64 * index + static_cast<unsigned>(std::countr_zero(word))) * block_alignment;
}

Recovery::Recovery(std::byte* pool, PoolHeader& header, std::uint64_t heap_end)
    : pool_(pool),
      header_(header),
      heap_begin_(header.heap_offset),
      heap_end_(heap_end),
      blocks_(heap_begin_, heap_end_) {}

bool Recovery::repair_index(RecoveryReport& report) {
    const std::uint64_t epoch = header_.structure_epoch.load(relaxed);
    header_.structure_epoch.store(epoch | 1, relaxed);
    fence();
    const std::uint64_t keys_before = header_.keys.load(relaxed);
    const std::uint64_t begun = header_.clearing.load(relaxed);
    if (begun == rebuild_has_begun) return false;
    if (begun == clear_has_begun) {
        lay_out_empty();
        header_.keys.store(0, relaxed);  // as long as the clear counts as begun: none of them is missing
        fence();
    } else {
        if (!read_root() || !collect_segments()) return false;
        if (assign_entries() && assign_runs()) {
            repair_segments();
        } else {
            for (const Part& part : segments_)
                gather_segment(part.offset);
            rebuilds_ = all_.pairs != 0;
            all_.unsound += rebuilds_ ? 1 : 0;
        }
        if (rebuilds_) {
            header_.clearing.store(rebuild_has_begun, relaxed);
            fence();
        }
        if (rebuilds_ || all_.pairs == 0) lay_out_empty();
    }
    report.unsound = all_.unsound;
    // What was being put or erased may or may not have been counted.
    report.missing = begun == 0 && keys_before > all_.pairs + 1 ? keys_before - all_.pairs : 0;
    return true;
}

/// Where the directory is.
bool Recovery::read_root() {
    const std::uint64_t root = header_.index_root.load(relaxed);
    entries_ = root_entries(root);
    depth_ = root_depth(root);
    if (depth_ > directory_depth_max) return false;
    const std::uint64_t bytes = sizeof(DirectoryHeader) + (std::uint64_t{8} << depth_);
    if (!is_part(entries_ - sizeof(DirectoryHeader), bytes, initial_directory_offset)) return false;
    return entries_ - sizeof(DirectoryHeader) != initial_directory_offset || depth_ == 0;
}

bool Recovery::is_part(std::uint64_t offset, std::uint64_t bytes,
                       std::uint64_t initial_offset) const noexcept {
    return offset == initial_offset ||
           (offset % 64 == 0 && offset > heap_begin_ && inside_heap(offset, bytes));
}

/// All segments that the directory mentions. False if there are none.
bool Recovery::collect_segments() {
    const std::uint64_t count = std::uint64_t{1} << depth_;
    std::vector<std::uint64_t> offsets;
    std::uint64_t last = 0;
    for (std::uint64_t entry = 0; entry < count; ++entry) {
        const std::uint64_t offset = at<AtomicWord>(entries_ + 8 * entry).load(relaxed);
        if (offset == last) continue;
        last = offset;
        if (is_part(offset, sizeof(IndexSegment), first_segment_offset)) offsets.push_back(offset);
    }
    std::sort(offsets.begin(), offsets.end());
    offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
    for (const std::uint64_t offset : offsets) {
        if (!segments_.empty() && offset - segments_.back().offset < sizeof(IndexSegment)) continue;
        const auto& segment = at<IndexSegment>(offset);
        const std::uint64_t depth = std::min<std::uint64_t>(segment.local_depth.load(relaxed), 64);
        segments_.push_back({offset, segment.prefix.load(relaxed), static_cast<unsigned>(depth)});
    }
    return !segments_.empty();
}

/// Each entry of the directory is of the deepest segment that says so. False if one is of none.
bool Recovery::assign_entries() {
    const std::uint64_t count = std::uint64_t{1} << depth_;
    const std::uint64_t bits = depth_ == 0 ? 0 : ~std::uint64_t{0} << (64 - depth_);
    const std::uint64_t begin = entries_ - sizeof(DirectoryHeader);
    const std::uint64_t end = entries_ + 8 * count;
    assigned_.assign(count, 0);
    std::sort(segments_.begin(), segments_.end(),
              [](const Part& a, const Part& b) { return a.depth < b.depth; });
    for (const Part& part : segments_) {
        if (part.depth > depth_ || (part.prefix & ~bits) != 0) return false;
        if (part.offset < end && begin < part.offset + sizeof(IndexSegment)) return false;
        const std::uint64_t covered = count >> part.depth;
        const std::uint64_t first = directory_entry(part.prefix, depth_);
        if (!is_run(first, covered)) return false;
        std::fill_n(assigned_.begin() + static_cast<std::ptrdiff_t>(first), covered, part.offset);
    }
    return std::find(assigned_.begin(), assigned_.end(), 0) == assigned_.end();
}

/// What each segment has in the end must be one run of entries, a power of two long; then directory and
/// segments are made to say so. False if it is not so.
bool Recovery::assign_runs() {
    std::vector<Part> runs;
    for (std::uint64_t first = 0; first < assigned_.size();) {
        std::uint64_t end = first + 1;
        while (end < assigned_.size() && assigned_[end] == assigned_[first])
            ++end;
        if (!is_run(first, end - first)) return false;
        const unsigned depth = depth_ - static_cast<unsigned>(std::countr_zero(end - first));
        runs.push_back({assigned_[first], depth_ == 0 ? 0 : first << (64 - depth_), depth});
        first = end;
    }
    if (runs.size() != segments_.size()) return false;
    segments_ = std::move(runs);
    for (std::uint64_t entry = 0; entry < assigned_.size(); ++entry)
        at<AtomicWord>(entries_ + 8 * entry).store(assigned_[entry], relaxed);
    fence();
    const std::uint64_t directory = entries_ - sizeof(DirectoryHeader);
    auto& header = at<DirectoryHeader>(directory);
    header.depth = depth_;
    if (directory != initial_directory_offset)
        header.index_block = add_part(directory, header.index_block,
                                      sizeof(DirectoryHeader) + (std::uint64_t{8} << depth_), all_.parts);
    return true;
}

/// Whether a pair may be here.
bool Recovery::sound(std::uint64_t block) const noexcept {
    if (block % block_alignment != 0 || !inside_heap(block, sizeof(Block))) return false;
    const auto& b = at<Block>(block);
    if (b.key_bytes() - 1 >= limits::key_bytes_max || b.value_bytes() > limits::value_bytes_max ||
        (b.is_gone() && b.value_bytes() != 0) || static_cast<std::uint8_t>(b.placed_by()) > placed_by_last)
        return false;
    // What is free before the first block is never too small for a block.
    return b.check_is_right() && inside_heap(block, pair_bytes(block)) &&
           block != heap_begin_ + block_alignment && hash_of(b.key()) == b.hash();
}

std::uint64_t Recovery::pair_bytes(std::uint64_t block) const noexcept {
    const auto& b = at<Block>(block);
    return Block::bytes_with_trailers(b.key_bytes(), b.value_bytes(), b.trailers());
}

/// Calls f(bucket, slot, word) for each slot that is not free, and fetches what f looks at ahead: a block,
/// whose key may reach into a second cache line, and its place in the map.
template <class F>
void for_each_slot(std::byte* pool, const BlockMap& blocks, IndexSegment& segment, F f) {
    const auto slot_at = [&](std::size_t i) -> AtomicWord& {
        return segment.buckets[i / slots_per_bucket].slots[i % slots_per_bucket];
    };
    for (std::size_t i = 0; i < slots_per_segment; ++i) {
        if (i + prefetch_distance < slots_per_segment) {
            const std::uint64_t ahead = slot_block(slot_at(i + prefetch_distance).load(relaxed));
            if (ahead != 0) {
                __builtin_prefetch(pool + ahead);
                __builtin_prefetch(pool + ahead + cache_line_bytes - 1);
                blocks.prefetch(ahead);
            }
        }
        AtomicWord& slot = slot_at(i);
        if (const std::uint64_t word = slot.load(relaxed); word != 0)
            f(static_cast<unsigned>(i / slots_per_bucket), slot, word);
    }
}

/// Each segment is repaired by one thread. What two of them lead to in common is in only one of them right,
/// and each thread sees by the block's hash in which.
void Recovery::repair_segments() {
    std::atomic<std::size_t> next{0};
    std::atomic<bool> out_of_memory{false};
    const auto repair_some = [&](Findings& findings) noexcept {
        try {
            for (std::size_t i = next++; i < segments_.size(); i = next++)
                repair_segment(segments_[i], findings);
        } catch (const std::bad_alloc&) {
            out_of_memory = true;
        }
    };
    const std::size_t useful = std::min<std::size_t>(
        {std::thread::hardware_concurrency(), threads_max, segments_.size() / segments_per_thread_min});
    std::vector<Findings> of_threads(std::max<std::size_t>(useful, 1));
    {
        std::vector<std::jthread> others;
        others.reserve(of_threads.size());
        try {
            for (std::size_t i = 1; i < of_threads.size(); ++i)
                others.emplace_back(repair_some, std::ref(of_threads[i]));
        } catch (const std::system_error&) {  // no thread is to be had: those that are here do it all
        }
        repair_some(of_threads.front());
    }
    if (out_of_memory) throw std::bad_alloc();
    for (Findings& one : of_threads)
        take(std::move(one));
}

void Recovery::take(Findings&& findings) {
    all_.parts.insert(all_.parts.end(), findings.parts.begin(), findings.parts.end());
    all_.marked.insert(all_.marked.end(), findings.marked.begin(), findings.marked.end());
    all_.with_ttl.insert(all_.with_ttl.end(), findings.with_ttl.begin(), findings.with_ttl.end());
    all_.pairs += findings.pairs;
    all_.unsound += findings.unsound;
}

/// All that this segment has from now on are the hashes that begin like `prefix`, as many bits as `depth`
/// says.
void Recovery::repair_segment(const Part& part, Findings& findings) {
    const std::uint64_t offset = part.offset;
    const std::uint64_t prefix = part.prefix;
    const unsigned depth = part.depth;
    auto& segment = at<IndexSegment>(offset);
    const bool is_split = segment.local_depth.load(relaxed) != depth;
    std::array<std::uint32_t, buckets_per_segment> overflow{};
    std::uint64_t entries = 0;
    for_each_slot(pool_, blocks_, segment, [&](unsigned bucket, AtomicWord& slot, std::uint64_t word) {
        const std::uint64_t block = slot_block(word);
        if (!sound(block)) {
            ++findings.unsound;
            slot.store(0, relaxed);
            return;
        }
        const std::uint64_t h = shard_hash(at<Block>(block).hash());
        const bool leads_here = depth == 0 || ((h ^ prefix) >> (64 - depth)) == 0;
        const unsigned distance = (bucket - home_bucket(h)) % buckets_per_segment;
        const bool in_place = slot_tag(word) == slot_tag(make_slot(h, 0)) && distance < probe_window;
        if (!leads_here || !in_place || !blocks_.insert(block)) {
            // Copies are left behind by a split, and by a move into or out of a bucket that is changing.
            const bool changes = (segment.buckets[bucket].meta.load(relaxed) & 1) != 0;
            const bool is_left_behind = leads_here ? in_place && changes : is_split;
            if (!is_left_behind) ++findings.unsound;
            slot.store(0, relaxed);
            return;
        }
        ++entries;
        if (distance != 0) ++overflow[home_bucket(h)];
        if (at<Block>(block).is_marked()) findings.marked.push_back(block);
        if (at<Block>(block).has_ttl()) findings.with_ttl.push_back(block);
    });
    for (unsigned b = 0; b < buckets_per_segment; ++b) {
        const std::uint32_t version = bucket_version(segment.buckets[b].meta.load(relaxed));
        segment.buckets[b].meta.store(make_bucket_meta((version + 2) & ~std::uint32_t{1}, overflow[b]),
                                      relaxed);
    }
    segment.local_depth.store(depth, relaxed);
    segment.prefix.store(prefix, relaxed);
    segment.entries = entries;
    findings.pairs += entries;
    if (offset != first_segment_offset)
        segment.index_block = add_part(offset, segment.index_block, sizeof(IndexSegment), findings.parts);
}

void Recovery::gather_segment(std::uint64_t offset) {
    for_each_slot(pool_, blocks_, at<IndexSegment>(offset), [&](unsigned, AtomicWord&, std::uint64_t word) {
        const std::uint64_t block = slot_block(word);
        if (!sound(block) || slot_tag(word) != slot_tag(make_slot(shard_hash(at<Block>(block).hash()), 0))) {
            ++all_.unsound;
        } else if (blocks_.insert(block)) {
            ++all_.pairs;
            if (at<Block>(block).is_marked()) all_.marked.push_back(block);
            if (at<Block>(block).has_ttl()) all_.with_ttl.push_back(block);
        }
    });
}

/// Returns where the block is in truth.
std::uint64_t Recovery::add_part(std::uint64_t offset, std::uint64_t index_block, std::uint64_t bytes,
                                 std::vector<Heap::Used>& parts) const {
    std::uint64_t size = align_up(bytes + Index::part_slack);
    // Its word was written before anything led to it, and stays but for one bit.
    const auto has_its_word = [&] {
        const std::uint64_t word = at<std::uint64_t>(index_block);
        const std::uint64_t in_word = word & block_word::size_mask;
        return (word & block_word::index) != 0 && (in_word == size || in_word == size + block_alignment);
    };
    const bool is_right = index_block % block_alignment == 0 && index_block < offset &&
                          inside_heap(index_block, size) && Index::part_offset(index_block) == offset &&
                          has_its_word();
    if (!is_right) {
        index_block = offset - block_alignment;
        size = block_alignment + align_up(bytes);
    }
    parts.push_back({index_block, size, block_word::index});
    return index_block;
}

void Recovery::lay_out_empty() {
    all_.parts.clear();
    Index::lay_out_empty(pool_, header_);
}

void Recovery::answer(std::span<Claim> claims) {
    for (Claim& claim : claims)
        claim.visible = blocks_.contains(claim.block);
    for (Claim& claim : claims) {
        claim.held = !claim.visible && claim.hold && sound(claim.block) && blocks_.insert(claim.block);
        if (claim.held) held_.push_back(claim.block);
    }
    std::sort(held_.begin(), held_.end());
    std::sort(all_.parts.begin(), all_.parts.end(),
              [](const Heap::Used& a, const Heap::Used& b) { return a.offset < b.offset; });
    next_block_ = blocks_.next(heap_begin_);
    look_ahead();
}

bool Recovery::is_held(std::uint64_t block) const noexcept {
    return std::binary_search(held_.begin(), held_.end(), block);
}

/// What is in use next, in the order of offsets.
void Recovery::look_ahead() {
    const bool has_part = next_part_ < all_.parts.size();
    if (next_block_ == 0 && !has_part) {
        ahead_ = {};
    } else if (next_block_ == 0 || (has_part && all_.parts[next_part_].offset <= next_block_)) {
        ahead_ = all_.parts[next_part_++];
    } else {
        const std::uint64_t block = next_block_;
        next_block_ = blocks_.next(block + block_alignment);
        if (next_block_ != 0) __builtin_prefetch(pool_ + next_block_);
        ahead_ = {block, pair_bytes(block), is_held(block) ? block_word::pin : block_word::visible};
    }
}

/// Where two overlap, the first is wrong about its length, or the index is right.
bool Recovery::next(Heap::Used& used) {
    for (;;) {
        used = ahead_;
        if (used.bytes == 0) return false;
        look_ahead();
        while (ahead_.bytes != 0 && ahead_.offset < used.offset + used.bytes &&
               (used.flags & block_word::index) != 0) {
            if ((ahead_.flags & block_word::index) != 0) {
                used.bytes = ahead_.offset - used.offset;
                return true;
            }
            drop(ahead_.offset);
            look_ahead();
        }
        if (ahead_.bytes == 0 || ahead_.offset >= used.offset + used.bytes) return true;
        drop(used.offset);
    }
}

void Recovery::drop(std::uint64_t block) {
    blocks_.erase(block);
    overlapping_.push_back({block, at<Block>(block).hash()});
}

Index::Found Recovery::found(const Heap& heap) const {
    Index::Found found{.keys = rebuilds_ ? 0 : all_.pairs, .bytes = Index::bytes_when_empty};
    for (const Heap::Used& part : all_.parts)
        found.bytes += heap.block_bytes(part.offset);
    return found;
}

void Recovery::finish(Index& index, std::span<Claim> claims, const std::function<void(std::uint64_t)>& free,
                      RecoveryReport& report) {
    for (const Overlapping& one : overlapping_) {
        ++report.unsound;
        if (const Index::Place place = index.slot_of(one.block, one.hash)) index.erase(place, one.hash);
    }
    for (Claim& claim : claims)
        claim.held = claim.held && blocks_.contains(claim.block);
    for (std::uint64_t block = rebuilds_ ? blocks_.next(heap_begin_) : 0; block != 0;
         block = blocks_.next(block + block_alignment)) {
        const auto& b = at<Block>(block);
        if (is_held(block) ||
            (!index.find(b.key(), b.hash(), b.checkpoint()) && index.insert(block, b.hash())))
            continue;
        ++report.missing;
        blocks_.erase(block);
        free(block);
    }
    report.missing = std::max(report.missing, report.unsound);
    report.pairs = index.size();
    for (const std::uint64_t block : all_.marked)
        if (blocks_.contains(block)) report.marked.push_back(&at<Block>(block));
    for (const std::uint64_t block : all_.with_ttl)
        if (blocks_.contains(block) && !is_held(block)) report.with_ttl.push_back(&at<Block>(block));
    header_.clearing.store(0, relaxed);
    header_.gone.store(life_in(header_.gone.load(relaxed)), relaxed);
    fence();
    header_.structure_epoch.store(header_.structure_epoch.load(relaxed) + 1, relaxed);
}

}  // namespace ddict::shm
