// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"
#include "manager/ops/ops.h"
#include "wire/items.h"

namespace ddict::manager::ops {
namespace {

// A larger value has to be asked for alone.
constexpr std::size_t value_bytes_in_page_max = 16 * 1024;
// How many pairs one request looks at, whether they match or not: less than a millisecond's work, or a few if
// it erases all of them.
constexpr std::size_t pairs_looked_at_max = 8 * 1024;
// Beyond the page's nominal size there are at most one more pair and those that share its whole hash: 27
// (see Pool::scan), whose values are left out if they do not fit.
static_assert(PrivateMemory::page_capacity >=
              limits::page_bytes_max +
                  wire::packed_pair_bytes(limits::key_bytes_max, value_bytes_in_page_max, PlacedBy::hash) +
                  27 * wire::packed_pair_bytes(limits::key_bytes_max, 0, PlacedBy::hash));

/// A prefix is of one type.
bool is_wanted(const Call& call, KeyBytes key) {
    const bool of_type = !call.key.empty() || call.has(wire::scan_of_type);
    return (!of_type || key.type() == call.header.key_type) && text_of(key).starts_with(text_of(call.key));
}

}  // namespace

void scan(ShardParts& shard, const Call& call) {
    ++shard.counts.scans;
    PrivateMemory::Buffer buffer = shard.replies.memory().take_page();
    if (!buffer) return shard.replies.refuse(call, Errc::busy);
    wire::ItemWriter page(buffer.bytes().subspan(sizeof(wire::ReplyHeader), PrivateMemory::page_capacity));
    const bool with_values = call.has(wire::scan_values);
    const store::BroadcastMarks& marks = shard.store.marks();
    const bool only_broadcasts = call.has(wire::scan_broadcasts);
    if (only_broadcasts && !marks.any()) return shard.replies.reply_page(call, std::move(buffer), 0, 0);
    std::size_t looked_at = 0;
    const auto visit = [&](const shm::Block& block) {
        ++looked_at;
        const KeyBytes key = block.key();
        // Who asks for placements keeps what he gets: what has a time to live is left out.
        const bool with_placements = call.has(wire::scan_placements);
        const bool is_left_out =
            marks.is_copy(key) || (only_broadcasts && !marks.holds(key)) || (with_placements && block.ends());
        if (is_wanted(call, key) && !is_left_out) {
            const KeyPlacement placement = with_placements ? block.placement() : KeyPlacement{};
            const bool transient = with_placements && block.is_transient();
            if (!with_values) {
                page.key(key);
            } else if (block.value_bytes() > value_bytes_in_page_max ||
                       page.written().size() >= limits::page_bytes_max ||
                       !page.pair(key, block.value_type(), block.value(), placement, transient)) {
                page.pair_to_ask_alone(key, block.value_type(), placement, transient);
            }
        }
        return page.written().size() < limits::page_bytes_max && looked_at < pairs_looked_at_max;
    };
    const std::uint64_t next = shard.store.pool().scan(call.header.argument, visit, call.header.checkpoint);
    const std::size_t bytes = page.written().size();
    shard.replies.reply_page(call, std::move(buffer), bytes, next);
}

void count_prefix(ShardParts& shard, const Call& call) {
    ++shard.counts.scans;
    std::uint64_t count = 0;
    std::size_t looked_at = 0;
    const std::uint64_t next = shard.store.pool().scan(
        call.header.argument,
        [&](const shm::Block& block) {
            const KeyBytes key = block.key();
            if (is_wanted(call, key) && !shard.store.marks().is_copy(key)) ++count;
            return ++looked_at < pairs_looked_at_max;
        },
        call.header.checkpoint);
    shard.replies.reply(call, next, count);
}

/// The keys are gathered first: nothing may change while the pool is scanned.
void erase_prefix(ShardParts& shard, const Call& call) {
    if (shard.store.frozen()) return shard.replies.refuse(call, Errc::frozen);
    const PrivateMemory::Buffer buffer = shard.replies.memory().take_page();
    if (!buffer) return shard.replies.refuse(call, Errc::busy);
    wire::ItemWriter keys(buffer.bytes().first(PrivateMemory::page_capacity));
    std::size_t looked_at = 0;
    const std::uint64_t next = shard.store.pool().scan(
        call.header.argument,
        [&](const shm::Block& block) {
            const KeyBytes key = block.key();
            if (is_wanted(call, key) && !shard.store.marks().holds(key)) keys.key(key);
            return ++looked_at < pairs_looked_at_max && keys.written().size() < limits::page_bytes_max;
        },
        call.header.checkpoint);
    // What came of all of them is cached together. If a kill has come in between, some are gone already.
    store::Change change = change_of(call, store::ChangeKind::erase);
    change.is_one_of_many = true;
    std::uint64_t erased = 0;
    if (call.slot.reply != nullptr)
        erased = shard.store.replies().begin_many(call.slot, call.header.request, change.kind);
    for (wire::ItemReader in(keys.written()); in.key(change.pair.key);) {
        change.pair.hash = hash_of(change.pair.key);
        if (shard.store.apply(change).succeeded()) ++erased;
    }
    shard.counts.erases += erased;
    shard.replies.reply(call, next, erased);
}

}  // namespace ddict::manager::ops
