// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/value_buffer.h"
#include "cluster/placement.h"
#include "shm/block.h"
#include "shm/racy_memory.h"
#include "shm/reader_found.h"
#include "shm/version.h"

// gcc's thread sanitizer does not see fences and says so; what they order here is hidden from it anyway
// (racy_memory.h).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

namespace ddict::shm {
namespace {

constexpr auto acquire = std::memory_order_acquire;
constexpr auto relaxed = std::memory_order_relaxed;

// Each attempt fails only because the manager has written meanwhile, or was interrupted while it did: after
// that many, a message is the better way.
constexpr unsigned attempts_max = 32;
// Copied aside before it is known to be true. Larger values are found true first, so that the sink is told no
// nonsense, and are copied straight to where they are wanted.
constexpr std::uint64_t small_value_bytes_max = 64;

void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

Error attach_error(Errc code, const Segment& segment, std::string_view text) {
    return Error(code, "segment " + segment.name() + " " + std::string(text))
        .set_operation(Operation::attach);
}

Result<void> check_pool(const Segment& segment, const PoolOwner& owner) {
    if (segment.size() < limits::pool_bytes_min)
        return attach_error(Errc::protocol, segment, "is too small for a pool");
    const auto& header = *reinterpret_cast<const PoolHeader*>(segment.data());
    if (header.magic.load(acquire) != pool_magic)
        return attach_error(Errc::protocol, segment, "holds no pool");
    if (header.layout_version != pool_layout_version)
        return attach_error(Errc::incompatible, segment, "was formatted by another version of ddict");
    if (header.segment_bytes != segment.size())
        return attach_error(Errc::protocol, segment, "holds a pool that was cut");
    if (header.dictionary_id != owner.dictionary_id || header.manager != owner.manager ||
        std::memcmp(header.secret, owner.secret.data(), sizeof header.secret) != 0)
        return attach_error(Errc::access_denied, segment, "is the pool of somebody else");
    if (header.state.load(acquire) != static_cast<std::uint32_t>(PoolState::attached))
        return attach_error(Errc::not_attached, segment, "has no manager yet");
    return {};
}

}  // namespace

PoolReader::PoolReader(Segment segment, const std::byte* pool, std::uint64_t pool_bytes)
    : segment_(std::move(segment)),
      pool_(pool),
      pool_bytes_(pool_bytes),
      life_(life_in(header().gone.load(acquire))) {}

Result<std::shared_ptr<const PoolReader>> PoolReader::open(const PoolOwner& owner) {
    Result<Segment> segment =
        Segment::open(pool_segment_name(owner.dictionary_id, owner.manager), Access::read_only);
    if (!segment) return segment.error();
    return open(*std::move(segment), owner);
}

Result<std::shared_ptr<const PoolReader>> PoolReader::open(Segment segment, const PoolOwner& owner) {
    if (const Result<void> good = check_pool(segment, owner); !good)
        return Error(good.error()).set_manager(owner.manager);
    const std::byte* pool = segment.data();
    const std::uint64_t bytes = segment.size();
    return std::shared_ptr<const PoolReader>(new PoolReader(std::move(segment), pool, bytes));
}

/// The offset of the index segment that the directory leads to; 0 if the directory makes no sense just now.
std::uint64_t PoolReader::segment_of(std::uint64_t shard_hash, const AtomicWord*& entry) const noexcept {
    const std::uint64_t root = header().index_root.load(acquire);
    const unsigned depth = root_depth(root);
    const std::uint64_t entries = root_entries(root);
    if (depth > directory_depth_max || entries % sizeof(AtomicWord) != 0 ||
        !inside(entries, sizeof(AtomicWord) << depth))
        return 0;
    entry = &at<AtomicWord>(entries + sizeof(AtomicWord) * directory_entry(shard_hash, depth));
    const std::uint64_t offset = entry->load(acquire);
    return offset % alignof(IndexSegment) == 0 && inside(offset, sizeof(IndexSegment)) ? offset : 0;
}

void PoolReader::prefetch(std::uint64_t hash) const noexcept {
    const std::uint64_t h = shard_hash(hash);
    const AtomicWord* entry = nullptr;
    if (const std::uint64_t segment = segment_of(h, entry); segment != 0)
        __builtin_prefetch(&at<IndexSegment>(segment).buckets[home_bucket(h)]);
}

/// One attempt. Calls take(bucket, version, block, first word, second word) for each pair of the key, until
/// it is true: then that one is `found`. Otherwise `absent`, which has been found true; what is `found` is
/// not yet.
///
/// The loads that acquire pair with the writer's fences: whoever sees a version, an epoch or a directory
/// entry also sees what was written before it. In the other direction, the fence in still_true() and in here:
/// whoever has seen anything of a later change also sees that the version or the epoch has changed. Words of
/// a block, its key and its value are read in between, with no order among themselves.
template <class F>
[[gnu::always_inline]] inline PoolReader::Look PoolReader::find_among(KeyBytes key, std::uint64_t hash,
                                                                      std::uint64_t structure_epoch,
                                                                      F take) const noexcept {
    const std::uint64_t h = shard_hash(hash);
    const std::uint64_t tag = slot_tag(make_slot(h, 0));
    const unsigned home = home_bucket(h);
    const AtomicWord* entry = nullptr;
    const std::uint64_t segment_offset = segment_of(h, entry);
    if (segment_offset == 0 || (structure_epoch & 1) != 0) return Look::again;
    const auto& segment = at<IndexSegment>(segment_offset);

    std::uint64_t metas[probe_window];
    unsigned window = 1;
    for (unsigned distance = 0; distance < window; ++distance) {
        const Bucket& bucket = segment.buckets[(home + distance) % buckets_per_segment];
        const std::uint64_t meta = metas[distance] = bucket.meta.load(acquire);
        if ((bucket_version(meta) & 1) != 0) return Look::again;
        if (distance == 0 && bucket_overflow(meta) != 0) window = probe_window;
        // All tags first, without a branch for each: which one it is cannot be predicted.
        std::uint64_t slots[slots_per_bucket];
        unsigned alike = 0;
        for (unsigned i = 0; i < slots_per_bucket; ++i) {
            slots[i] = bucket.slots[i].load(relaxed);
            alike |= static_cast<unsigned>(slot_tag(slots[i]) == tag) << i;
        }
        for (; alike != 0; alike &= alike - 1) {
            const std::uint64_t offset = slot_block(slots[std::countr_zero(alike)]);
            if (offset == 0) continue;
            if (offset % block_alignment != 0 || !inside(offset, sizeof(Block))) return Look::again;
            const std::byte* block = pool_ + offset;
            __builtin_prefetch(block + 64);
            if (racy_word(block + Block::hash_offset) != hash) continue;
            const std::uint64_t first = racy_word(block + Block::key_and_checkpoint_offset);
            if (Block::key_word_in(first) != key.word()) continue;
            const std::uint64_t second = racy_word(block + Block::value_bytes_and_type_offset);
            if (!inside(offset, Block::bytes_for(key.size(), Block::value_bytes_in(second))))
                return Look::again;
            if (!racy_equal(block + sizeof(Block), key.bytes())) continue;
            if (take(bucket, bucket_version(meta), block, first, second)) return Look::found;
        }
    }
    std::atomic_thread_fence(acquire);
    for (unsigned distance = 0; distance < window; ++distance) {
        const Bucket& bucket = segment.buckets[(home + distance) % buckets_per_segment];
        if (bucket.meta.load(relaxed) != metas[distance]) return Look::again;
    }
    // The directory after the buckets: a split fills the new segment, then leads there, then empties the old
    // one.
    std::atomic_thread_fence(acquire);
    const bool same =
        entry->load(relaxed) == segment_offset && header().structure_epoch.load(relaxed) == structure_epoch;
    return same ? Look::absent : Look::again;
}

/// Until the first change with an id above 0, a key has one pair. When that comes, the epoch changes.
PoolReader::Look PoolReader::find(KeyBytes key, std::uint64_t hash, std::uint32_t at,
                                  Found& found) const noexcept {
    const std::uint64_t structure_epoch = header().structure_epoch.load(acquire);
    if (header().checkpoints.load(relaxed) != 0) [[unlikely]]
        return find_version(key, hash, at, found);
    return find_among(key, hash, structure_epoch,
                      [&](const Bucket& bucket, std::uint32_t version, const std::byte* block,
                          std::uint64_t first, std::uint64_t second) {
                          found = {.bucket = &bucket,
                                   .version = version,
                                   .structure_epoch = structure_epoch,
                                   .value = block + Block::value_offset(key.size()),
                                   .value_bytes = Block::value_bytes_in(second),
                                   .checkpoint = Block::checkpoint_in(first),
                                   .value_type = Block::value_type_in(second)};
                          return true;
                      });
}

std::uint32_t PoolReader::floor_at(std::uint32_t at, std::uint64_t checkpoints) const noexcept {
    const std::size_t place = std::min(at, newest_in(checkpoints)) % limits::working_set_max;
    return header().floors[floors_in(checkpoints)][place].load(relaxed);
}

/// All versions have to be looked at, unless one is of this very checkpoint. That none is newer has been
/// found true before the value is copied; that it is still there, afterwards. What was retired may be gone:
/// hence the second look at what is kept.
PoolReader::Look PoolReader::find_version(KeyBytes key, std::uint64_t hash, std::uint32_t at,
                                          Found& found) const noexcept {
    const std::uint64_t structure_epoch = header().structure_epoch.load(acquire);
    const std::uint64_t checkpoints = header().checkpoints.load(acquire);
    if (at < oldest_in(checkpoints)) return Look::ask;
    at = checkpoint_to_look_at(at, checkpoints);
    const std::uint32_t floor = floor_at(at, checkpoints);
    Version best;
    bool is_there = false;
    const Look look = find_among(key, hash, structure_epoch,
                                 [&](const Bucket& bucket, std::uint32_t version, const std::byte* block,
                                     std::uint64_t first, std::uint64_t second) {
                                     const Version one{.block = 0,
                                                       .checkpoint = Block::checkpoint_in(first),
                                                       .is_gone = Block::is_gone_in(first),
                                                       .is_transient = Block::is_transient_in(first),
                                                       .is_marked = Block::is_marked_in(second)};
                                     if (!counts_at(one, at, floor)) return false;
                                     if (is_there && !hides(one, best)) return false;
                                     best = one;
                                     is_there = true;
                                     found = {.bucket = &bucket,
                                              .version = version,
                                              .structure_epoch = structure_epoch,
                                              .value = block + Block::value_offset(key.size()),
                                              .value_bytes = Block::value_bytes_in(second),
                                              .checkpoint = one.checkpoint,
                                              .value_type = Block::value_type_in(second),
                                              .is_transient = one.is_transient};
                                     return one.checkpoint == at && !one.is_gone;
                                 });
    if (look == Look::again || look == Look::found) return look;
    std::atomic_thread_fence(acquire);
    if (at < oldest_in(header().checkpoints.load(relaxed))) return Look::ask;
    return is_there && !best.is_gone ? Look::found : Look::absent;
}

bool PoolReader::still_true(const Found& found) const noexcept {
    std::atomic_thread_fence(acquire);
    return bucket_version(found.bucket->meta.load(relaxed)) == found.version &&
           header().structure_epoch.load(relaxed) == found.structure_epoch;
}

Read PoolReader::get(KeyBytes key, std::uint64_t hash, ValueSink& sink, Result<void>& outcome,
                     std::uint64_t* checkpoint, std::uint32_t at) const {
    if (gone()) return Read::ask;
    for (unsigned attempt = 0; attempt < attempts_max; ++attempt, pause()) {
        Found found;
        const Look look = find(key, hash, at, found);
        if (look == Look::absent) return may_come() ? Read::ask : Read::absent;
        if (look == Look::ask) return Read::ask;
        if (look == Look::again) continue;
        const bool small = found.value_bytes <= small_value_bytes_max;
        std::byte aside[small_value_bytes_max];
        if (small) racy_copy(aside, found.value, found.value_bytes);
        if (!still_true(found)) continue;

        if (checkpoint != nullptr) *checkpoint = found.checkpoint;
        MutableBytes rest;
        const Result<MutableBytes> buffer = buffer_of(sink, found.value_bytes, found.value_type, rest);
        if (!buffer) {
            outcome = buffer.error();
            return Read::value;
        }
        if (small) {
            if (!buffer->empty()) std::memcpy(buffer->data(), aside, buffer->size());
            if (!rest.empty()) std::memcpy(rest.data(), aside + buffer->size(), rest.size());
            return Read::value;
        }
        racy_copy(buffer->data(), found.value, buffer->size());
        if (!rest.empty()) racy_copy(rest.data(), found.value + buffer->size(), rest.size());
        if (still_true(found)) return Read::value;
    }
    return Read::ask;
}

/// With retries. `again` if none succeeded.
PoolReader::Look PoolReader::find_true(KeyBytes key, std::uint64_t hash, std::uint32_t at,
                                       Found& found) const noexcept {
    for (unsigned attempt = 0; attempt < attempts_max; ++attempt, pause()) {
        const Look look = find(key, hash, at, found);
        if (look == Look::absent || look == Look::ask) return look;
        if (look == Look::found && still_true(found)) return look;
    }
    return Look::again;
}

Read PoolReader::contains(KeyBytes key, std::uint64_t hash, ValueInfo* info,
                          std::uint32_t at) const noexcept {
    if (gone()) return Read::ask;
    Found found;
    const Look look = find_true(key, hash, at, found);
    if (look == Look::found && info != nullptr)
        *info = {.type = found.value_type, .bytes = found.value_bytes};
    return look == Look::found ? Read::value : look == Look::absent ? Read::absent : Read::ask;
}

Result<FrozenView> PoolReader::view(KeyBytes key, std::uint64_t hash, std::uint32_t at) const {
    const auto refuse = [&](Errc code, std::string_view why) {
        return Error(code, why)
            .set_operation(Operation::view)
            .set_key(key)
            .set_manager(header().manager)
            .set_node({header().node, ::strnlen(header().node, sizeof header().node)});
    };
    if (gone()) return refuse(Errc::manager_lost, "the manager has ended").set_state(ManagerState::ended);
    const std::uint64_t epoch = freeze_epoch();
    Found found;
    const Look look = find_true(key, hash, at, found);
    if ((epoch & 1) == 0 || freeze_epoch() != epoch)
        return refuse(Errc::invalid_argument, "only values of a frozen dictionary can be viewed");
    if (look == Look::absent) return refuse(Errc::not_found, {});
    if (look == Look::ask)
        return refuse(Errc::checkpoint_retired, "a newer one is kept: see sync_to_newest_checkpoint");
    if (look == Look::again) return refuse(Errc::busy, "the pool cannot be read just now");
    return FrozenView(shared_from_this(), {found.value, found.value_bytes}, found.value_type,
                      found.checkpoint, epoch);
}

bool FrozenView::valid() const noexcept {
    std::atomic_thread_fence(acquire);
    return pool_->header().freeze_epoch.load(relaxed) == freeze_epoch_;
}

Result<Bytes> FrozenView::bytes() const {
    if (!valid())
        return Error(Errc::invalid_argument,
                     "the dictionary was unfrozen: the value may have changed; get it again")
            .set_operation(Operation::view);
    return bytes_;
}

}  // namespace ddict::shm
