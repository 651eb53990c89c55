// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How a pool begins and ends: in a new segment, after a manager that was killed, or after a dictionary that
// was kept.
#include "shm/pool.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "shm/layout.h"

namespace ddict::shm {
namespace {

constexpr std::size_t held_blocks_usual = 256;
// Of a sparse pool: where the heap ends, and what a request that finds no space takes at the least, which is
// some milliseconds of the kernel's; a larger value takes what it needs.
constexpr std::uint64_t bytes_at_end = std::uint64_t{64} << 10;
constexpr std::uint64_t bytes_at_once = std::uint64_t{16} << 20;
// Of what a large value needs, in one step: others are served in between.
constexpr std::uint64_t bytes_per_step = std::uint64_t{8} << 20;
constexpr std::chrono::milliseconds between_refusals{50};
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

Result<void> check_layout(const Segment& segment) {
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
    return {};
}

bool is_in(const Segment& segment, PoolState state) {
    const auto& header = *reinterpret_cast<const PoolHeader*>(segment.data());
    return header.state.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(state);
}

Result<void> check_recoverable(const Segment& segment) {
    if (const Result<void> good = check_layout(segment); !good) return good;
    if (is_in(segment, PoolState::attached) || is_in(segment, PoolState::kept)) return {};
    return attach_error(Errc::system, segment, "has not been used by a manager yet");
}

void set_identity(PoolHeader& header, const PoolIdentity& identity) {
    header.manager = identity.manager;
    header.dictionary_id = identity.dictionary_id;
    std::memcpy(header.secret, identity.secret.data(), sizeof header.secret);
    std::memset(header.node, 0, sizeof header.node);
    std::memcpy(header.node, identity.node.data(), identity.node.size());
}

std::uint64_t heap_end_in(const PoolHeader& header) noexcept {
    return header.heap_offset + header.heap_bytes - Heap::end_mark_bytes;
}

void set_used_until(PoolHeader& header, std::uint64_t end) noexcept {
    for (AtomicWord& word : header.used_until)
        word.store(end, std::memory_order_release);
}

/// Of a pool that is not all there: how much of it its managers may have used. All, where that makes no
/// sense.
std::uint64_t used_until_in(const PoolHeader& header) noexcept {
    const std::uint64_t used = std::max(header.used_until[0].load(std::memory_order_acquire),
                                        header.used_until[1].load(std::memory_order_acquire));
    return used < Pool::bytes_at_first || used > header.segment_bytes - bytes_at_end ? header.segment_bytes
                                                                                     : used;
}

/// Key and value together that the heap holds when it is empty. In a sparse one what never moves lies at the
/// end of what was there at first, and cuts it in two.
std::uint64_t capacity_of(const Heap& heap, std::uint64_t bytes_at_first = 0) noexcept {
    const std::uint64_t kept = std::max(Compactor::scratch_bytes_in(heap.total_bytes()), bytes_at_first);
    return heap.total_bytes() - kept - pair_overhead_bytes_max;
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

Result<void> Pool::format(Segment& segment, const PoolIdentity& identity,
                          const WorkingSetSettings& working_set) {
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
    set_identity(header, identity);
    header.segment_bytes = segment.size();
    header.heap_offset = heap_start_offset;
    header.heap_bytes = heap_bytes_of(segment.size());
    header.gone.store(0, std::memory_order_relaxed);
    header.clearing.store(0, std::memory_order_relaxed);
    header.is_without_kept = 0;
    WorkingSet::lay_out(header, working_set);
    header.freeze_epoch.store(0, std::memory_order_relaxed);
    header.state.store(static_cast<std::uint32_t>(PoolState::formatted), std::memory_order_relaxed);
    header.magic.store(pool_magic, std::memory_order_release);
    return {};
}

/// The end too, where the heap has its mark.
Result<Segment> Pool::create_sparse_segment(const std::string& name, std::uint64_t bytes,
                                            const Preparation& prepare) {
    if (bytes <= 2 * bytes_at_first) return Segment::create(name, bytes, prepare);
    Result<Segment> segment = Segment::create_sparse(name, bytes, bytes_at_first, prepare);
    if (!segment) return segment;
    const Result<void> last = segment->reserve(bytes - bytes_at_end, bytes);
    if (last) return segment;
    Segment::remove(name);
    return last.error();
}

Result<std::unique_ptr<Pool>> Pool::attach(Segment segment) {
    if (const Result<void> good = check_layout(segment); !good) return good.error();
    if (!is_in(segment, PoolState::formatted))
        return attach_error(Errc::system, segment, "was used by a manager already: it is to be recovered");
    auto& header = *reinterpret_cast<PoolHeader*>(segment.data());
    // What has been made sparse begins so; it costs nothing where it is there.
    if (segment.reserved_bytes() < segment.size()) {
        const Result<void> first = segment.reserve(0, std::min(segment.size(), bytes_at_first));
        if (!first) return first.error();
        set_used_until(header, segment.reserved_bytes());
    }
    PoolIdentity identity = identity_in(header);
    std::unique_ptr<Pool> pool(new Pool(std::move(segment), std::move(identity)));
    // Now there is something to recover.
    header.state.store(static_cast<std::uint32_t>(PoolState::attached), std::memory_order_release);
    return pool;
}

bool Pool::was_attached(const Segment& segment) {
    return check_layout(segment) && (is_in(segment, PoolState::attached) || was_kept(segment));
}

bool Pool::was_kept(const Segment& segment) {
    return check_layout(segment) && is_in(segment, PoolState::kept);
}

Result<void> Pool::hand_over(Segment& segment, const PoolIdentity& identity) {
    if (const Result<void> good = check_recoverable(segment); !good) return good;
    auto& header = *reinterpret_cast<PoolHeader*>(segment.data());
    // First of all: nobody who has it mapped still is to read anything of the next dictionary.
    const std::uint64_t life =
        life_in(header.gone.load(std::memory_order_relaxed)) + (std::uint64_t{1} << life_shift);
    header.gone.store(life | static_cast<std::uint64_t>(PoolEnd::manager), std::memory_order_release);
    set_identity(header, identity);
    header.is_without_kept = 0;
    header.state.store(static_cast<std::uint32_t>(PoolState::kept), std::memory_order_release);
    return {};
}

void Pool::set_without_kept(Segment& segment) {
    reinterpret_cast<PoolHeader*>(segment.data())->is_without_kept = 1;
}

Result<std::unique_ptr<Pool>> Pool::recover(Segment segment, std::span<Claim> claims,
                                            RecoveryReport& report) {
    if (const Result<void> good = check_recoverable(segment); !good) return good.error();
    auto& header = *reinterpret_cast<PoolHeader*>(segment.data());
    if (segment.reserved_bytes() < segment.size()) {
        // It is there, unless the header is damaged.
        const Result<void> used = segment.reserve(0, used_until_in(header));
        if (!used) return used.error();
    }
    const bool is_whole = segment.reserved_bytes() >= segment.size();
    Recovery recovery(segment.data(), header,
                      is_whole ? heap_end_in(header) : Heap::end_before(segment.reserved_bytes()));
    if (!recovery.repair_index(report))
        return attach_error(Errc::protocol, segment, "is damaged: nothing leads to its pairs any more");
    recovery.answer(claims);
    PoolIdentity identity = identity_in(header);
    std::unique_ptr<Pool> pool(new Pool(std::move(segment), std::move(identity), recovery));
    recovery.finish(
        pool->index_, claims, [&](std::uint64_t block) { pool->heap_.free(block); }, report);
    for (const Claim& claim : claims)
        if (claim.held) pool->hold(claim.block);
    for (const Block* block : report.with_ttl)
        pool->expiries_.add(pool->offset_of(block), block->until());
    if (pool->set_.in_use()) pool->find_versions_again();
    pool->show_counters();
    if (header.state.exchange(static_cast<std::uint32_t>(PoolState::attached), std::memory_order_release) ==
        static_cast<std::uint32_t>(PoolState::kept)) {
        header.recoveries = 0;
    } else {
        ++header.recoveries;
    }
    return pool;
}

std::uint64_t Pool::free_bytes_when_empty(std::uint64_t pool_bytes) noexcept {
    const std::uint64_t bytes = heap_bytes_of(pool_bytes) - Heap::end_mark_bytes;
    return bytes - Compactor::scratch_bytes_in(bytes);
}

Pool::Pool(Segment segment, PoolIdentity identity, Recovery& recovery)
    : segment_(std::move(segment)),
      data_(segment_.data()),
      identity_(std::move(identity)),
      heap_(
          data_, header().heap_offset, header().heap_bytes,
          [&recovery](Heap::Used& used) { return recovery.next(used); }, missing()),
      index_(data_, header(), heap_, recovery.found(heap_)),
      compactor_(data_, heap_, index_, expiries_),
      set_(header()),
      capacity_bytes_(capacity_of(heap_, missing_bytes() != 0 ? bytes_at_first : 0)) {
    held_.reserve(held_blocks_usual);
}

MissingMemory Pool::missing() {
    if (missing_bytes() == 0) return {};
    return {.begin = segment_.reserved_bytes(), .take = [this](std::uint64_t until) { return take(until); }};
}

/// What cannot be had is no space, as the caller sees by what is returned. Who looks for space asks often,
/// and the kernel is asked now and then.
std::uint64_t Pool::take(std::uint64_t until) {
    const std::uint64_t there = segment_.reserved_bytes();
    if (there < until && std::chrono::steady_clock::now() >= ask_again_) {
        const std::uint64_t to = std::min(segment_.size(), std::max(until, there + bytes_at_once));
        if (!segment_.reserve(there, to) && (to == until || !segment_.reserve(there, until)))
            ask_again_ = std::chrono::steady_clock::now() + between_refusals;
    }
    const std::uint64_t now_there = segment_.reserved_bytes();
    set_used_until(header(), now_there);  // before anything is written there
    return now_there;
}

bool Pool::takes_long(const Pair& pair, std::uint64_t value_bytes) const {
    return admits(pair, value_bytes) && heap_.missing_until(Block::bytes_for(pair, value_bytes)) >
                                            segment_.reserved_bytes() + bytes_at_once;
}

/// Nothing is taken for a value that finds no place in the end.
bool Pool::take_some(const Pair& pair, std::uint64_t value_bytes) {
    const std::uint64_t until = heap_.missing_until(Block::bytes_for(pair, value_bytes));
    const std::uint64_t there = segment_.reserved_bytes();
    if (until <= there || shared_memory_free_bytes().value_or(0) < until - there) return false;
    return segment_.reserve(there, std::min(until, there + bytes_per_step)).has_value();
}

Pool::Pool(Segment segment, PoolIdentity identity)
    : segment_(std::move(segment)),
      data_(segment_.data()),
      identity_(std::move(identity)),
      heap_(data_, header().heap_offset, header().heap_bytes, missing()),
      index_(data_, header(), heap_),
      compactor_(data_, heap_, index_, expiries_),
      set_(header()),
      capacity_bytes_(capacity_of(heap_, missing_bytes() != 0 ? bytes_at_first : 0)) {
    held_.reserve(held_blocks_usual);
    show_counters();
}

std::string Pool::inconsistency() const {
    constexpr std::uint64_t last = ~std::uint64_t{0};
    if (const std::string of_heap = heap_.inconsistency(); !of_heap.empty()) return of_heap;
    std::set<std::pair<std::uint64_t, std::uint64_t>> ends;
    Index::SegmentEntries found;
    for (std::uint64_t cursor = 0;; cursor = found.last_shard_hash + 1) {
        index_.gather(cursor, found);
        for (std::size_t i = 0; i < found.count; ++i) {
            const std::uint64_t offset = found.entries[i].block;
            const Block& block = block_at(offset);
            if (block.ends()) ends.emplace(block.until(), offset);
        }
        if (found.last_shard_hash == last) break;
    }
    return ends == expiries_.ends() ? "" : "the ends of times to live are not those of the pairs";
}

void Pool::mark_gone(const std::string& segment_name) {
    const Result<Segment> segment = Segment::open(segment_name, Access::read_write);
    if (segment) mark_gone(*segment);
}

void Pool::mark_gone(const Segment& segment) {
    if (segment.size() < limits::pool_bytes_min) return;
    auto& header = *reinterpret_cast<PoolHeader*>(segment.data());
    if (header.magic.load(std::memory_order_acquire) != pool_magic) return;
    // What the manager has said itself stays.
    std::uint64_t serving = life_in(header.gone.load(std::memory_order_relaxed));
    header.gone.compare_exchange_strong(serving, serving | static_cast<std::uint64_t>(PoolEnd::manager),
                                        std::memory_order_release, std::memory_order_relaxed);
}

void Pool::mark_gone(PoolEnd end) {
    const std::uint64_t life = life_in(header().gone.load(std::memory_order_relaxed));
    header().gone.store(life | static_cast<std::uint64_t>(end), std::memory_order_release);
}

}  // namespace ddict::shm
