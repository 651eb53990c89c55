// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/pool_walk.h"

#include <algorithm>
#include <iterator>
#include <thread>

#include "base/limits.h"
#include "cluster/placement.h"
#include "shm/racy_memory.h"
#include "shm/reader_found.h"

// As in reader.cpp.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

namespace ddict::shm {
namespace {

constexpr auto acquire = std::memory_order_acquire;
constexpr auto relaxed = std::memory_order_relaxed;

// The manager has written in each of them, or does not run just now.
constexpr unsigned attempts_max = 1000;
// A bucket that was not the same for so long may be one that a killed manager has left as changing.
constexpr unsigned segment_attempts_max = 3;
constexpr unsigned attempts_before_yield = 50;
constexpr unsigned large_attempts_max = 20;
constexpr std::size_t piece_bytes = std::size_t{256} << 10;

void pause_after(unsigned attempt) {
    if (attempt >= attempts_before_yield) std::this_thread::yield();
}

}  // namespace

Result<bool> PoolWalk::next() {
    pairs_.clear();
    if (at_end_) return false;
    unsigned failures = 0;
    for (unsigned attempt = 0; attempt < attempts_max && failures < segment_attempts_max;
         pause_after(attempt++)) {
        if (pool_->gone())
            return Error(Errc::manager_lost, "the manager has ended").set_state(ManagerState::ended);
        const std::uint64_t structure_epoch = pool_->header().structure_epoch.load(acquire);
        const AtomicWord* entry = nullptr;
        const std::uint64_t offset = pool_->segment_of(cursor_, entry);
        if (offset == 0 || (structure_epoch & 1) != 0) continue;
        checkpoints_ = pool_->header().checkpoints.load(acquire);
        if (at_ < oldest_in(checkpoints_)) break;
        looked_at_ = checkpoint_to_look_at(at_, checkpoints_);
        floor_ = pool_->floor_at(at_, checkpoints_);
        const auto& at = pool_->at<IndexSegment>(offset);
        const std::uint64_t depth = at.local_depth.load(acquire);
        if (depth > directory_depth_max) continue;
        const Segment segment{&at, offset, cursor_ | (~std::uint64_t{0} >> depth)};
        if (!gather(segment)) {
            ++failures;
            continue;
        }
        std::atomic_thread_fence(acquire);
        const bool same = pool_->segment_of(cursor_, entry) == offset &&
                          pool_->segment_of(segment.last_hash, entry) == offset &&
                          pool_->header().structure_epoch.load(relaxed) == structure_epoch &&
                          pool_->header().checkpoints.load(relaxed) == checkpoints_;
        if (!same) continue;
        for (Staged& staged : staged_) {
            Pair& pair = staged.found.pair;
            const std::byte* key = bytes_.data() + staged.key;
            pair.key = {key, pair.key.word()};
            if (pair.until != 0 && pair.until != no_end) continue;
            if (staged.found.value_is_here) pair.value = {key + pair.key.size(), staged.found.value_bytes};
            pairs_.push_back(staged.found);
        }
        std::ranges::sort(pairs_, {}, &Found::shard_hash);
        at_end_ = segment.last_hash == ~std::uint64_t{0};
        cursor_ = segment.last_hash + 1;
        return true;
    }
    return Error(Errc::busy, "its pool changes faster than it can be read");
}

bool PoolWalk::gather(const Segment& segment) {
    staged_.clear();
    bytes_.clear();
    for (unsigned home = 0; home < buckets_per_segment; ++home) {
        const std::size_t pairs = staged_.size();
        const std::size_t bytes = bytes_.size();
        for (unsigned attempt = 0; !gather_home(segment, home); pause_after(attempt++)) {
            if (attempt == attempts_max) return false;
            staged_.resize(pairs);
            bytes_.resize(bytes);
        }
        if (checkpoints_ != 0) leave_out_hidden(pairs);
    }
    return true;
}

/// Of each key of one home bucket the version that is seen stays, if there is one.
void PoolWalk::leave_out_hidden(std::size_t first) {
    const auto is_candidate = [&](const Staged& one) { return counts_at(one.version, looked_at_, floor_); };
    const auto key_of = [&](const Staged& one) {
        return KeyBytes(bytes_.data() + one.key, one.found.pair.key.word());
    };
    const auto begin = staged_.begin() + static_cast<std::ptrdiff_t>(first);
    const auto is_seen = [&](const Staged& one) {
        if (!is_candidate(one) || one.version.is_gone) return false;
        return std::none_of(begin, staged_.end(), [&](const Staged& other) {
            return is_candidate(other) && hides(other.version, one.version) && key_of(other) == key_of(one);
        });
    };
    std::vector<Staged> seen;
    std::copy_if(begin, staged_.end(), std::back_inserter(seen), is_seen);
    staged_.erase(begin, staged_.end());
    staged_.insert(staged_.end(), seen.begin(), seen.end());
}

/// One attempt: the pairs whose home is this bucket.
bool PoolWalk::gather_home(const Segment& segment, unsigned home) {
    std::uint64_t metas[probe_window];
    unsigned window = 1;
    for (unsigned distance = 0; distance < window; ++distance) {
        const Bucket& bucket = segment.at->buckets[(home + distance) % buckets_per_segment];
        const std::uint64_t meta = metas[distance] = bucket.meta.load(acquire);
        if ((bucket_version(meta) & 1) != 0) return false;
        if (distance == 0 && bucket_overflow(meta) != 0) window = probe_window;
        std::uint64_t offsets[slots_per_bucket];
        for (unsigned i = 0; i < slots_per_bucket; ++i) {
            offsets[i] = slot_block(bucket.slots[i].load(relaxed));
            if (offsets[i] % block_alignment != 0 || !pool_->inside(offsets[i], sizeof(Block))) return false;
            __builtin_prefetch(pool_->pool_ + offsets[i]);
        }
        for (const std::uint64_t offset : offsets) {
            if (offset != 0 && !take_pair(segment, home, offset)) return false;
        }
    }
    std::atomic_thread_fence(acquire);
    for (unsigned distance = 0; distance < window; ++distance) {
        const Bucket& bucket = segment.at->buckets[(home + distance) % buckets_per_segment];
        if (bucket.meta.load(relaxed) != metas[distance]) return false;
    }
    return true;
}

/// Copies a pair aside, if it is one of this home bucket; false if what is there makes no sense.
bool PoolWalk::take_pair(const Segment& segment, unsigned home, std::uint64_t offset) {
    const std::byte* block = pool_->pool_ + offset;
    const std::uint64_t hash = racy_word(block + Block::hash_offset);
    const std::uint64_t h = shard_hash(hash);
    // What a split leaves behind is of another segment, and is found there.
    if (home_bucket(h) != home || h < cursor_ || h > segment.last_hash) return true;
    const std::uint64_t first = racy_word(block + Block::key_and_checkpoint_offset);
    const std::uint64_t second = racy_word(block + Block::value_bytes_and_type_offset);
    const std::uint32_t key_word = Block::key_word_in(first);
    const std::uint64_t key_bytes = key_word & 0xffff;
    const std::uint64_t value_bytes = Block::value_bytes_in(second);
    const KeyPlacement by{.by = Block::placed_by_in(second), .value = 0};
    const std::uint64_t bytes =
        Block::bytes_with_trailers(key_bytes, value_bytes, Block::trailers_in(second));
    if (key_bytes == 0 || key_bytes > limits::key_bytes_max || !pool_->inside(offset, bytes)) return false;
    const std::uint64_t kept = value_bytes <= value_bytes_here_max ? value_bytes : 0;
    Staged staged{.key = bytes_.size(),
                  .version = {.block = offset,
                              .checkpoint = Block::checkpoint_in(first),
                              .is_gone = Block::is_gone_in(first),
                              .is_transient = Block::is_transient_in(first),
                              .is_marked = Block::is_marked_in(second)},
                  .found = {}};
    bytes_.resize(bytes_.size() + key_bytes + kept);
    racy_copy(bytes_.data() + staged.key, block + sizeof(Block), key_bytes);
    racy_copy(bytes_.data() + staged.key + key_bytes, block + Block::value_offset(key_bytes), kept);
    KeyPlacement placement = by;
    const std::byte* const trailers = block + Block::placement_offset(key_bytes, value_bytes);
    if (by.is_by_hand()) placement.value = racy_word(trailers);
    const std::uint64_t until =
        Block::has_ttl_in(second)
            ? racy_word(trailers + Block::trailers_before_until_in(second) * sizeof(std::uint64_t))
            : 0;
    staged.found = {.pair = {.key = KeyBytes(nullptr, key_word),
                             .hash = hash,
                             .value_type = Block::value_type_in(second),
                             .checkpoint = Block::checkpoint_in(first) |
                                           (Block::is_transient_in(first) ? transient_bit : 0),
                             .value = {},
                             .placement = placement,
                             .until = until},
                    .shard_hash = h,
                    .value_bytes = value_bytes,
                    .value_is_here = value_bytes <= value_bytes_here_max};
    staged_.push_back(staged);
    return true;
}

Read PoolWalk::read(const Found& wanted, PieceSink& sink, Result<void>& outcome) {
    for (unsigned attempt = 0; attempt < large_attempts_max; pause_after(attempt++)) {
        if (pool_->gone()) return Read::ask;
        PoolReader::Found found;
        const PoolReader::Look look = pool_->find_true(wanted.pair.key, wanted.pair.hash, at_, found);
        if (look == PoolReader::Look::absent) return Read::absent;
        if (look == PoolReader::Look::ask) return Read::ask;
        if (look == PoolReader::Look::again) continue;
        Pair pair = wanted.pair;
        pair.value_type = found.value_type;
        pair.checkpoint =
            static_cast<std::uint32_t>(found.checkpoint) | (found.is_transient ? transient_bit : 0);
        const Result<bool> given = give_pieces(found, pair, sink);
        if (!given.has_value()) outcome = given.error();
        if (!given.has_value() || *given) return Read::value;
    }
    return Read::ask;
}

/// Whether they are the value.
Result<bool> PoolWalk::give_pieces(const PoolReader::Found& found, const Pair& pair, PieceSink& sink) {
    piece_.resize(piece_bytes);
    if (const Result<void> begun = sink.begin(pair, found.value_bytes); !begun) return begun.error();
    bool is_true = true;
    for (std::uint64_t at = 0; is_true && at < found.value_bytes; at += piece_bytes) {
        const std::uint64_t bytes = std::min<std::uint64_t>(piece_bytes, found.value_bytes - at);
        racy_copy(piece_.data(), found.value + at, bytes);
        is_true = pool_->still_true(found);
        if (!is_true) break;
        if (const Result<void> taken = sink.piece(Bytes(piece_).first(bytes)); !taken) return taken.error();
    }
    if (const Result<void> ended = sink.end(is_true); !ended) return ended.error();
    return is_true;
}

}  // namespace ddict::shm
