// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "shm/layout.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t trailer_bytes_max = block_alignment;
// By one scan, whether they are seen or not: less than a millisecond's work.
constexpr std::size_t versions_looked_at_max = 8 * 1024;

}  // namespace

/// A block is used again only after a change of the index, which has a fence: a reader who sees anything of a
/// later write also sees that the freeze has ended.
void Pool::set_frozen(bool now_frozen) {
    if (now_frozen == frozen()) return;
    header().freeze_epoch.store(header().freeze_epoch.load(std::memory_order_relaxed) + 1,
                                std::memory_order_release);
}

bool Pool::frozen() const noexcept {
    return (header().freeze_epoch.load(std::memory_order_relaxed) & 1) != 0;
}

/// Whether an empty pool would take such a pair.
bool Pool::admits(const Pair& pair, std::uint64_t value_bytes) const noexcept {
    return pair.key.size() - 1 < limits::key_bytes_max &&  // neither empty nor too long
           value_bytes <= limits::value_bytes_max && value_bytes <= bytes_max(pair) - pair.key.size();
}

/// Of key and value together.
std::uint64_t Pool::bytes_max(const Pair& pair) const noexcept {
    return capacity_bytes_ - pair.trailers() * trailer_bytes_max;
}

/// Why not.
Error Pool::refusal(const Pair& pair, std::uint64_t value_bytes) const {
    const KeyBytes key = pair.key;
    const auto refuse = [&](Errc code, std::uint64_t need, std::uint64_t limit, std::string_view why) {
        return Error(code, why)
            .set_operation(Operation::put)
            .set_key(key)
            .set_manager(identity_.manager)
            .set_node(identity_.node)
            .set_bytes(need, limit);
    };
    if (key.empty()) return refuse(Errc::invalid_argument, 0, 0, "the key is empty");
    if (key.size() > limits::key_bytes_max)
        return refuse(Errc::too_large, key.size(), limits::key_bytes_max, "use a shorter key");
    const std::uint64_t limit = std::min(limits::value_bytes_max, bytes_max(pair) - key.size());
    return refuse(Errc::too_large, key.size() + value_bytes, key.size() + limit, {});
}

Error Pool::no_space(KeyBytes key, std::uint64_t value_bytes) const {
    return Error(Errc::no_space)
        .set_operation(Operation::put)
        .set_key(key)
        .set_manager(identity_.manager)
        .set_node(identity_.node)
        .set_bytes(key.size() + value_bytes, usage().largest_free_bytes);
}

/// While the dictionary is frozen nothing may move. Index parts and pairs in the making cannot.
bool Pool::move_for(std::uint64_t heap_bytes, Compactor::Effort effort) {
    if (frozen() || !compactor_.promising(heap_bytes, effort)) return false;
    if (!credit_is_shared_) compaction_credit_ = Compactor::step_cost_max;
    return compactor_.make_space(heap_bytes, effort, compaction_credit_) == Compactor::Outcome::made_space;
}

bool Pool::may_make_space(const Pair& pair, std::uint64_t value_bytes) const {
    return !frozen() &&
           compactor_.promising(Block::bytes_for(pair, value_bytes), Compactor::Effort::to_the_end);
}

void Pool::make_space(const Pair& pair, std::uint64_t value_bytes) {
    move_for(Block::bytes_for(pair, value_bytes), Compactor::Effort::to_the_end);
    show_counters();
}

void Pool::stop_making_space() {
    compactor_.give_up_move();
    show_counters();
}

/// All but the value, and what follows it.
inline void Pool::set_header(Block& block, const Pair& pair, std::uint64_t value_bytes) noexcept {
    block.set_words(pair.hash, pair.key.word() | (std::uint64_t{pair.checkpoint} << 32),
                    value_bytes | (std::uint64_t{pair.until != 0} << Block::has_ttl_shift) |
                        (std::uint64_t{pair.mark != 0} << Block::marked_shift) |
                        (static_cast<std::uint64_t>(pair.placement.by) << Block::placed_by_shift) |
                        (std::uint64_t{pair.value_type} << 48));
    std::memcpy(reinterpret_cast<std::byte*>(&block + 1), pair.key.data(), pair.key.size());
}

inline void Pool::set_value(Block& block, Bytes value) noexcept {
    if (!value.empty()) std::memcpy(block.value().data(), value.data(), value.size());
}

/// `need`: of the block. 0 if there is no space.
inline std::uint64_t Pool::allocate(const Pair& pair, std::uint64_t value_bytes, std::uint64_t need) {
    std::uint64_t offset = heap_.allocate(need);
    if (offset == 0 && move_for(need, Compactor::Effort::one_step)) offset = heap_.allocate(need);
    if (offset == 0) return 0;
    static_assert(offsetof(Block, hash_) == Block::hash_offset &&
                  offsetof(Block, key_and_checkpoint_) == Block::key_and_checkpoint_offset &&
                  offsetof(Block, value_bytes_and_type_) == Block::value_bytes_and_type_offset);
    set_header(block_at(offset), pair, value_bytes);
    return offset;
}

/// 0 if there is no space.
[[gnu::always_inline]] inline std::uint64_t Pool::allocate(const Pair& pair, std::uint64_t value_bytes) {
    if (pair.trailers() != 0) [[unlikely]]
        return allocate_with_trailers(pair, value_bytes);
    return allocate(pair, value_bytes, Block::bytes_for(pair.key.size(), value_bytes));
}

std::uint64_t Pool::allocate_with_trailers(const Pair& pair, std::uint64_t value_bytes) {
    const std::uint64_t offset = allocate(pair, value_bytes, Block::bytes_for(pair, value_bytes));
    if (offset != 0) block_at(offset).set_trailers(pair);
    return offset;
}

Result<Block*> Pool::reserve(const Pair& pair, std::uint64_t value_bytes) {
    if (!admits(pair, value_bytes)) return refusal(pair, value_bytes);
    const std::uint64_t offset = allocate(pair, value_bytes);
    if (offset == 0) return no_space(pair.key, value_bytes);
    hold(offset);
    show_counters();
    return &block_at(offset);
}

Result<void> Pool::publish(Block* block, Noted* noted) {
    DDICT_ASSERT((block->size_and_flags_ & block_word::visible) == 0, "a block is published once");
    const std::uint64_t offset = offset_of(block);
    let_go(offset);
    note(noted, 0, offset);
    return set_.in_use() ? show_version(offset) : show(offset);
}

[[gnu::always_inline]] inline Result<void> Pool::show(std::uint64_t offset) {
    const Block& block = block_at(offset);
    return show(offset, index_.find(block.key(), block.hash()));
}

/// `place`: of the pair that it replaces.
[[gnu::always_inline]] inline Result<void> Pool::show(std::uint64_t offset, const Index::Place& place) {
    Block& block = block_at(offset);
    if (block.has_ttl()) [[unlikely]]
        note_end(offset);
    if (!place) return show_new(offset);
    block.size_and_flags_ |= block_word::visible;
    index_.replace(place, offset);
    drop(place.block);
    show_counters();
    return {};
}

/// Of a key that there is not yet.
Result<void> Pool::show_new(std::uint64_t offset) {
    Block& block = block_at(offset);
    const auto insert = [&] { return index_.insert(offset, block.hash()); };
    if (insert() || (move_for(index_.growth_bytes_max(), Compactor::Effort::one_step) && insert())) {
        block.size_and_flags_ |= block_word::visible;
    } else {
        Error error = no_space(block.key(), block.value_bytes());
        error.set_detail("the index cannot grow: the pool is full, or too many keys have like hashes");
        if (block.has_ttl()) drop_end(offset);
        free(offset);
        show_counters();
        return error;
    }
    show_counters();
    return {};
}

bool Pool::restore(const Block& block) {
    const std::uint64_t offset = offset_of(&block);
    std::uint64_t& word = block_at(offset).size_and_flags_;
    DDICT_ASSERT((word & block_word::visible) == 0 && (word & block_word::pin_mask) != 0,
                 "only a pair that was erased and is pinned can be restored");
    if (place_of(block.pair()) || !index_.insert(offset, block.hash())) return false;
    word |= block_word::visible;
    if (block.has_ttl()) note_end(offset);
    show_counters();
    return true;
}

void Pool::note_end(std::uint64_t offset) {
    expiries_.add(offset, block_at(offset).until());
}

void Pool::drop_end(std::uint64_t offset) {
    expiries_.remove(offset, block_at(offset).until());
}

/// An end may have been noted of a block whose memory was damaged since.
const Block* Pool::over(std::uint64_t now) {
    while (!expiries_.empty() && expiries_.next_end() <= now) {
        const std::uint64_t offset = expiries_.next_block();
        const Block& block = block_at(offset);
        if (block.until() == expiries_.next_end() && index_.slot_of(offset, block.hash())) return &block;
        expiries_.remove(offset, expiries_.next_end());
    }
    return nullptr;
}

void Pool::set_until(const Block& block, std::uint64_t until) {
    const std::uint64_t offset = offset_of(&block);
    DDICT_ASSERT(block.has_ttl() && (block.size_and_flags_ & block_word::visible) != 0,
                 "what is visible and has a time to live can have another");
    drop_end(offset);
    block_at(offset).set_until(until);
    note_end(offset);
}

void Pool::set_mark(Block* block, std::uint64_t mark) {
    DDICT_ASSERT((block->size_and_flags_ & block_word::visible) == 0 && block->is_marked(),
                 "a pair is marked before it is published, and was reserved with a mark");
    block->set_mark(mark);
}

void Pool::abandon(Block* block) {
    const std::uint64_t offset = offset_of(block);
    DDICT_ASSERT((block->size_and_flags_ & (block_word::visible | block_word::pin_mask)) == 0,
                 "only a reserved block can be abandoned");
    let_go(offset);
    free(offset);
    show_counters();
}

Result<void> Pool::put(const Pair& pair, Noted* noted) {
    if (set_.in_use()) [[unlikely]]
        return put_version(pair, noted);
    return put_pair<false>(pair, noted);
}

template <bool has_versions>
[[gnu::always_inline]] inline Result<void> Pool::put_pair(const Pair& pair, Noted* noted) {
    if (!admits(pair, pair.value.size())) return refusal(pair, pair.value.size());
    const std::uint64_t offset = allocate(pair, pair.value.size());
    if (offset == 0) return put_through_scratch(pair, noted);
    set_value(block_at(offset), pair.value);
    if constexpr (!has_versions) {
        note(noted, 0, offset);
        return show(offset);
    } else {
        note(noted, pair.is_gone() ? 1 : 0, offset);
        return show(offset, place_of(pair));
    }
}

Index::Place Pool::place_of(const Pair& pair) const {
    return set_.in_use() ? index_.find(pair.key, pair.hash, pair.checkpoint_id())
                         : index_.find(pair.key, pair.hash);
}

/// At the oldest checkpoint, what persists of the key has been erased then: it goes now, and is not seen
/// again once something transient takes the place of what says so.
bool Pool::may_be_transient(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint, Versions& before) {
    if (before.persists_at(checkpoint, set_.floor_at(checkpoint), set_.oldest())) return false;
    if (checkpoint > set_.oldest()) return true;
    retire(hash);
    before.clear();
    index_.gather_versions(key, hash, before);
    return true;
}

/// With the count of what is seen at each checkpoint.
Result<void> Pool::put_version(const Pair& pair, Noted* noted) {
    Versions before;
    index_.gather_versions(pair.key, pair.hash, before);
    Pair kept = pair;
    if (pair.is_transient() && !pair.is_gone() &&
        !may_be_transient(pair.key, pair.hash, pair.checkpoint_id(), before))
        kept.checkpoint &= ~transient_bit;
    const Result<void> stored = put_pair<true>(kept, noted);
    if (stored) account(pair.key, pair.hash, pair.checkpoint_id(), before);
    return stored;
}

Result<void> Pool::show_version(std::uint64_t offset) {
    Block& block = block_at(offset);
    Versions before;
    index_.gather_versions(block.key(), block.hash(), before);
    if (block.is_transient() && !may_be_transient(block.key(), block.hash(), block.checkpoint(), before))
        block.let_persist();
    const Result<void> shown = show(offset, place_of(block.pair()));
    if (shown) account(block.key(), block.hash(), block.checkpoint(), before);
    return shown;
}

/// Into the memory of the key's old block. There is a pair that the index leads to at any moment: the old
/// one, the new one in the scratch block, the new one where it stays.
Result<void> Pool::put_through_scratch(const Pair& pair, Noted* noted) {
    const std::uint64_t value_bytes = pair.value.size();
    const std::uint64_t need = Block::bytes_for(pair, value_bytes);
    const Index::Place place = place_of(pair);
    const std::uint64_t scratch = compactor_.scratch();
    if (!place || (block_at(place.block).size_and_flags_ & block_word::pin_mask) != 0 || scratch == 0 ||
        heap_.block_bytes(scratch) < need || heap_.bytes_if_freed(place.block) < need)
        return no_space(pair.key, value_bytes);
    if (pair.is_gone()) return no_space(pair.key, value_bytes);  // what it has noted would tell too little
    const auto write = [&](std::uint64_t offset, std::size_t which) {
        Block& block = block_at(offset);
        set_header(block, pair, value_bytes);
        block.set_trailers(pair);
        set_value(block, pair.value);
        block.size_and_flags_ |= block_word::visible;
        note(noted, which, offset);
        index_.replace(place, offset);
    };
    write(scratch, 0);
    drop(place.block);
    const std::uint64_t offset = heap_.allocate(need);
    DDICT_ASSERT(offset != 0, "the memory of the old value is there for the new one");
    write(offset, 1);
    if (pair.until != 0) note_end(offset);
    block_at(scratch).size_and_flags_ &= ~block_word::visible;
    show_counters();
    return {};
}

bool Pool::erase(KeyBytes key, std::uint64_t hash, Noted* noted, std::uint32_t checkpoint) {
    if (set_.in_use()) [[unlikely]]
        return erase_and_account(key, hash, noted, checkpoint);
    return erase_pair(key, hash, noted, checkpoint);
}

bool Pool::erase_pair(KeyBytes key, std::uint64_t hash, Noted* noted, std::uint32_t checkpoint) {
    const Index::Place place = place_of({.key = key, .hash = hash, .checkpoint = checkpoint});
    if (!place) return false;
    note(noted, 0, place.block);
    index_.erase(place, hash);
    drop(place.block);
    show_counters();
    return true;
}

/// First nothing leads to any block any more, then all memory is free at once.
void Pool::clear() {
    header().clearing.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    compactor_.reset();
    expiries_.clear();
    index_.clear();
    header().keys.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    header().clearing.store(0, std::memory_order_relaxed);
    const std::uint64_t scratch = compactor_.scratch();
    if (scratch != 0) hold(scratch);
    std::sort(held_.begin(), held_.end());
    for (const std::uint64_t offset : held_)
        block_at(offset).size_and_flags_ &= ~block_word::visible;
    heap_.free_all_but(held_);
    set_.forget_all();
    if (scratch != 0) let_go(scratch);
    show_counters();
}

void Pool::free(std::uint64_t offset) {
    compactor_.on_freed(heap_.block_bytes(offset));
    heap_.free(offset);
}

/// Nothing leads to the block any more.
[[gnu::always_inline]] inline void Pool::drop(std::uint64_t offset) {
    compactor_.on_drop(offset);
    Block& block = block_at(offset);
    if (block.has_ttl()) [[unlikely]]
        drop_end(offset);
    block.size_and_flags_ &= ~block_word::visible;
    if ((block.size_and_flags_ & block_word::pin_mask) == 0) free(offset);
    settle_if_empty();
}

void Pool::drop_version(std::uint64_t offset) {
    drop(offset);
    show_counters();
}

/// Those that are held longest are few, so most are found near the end.
void Pool::let_go(std::uint64_t offset) {
    const auto found = std::find(held_.rbegin(), held_.rend(), offset);
    DDICT_ASSERT(found != held_.rend(), "what is reserved or pinned is held");
    *found = held_.back();
    held_.pop_back();
}

/// So that an emptied pool has space for the very pairs that filled it.
void Pool::settle_if_empty() {
    if (index_.size() == 0) heap_.settle();
}

void Pool::pin(const Block* block) {
    std::uint64_t& word = block_at(offset_of(block)).size_and_flags_;
    DDICT_ASSERT((word & (block_word::visible | block_word::pin_mask)) != 0,
                 "only a live block can be pinned");
    DDICT_ASSERT((word & block_word::pin_mask) != block_word::pin_mask, "too many pins on one block");
    if ((word & block_word::pin_mask) == 0) hold(offset_of(block));
    word += block_word::pin;
}

void Pool::unpin(const Block* block) {
    const std::uint64_t offset = offset_of(block);
    std::uint64_t& word = block_at(offset).size_and_flags_;
    DDICT_ASSERT((word & block_word::pin_mask) != 0, "only a pinned block can be unpinned");
    word -= block_word::pin;
    if ((word & block_word::pin_mask) != 0) return;
    let_go(offset);
    if ((word & block_word::visible) != 0) return compactor_.on_freed(heap_.block_bytes(offset));
    free(offset);
    show_counters();
}

std::uint64_t Pool::scan(std::uint64_t cursor, const std::function<bool(const Block&)>& visit,
                         std::uint32_t checkpoint) const {
    constexpr std::uint64_t last = ~std::uint64_t{0};
    Index::SegmentEntries found;
    std::size_t looked_at = 0;  // of versions, seen or not
    for (;;) {
        index_.gather(cursor, found);
        const auto end = found.entries.begin() + static_cast<std::ptrdiff_t>(found.count);
        std::sort(found.entries.begin(), end,
                  [](const Index::Entry& a, const Index::Entry& b) { return a.shard_hash < b.shard_hash; });
        bool wanted = true;
        for (auto entry = found.entries.begin(); entry != end && !set_.in_use(); ++entry) {
            if (!wanted && entry->shard_hash != (entry - 1)->shard_hash) return entry->shard_hash;
            wanted = visit(block_at(entry->block)) && wanted;
        }
        for (auto entry = found.entries.begin(); entry != end && set_.in_use();) {
            if (!wanted) return entry->shard_hash;
            const auto alike = std::find_if(
                entry, end, [&](const Index::Entry& other) { return other.shard_hash != entry->shard_hash; });
            for_each_seen({entry, alike}, checkpoint,
                          [&](const Block& block) { wanted = visit(block) && wanted; });
            looked_at += static_cast<std::size_t>(alike - entry);
            wanted = wanted && looked_at < versions_looked_at_max;
            entry = alike;
        }
        if (found.last_shard_hash == last) return 0;
        cursor = found.last_shard_hash + 1;
        if (!wanted) return cursor;
    }
}

PoolUsage Pool::usage() const {
    const std::uint64_t free = heap_.free_bytes();
    const std::uint64_t largest = heap_.largest_free_bytes();
    return {.pool_bytes = segment_.size(),
            .used_bytes = segment_.size() - free,
            .free_bytes = free,
            .largest_free_bytes = largest > pair_overhead_bytes_max ? largest - pair_overhead_bytes_max : 0,
            .index_bytes = index_.bytes(),
            .keys = keys_at(newest)};
}

std::uint64_t Pool::offset_of(const Block* block) const {
    const auto offset = reinterpret_cast<std::uintptr_t>(block) - reinterpret_cast<std::uintptr_t>(data_);
    DDICT_ASSERT(offset >= heap_start_offset && offset < segment_.size() && offset % block_alignment == 0,
                 "the block is of another pool");
    return offset;
}

/// For those who watch the pool from outside.
void Pool::show_counters() {
    header().keys.store(index_.size(), std::memory_order_relaxed);
    header().free_bytes.store(heap_.free_bytes(), std::memory_order_relaxed);
    header().index_bytes.store(index_.bytes(), std::memory_order_relaxed);
}

}  // namespace ddict::shm
