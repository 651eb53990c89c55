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

// What a pair takes at the most beyond its key and value: its header, and padding after each of the two.
constexpr std::uint64_t pair_overhead_bytes_max = sizeof(Block) + block_alignment;
constexpr std::uint64_t trailer_bytes_max = block_alignment;
constexpr std::size_t held_blocks_usual = 256;
constexpr std::uint64_t pool_bytes_max = std::uint64_t{1} << 47;
static_assert(limits::key_bytes_max <= 0xffff && limits::value_bytes_max < std::uint64_t{1}
                                                                               << Block::value_bytes_bits);
static_assert(limits::pool_bytes_min > 2 * heap_start_offset);

constexpr std::uint64_t heap_bytes_of(std::uint64_t pool_bytes) noexcept {
    return (pool_bytes - heap_start_offset) & ~(block_alignment - 1);
}

Error attach_error(Errc code, const Segment& segment, std::string_view text) {
    return Error(code, "segment " + segment.name() + " " + std::string(text))
        .set_operation(Operation::attach);
}

Result<void> check_header(const Segment& segment, PoolState state) {
    if (segment.size() < limits::pool_bytes_min)
        return attach_error(Errc::protocol, segment, "is too small for a pool");
    const auto& header = *reinterpret_cast<const PoolHeader*>(segment.data());
    if (header.magic.load(std::memory_order_acquire) != pool_magic)
        return attach_error(Errc::protocol, segment, "holds no pool");
    if (header.layout_version != pool_layout_version)
        return attach_error(Errc::incompatible, segment, "was formatted by another version of ddict");
    if (header.segment_bytes != segment.size() || header.heap_offset != heap_start_offset ||
        header.heap_bytes != heap_bytes_of(segment.size()) || header.node[sizeof header.node - 1] != '\0')
        return attach_error(Errc::protocol, segment, "holds a pool that is damaged or was cut");
    if (header.state.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(state)) return {};
    return attach_error(Errc::system, segment,
                        state == PoolState::formatted ? "was used by a manager already: it is to be recovered"
                                                      : "has not been used by a manager yet");
}

/// Key and value together that the heap holds when it is empty.
std::uint64_t capacity_of(const Heap& heap) noexcept {
    return heap.total_bytes() - Compactor::scratch_bytes_in(heap.total_bytes()) - pair_overhead_bytes_max;
}

PoolIdentity identity_in(const PoolHeader& header) {
    PoolIdentity identity;
    identity.dictionary_id = header.dictionary_id;
    std::memcpy(identity.secret.data(), header.secret, sizeof header.secret);
    identity.manager = header.manager;
    identity.node = header.node;
    return identity;
}

}  // namespace

Result<void> Pool::format(Segment& segment, const PoolIdentity& identity) {
    const auto refuse = [&](std::string_view why) {
        return Error(Errc::invalid_argument, why)
            .set_operation(Operation::create)
            .set_manager(identity.manager)
            .set_node(identity.node);
    };
    if (segment.size() < limits::pool_bytes_min) {
        Error error = refuse("a manager's pool is too small; raise --total-mem or use fewer managers");
        return error.set_bytes(limits::pool_bytes_min, segment.size());
    }
    if (segment.size() > pool_bytes_max) return refuse("a manager's pool cannot be larger than 128 TiB");
    if (identity.node.size() > limits::node_name_bytes_max) return refuse("the node's name is too long");

    auto& header = *reinterpret_cast<PoolHeader*>(segment.data());
    header.magic.store(0, std::memory_order_relaxed);
    header.layout_version = pool_layout_version;
    header.manager = identity.manager;
    header.dictionary_id = identity.dictionary_id;
    std::memcpy(header.secret, identity.secret.data(), sizeof header.secret);
    header.segment_bytes = segment.size();
    header.heap_offset = heap_start_offset;
    header.heap_bytes = heap_bytes_of(segment.size());
    std::memset(header.node, 0, sizeof header.node);
    std::memcpy(header.node, identity.node.data(), identity.node.size());
    header.gone.store(0, std::memory_order_relaxed);
    header.clearing.store(0, std::memory_order_relaxed);
    header.freeze_epoch.store(0, std::memory_order_relaxed);
    header.state.store(static_cast<std::uint32_t>(PoolState::formatted), std::memory_order_relaxed);
    header.magic.store(pool_magic, std::memory_order_release);
    return {};
}

Result<std::unique_ptr<Pool>> Pool::attach(Segment segment) {
    if (const Result<void> good = check_header(segment, PoolState::formatted); !good) return good.error();
    auto& header = *reinterpret_cast<PoolHeader*>(segment.data());
    PoolIdentity identity = identity_in(header);
    std::unique_ptr<Pool> pool(new Pool(std::move(segment), std::move(identity)));
    // Now there is something to recover.
    header.state.store(static_cast<std::uint32_t>(PoolState::attached), std::memory_order_release);
    return pool;
}

bool Pool::was_attached(const Segment& segment) {
    return check_header(segment, PoolState::attached).has_value();
}

Result<std::unique_ptr<Pool>> Pool::recover(Segment segment, std::span<Claim> claims,
                                            RecoveryReport& report) {
    if (const Result<void> good = check_header(segment, PoolState::attached); !good) return good.error();
    auto& header = *reinterpret_cast<PoolHeader*>(segment.data());
    Recovery recovery(segment.data(), header);
    if (!recovery.repair_index(report))
        return attach_error(Errc::protocol, segment, "is damaged: nothing leads to its pairs any more");
    recovery.answer(claims);
    PoolIdentity identity = identity_in(header);
    std::unique_ptr<Pool> pool(new Pool(std::move(segment), std::move(identity), recovery));
    recovery.finish(
        pool->index_, claims, [&](std::uint64_t block) { pool->heap_.free(block); }, report);
    for (const Claim& claim : claims)
        if (claim.held) pool->hold(claim.block);
    pool->show_counters();
    ++header.recoveries;
    return pool;
}

Pool::Pool(Segment segment, PoolIdentity identity, Recovery& recovery)
    : segment_(std::move(segment)),
      data_(segment_.data()),
      identity_(std::move(identity)),
      heap_(data_, header().heap_offset, header().heap_bytes,
            [&recovery](Heap::Used& used) { return recovery.next(used); }),
      index_(data_, header(), heap_, recovery.found(heap_)),
      compactor_(data_, heap_, index_),
      capacity_bytes_(capacity_of(heap_)) {
    held_.reserve(held_blocks_usual);
}

Pool::Pool(Segment segment, PoolIdentity identity)
    : segment_(std::move(segment)),
      data_(segment_.data()),
      identity_(std::move(identity)),
      heap_(data_, header().heap_offset, header().heap_bytes),
      index_(data_, header(), heap_),
      compactor_(data_, heap_, index_),
      capacity_bytes_(capacity_of(heap_)) {
    held_.reserve(held_blocks_usual);
    show_counters();
}

void Pool::mark_gone(const std::string& segment_name) {
    const Result<Segment> segment = Segment::open(segment_name, Access::read_write);
    if (segment) mark_gone(*segment);
}

void Pool::mark_gone(const Segment& segment) {
    if (segment.size() < limits::pool_bytes_min) return;
    auto& header = *reinterpret_cast<PoolHeader*>(segment.data());
    if (header.magic.load(std::memory_order_acquire) != pool_magic) return;
    std::uint64_t none = 0;  // what the manager has said itself stays
    header.gone.compare_exchange_strong(none, static_cast<std::uint64_t>(PoolEnd::manager),
                                        std::memory_order_release, std::memory_order_relaxed);
}

void Pool::mark_gone(PoolEnd end) {
    header().gone.store(static_cast<std::uint64_t>(end), std::memory_order_release);
}

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

/// All but the value, and a placement by hand.
inline void Pool::set_header(Block& block, const Pair& pair, std::uint64_t value_bytes) noexcept {
    block.set_words(pair.hash, pair.key.word() | (std::uint64_t{pair.checkpoint} << 32),
                    value_bytes | (std::uint64_t{pair.mark != 0} << Block::marked_shift) |
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
    return show(offset);
}

[[gnu::always_inline]] inline Result<void> Pool::show(std::uint64_t offset) {
    Block& block = block_at(offset);
    const Index::Place place = index_.find(block.key(), block.hash());
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
    if (index_.find(block.key(), block.hash()) || !index_.insert(offset, block.hash())) return false;
    word |= block_word::visible;
    show_counters();
    return true;
}

void Pool::set_mark(Block* block, std::uint64_t mark) {
    DDICT_ASSERT((block->size_and_flags_ & block_word::visible) == 0 && block->is_marked(),
                 "a pair is marked before it is published, and was reserved with a mark");
    std::memcpy(block->trailer(block->trailers() - 1), &mark, sizeof mark);
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
    if (!admits(pair, pair.value.size())) return refusal(pair, pair.value.size());
    const std::uint64_t offset = allocate(pair, pair.value.size());
    if (offset == 0) return put_through_scratch(pair, noted);
    set_value(block_at(offset), pair.value);
    note(noted, 0, offset);
    return show(offset);
}

/// Into the memory of the key's old block. There is a pair that the index leads to at any moment: the old
/// one, the new one in the scratch block, the new one where it stays.
Result<void> Pool::put_through_scratch(const Pair& pair, Noted* noted) {
    const std::uint64_t value_bytes = pair.value.size();
    const std::uint64_t need = Block::bytes_for(pair, value_bytes);
    const Index::Place place = index_.find(pair.key, pair.hash);
    const std::uint64_t scratch = compactor_.scratch();
    if (!place || (block_at(place.block).size_and_flags_ & block_word::pin_mask) != 0 || scratch == 0 ||
        heap_.block_bytes(scratch) < need || heap_.bytes_if_freed(place.block) < need)
        return no_space(pair.key, value_bytes);
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
    block_at(scratch).size_and_flags_ &= ~block_word::visible;
    show_counters();
    return {};
}

bool Pool::erase(KeyBytes key, std::uint64_t hash, Noted* noted) {
    const Index::Place place = index_.find(key, hash);
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
    block.size_and_flags_ &= ~block_word::visible;
    if ((block.size_and_flags_ & block_word::pin_mask) == 0) free(offset);
    settle_if_empty();
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

std::uint64_t Pool::scan(std::uint64_t cursor, const std::function<bool(const Block&)>& visit) const {
    constexpr std::uint64_t last = ~std::uint64_t{0};
    Index::SegmentEntries found;
    for (;;) {
        index_.gather(cursor, found);
        const auto end = found.entries.begin() + static_cast<std::ptrdiff_t>(found.count);
        std::sort(found.entries.begin(), end,
                  [](const Index::Entry& a, const Index::Entry& b) { return a.shard_hash < b.shard_hash; });
        bool wanted = true;
        for (auto entry = found.entries.begin(); entry != end; ++entry) {
            if (!wanted && entry->shard_hash != (entry - 1)->shard_hash) return entry->shard_hash;
            wanted = visit(block_at(entry->block)) && wanted;
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
            .keys = index_.size()};
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
