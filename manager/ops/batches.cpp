// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// batch_get batch_put batch_erase. A batch is read and hashed as a whole first: if its packing is damaged,
// nothing of it is executed. Then it is executed a group at a time: while the caches fetch the places of the
// group's keys, and then their blocks, nobody waits for any one of them.
#include <algorithm>

#include "base/hash.h"
#include "manager/ops/ops.h"
#include "wire/items.h"

namespace ddict::manager::ops {
namespace {

using store::ChangeKind;
using wire::Verb;

constexpr std::size_t group_items = 64;

/// Fills the shard's items. False if the packing is damaged.
bool read_batch(ShardParts& shard, const Call& call) {
    std::vector<shm::Pair>& items = shard.items;
    const auto count = static_cast<std::size_t>(call.header.argument);
    items.resize(count);
    wire::ItemReader in(call.value);
    wire::PackedPair packed;
    if (call.header.verb == Verb::batch_put) {
        for (shm::Pair& item : items) {
            if (!in.pair(packed) || packed.ask_alone) return false;
            item = {.key = packed.key,
                    .hash = hash_of(packed.key),
                    .value_type = packed.value_type,
                    .checkpoint = stored_at(call),
                    .value = packed.value,
                    .placement = packed.placement,
                    .until = call.until};
        }
    } else {
        for (shm::Pair& item : items) {
            if (!in.key(packed.key)) return false;
            item = {.key = packed.key, .hash = hash_of(packed.key), .checkpoint = call.header.checkpoint};
        }
    }
    return in.at_end();
}

/// There is always space for the results that are to come, if their values are to be asked for alone.
void get_items(ShardParts& shard, std::size_t begin, std::size_t end, wire::ItemWriter& results) {
    for (std::size_t i = begin; i < end; ++i) {
        const shm::Block* block =
            shard.store.pool().find(shard.items[i].key, shard.items[i].hash, shard.items[i].checkpoint);
        if (block == nullptr) {
            results.result(static_cast<std::uint16_t>(Errc::not_found));
            continue;
        }
        ++shard.counts.hits;
        const std::size_t to_come = (shard.items.size() - i) * wire::item_header_bytes;
        if (block->value_bytes() <= results.left() - to_come) {
            results.result(0, block->value_type(), block->value());
        } else {
            results.result(wire::status_ask_alone, block->value_type());
        }
    }
    shard.counts.gets += end - begin;
}

/// Of an item, which is still to be filled in. The statuses are cached together, when all items have been
/// changed; until then, after a kill, the reply tells how many have been.
store::Change change_of_item(const Call& call, ChangeKind kind) {
    store::Change change;
    change.kind = kind;
    change.origin = {.session = call.header.session, .request = call.header.request};
    change.slot = call.slot;
    change.is_one_of_many = true;
    return change;
}

void put_items(ShardParts& shard, const Call& call, std::size_t begin, std::size_t end,
               wire::ItemWriter& results) {
    store::Change change = change_of_item(call, ChangeKind::put);
    for (std::size_t i = begin; i < end; ++i) {
        change.pair = shard.items[i];
        const store::Applied applied = shard.store.apply(change);
        if (applied.succeeded()) {
            ++shard.counts.puts;
            shard.waiters.on_put(change);
        } else {
            shard.replies.count_refused(applied.code);
        }
        results.status(static_cast<std::uint16_t>(applied.code));
    }
}

void erase_items(ShardParts& shard, const Call& call, std::size_t begin, std::size_t end,
                 wire::ItemWriter& results) {
    store::Change change = change_of_item(call, ChangeKind::erase);
    for (std::size_t i = begin; i < end; ++i) {
        change.pair = shard.items[i];
        results.status(static_cast<std::uint16_t>(shard.store.apply(change).code));
    }
    shard.counts.erases += end - begin;
}

void execute_items(ShardParts& shard, const Call& call, std::size_t begin, std::size_t end,
                   wire::ItemWriter& results) {
    for (std::size_t i = begin; i < end; ++i)
        shard.store.pool().prefetch(shard.items[i].hash);
    for (std::size_t i = begin; i < end; ++i)
        shard.store.pool().prefetch_pair(shard.items[i].hash);
    switch (call.header.verb) {
        case Verb::batch_get:
            return get_items(shard, begin, end, results);
        case Verb::batch_put:
            return put_items(shard, call, begin, end, results);
        default:
            return erase_items(shard, call, begin, end, results);
    }
}

/// Of a batch that a kill has interrupted: they are not made again.
std::size_t items_made_before(ShardParts& shard, const Call& call, wire::ItemWriter& results) {
    const ChangeKind kind = call.header.verb == Verb::batch_put ? ChangeKind::put : ChangeKind::erase;
    const auto made = std::min<std::size_t>(
        shard.store.replies().begin_many(call.slot, call.header.request, kind), shard.items.size());
    for (std::size_t i = 0; i < made; ++i)
        results.status(shard.store.replies().batch()[i]);
    return made;
}

}  // namespace

void batch(ShardParts& shard, const Call& call) {
    if (call.payload_token != 0) return shard.replies.receive_operand(call);
    if (!read_batch(shard, call)) {
        ++shard.counts.rejected_messages;
        return;
    }
    // Whether the statuses can be answered has to be known before anything is changed.
    const std::size_t count = shard.items.size();
    const bool answers_payload = count * sizeof(std::uint16_t) > limits::inline_value_bytes_max;
    if (answers_payload && !shard.replies.has_capacity_for_payload())
        return shard.replies.refuse(call, Errc::busy);
    PrivateMemory::Buffer buffer = shard.replies.memory().take_page();
    if (!buffer) return shard.replies.refuse(call, Errc::busy);
    const shm::Pool::OneStep one_step = shard.store.one_step();
    wire::ItemWriter results(
        buffer.bytes().subspan(sizeof(wire::ReplyHeader), std::size_t{limits::batch_bytes_max}));
    std::size_t begin = call.slot.reply != nullptr ? items_made_before(shard, call, results) : 0;
    for (; begin < count; begin += group_items)
        execute_items(shard, call, begin, std::min(begin + group_items, count), results);
    const std::size_t bytes = results.written().size();
    if (call.slot.reply == nullptr) return shard.replies.reply_page(call, std::move(buffer), bytes, 0);
    shard.store.replies().set_statuses(call.slot, call.header.request, results.written());
    shard.replies.send_page(call, std::move(buffer), bytes, 0);  // executed: not to be refused any more
}

}  // namespace ddict::manager::ops
