// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "manager/ops/ops.h"

namespace ddict::manager::ops {
namespace {

using store::ChangeKind;

/// Of put_if_absent and put_if_present.
bool condition_holds(const ShardParts& shard, const Call& call, KeyBytes key, std::uint64_t hash) {
    if (!call.has(wire::put_if_absent | wire::put_if_present)) return true;
    return (shard.store.pool().find(key, hash, call.header.checkpoint) != nullptr) ==
           call.has(wire::put_if_present);
}

/// Whether it comes too early, if there is no such key.
bool waits_for_key(const ShardParts& shard, const Call& call) {
    return shard.store.checkpoints().settings().waits_for_keys && !call.has(wire::at_once) &&
           !shard.store.frozen() && !Replies::is_half_made(call);
}

/// Of a pair's time to live: microseconds, at least one; 0 if it has none.
std::uint64_t left_of(const ShardParts& shard, const shm::Block& block) {
    if (!block.ends()) return 0;
    const std::uint64_t now = shard.options.now();
    return block.until() > now + 1000 ? (block.until() - now) / 1000 : 1;
}

void receive_pair(ShardParts& shard, const Call& call) {
    if (!shard.replies.has_capacity_for_payload()) return shard.replies.refuse(call, Errc::busy);
    const shm::Pair pair = pair_of(call, {});
    const std::uint64_t bytes = call.header.value_bytes;
    if (shard.store.pool().takes_long(pair, bytes) && shard.deferred_puts.add(call)) return;
    const Result<shm::Block*> block = shard.store.reserve(pair, bytes);
    if (block) return shard.replies.receive_into(**block, call);
    if (block.error().code != Errc::no_space || !shard.deferred_puts.add(call))
        shard.replies.refuse(call, block.error());
}

}  // namespace

void put(ShardParts& shard, const Call& call) {
    shard.store.pool().prefetch(call.hash);  // allocating and filling a block takes as long as the fetching
    if (!condition_holds(shard, call, call.key, call.hash)) {
        shard.replies.discard_payload(call.payload_token);
        return shard.replies.reply(call, 0);
    }
    if (call.payload_token != 0) return receive_pair(shard, call);
    store::Change change = change_of(call, ChangeKind::put);
    change.pair.value = call.value;
    change.argument = 1;
    if (commit(shard, call, change)) ++shard.counts.puts;
}

void finish_put(ShardParts& shard, const Call& call, shm::Block* block) {
    const bool may_change = shard.store.refusal(block->key(), store::BroadcastRole::none) == Errc{};
    if (may_change && !condition_holds(shard, call, block->key(), block->hash())) {
        shard.store.abandon(block);
        return shard.replies.reply(call, 0);
    }
    store::Change change = change_of(call, ChangeKind::put);
    change.reserved = block;
    change.argument = 1;
    if (commit(shard, call, change)) ++shard.counts.puts;
}

void get(ShardParts& shard, const Call& call) {
    ++shard.counts.gets;
    const shm::Block* block = shard.store.pool().find(call.key, call.hash, call.header.checkpoint);
    if (block == nullptr) {
        if (waits_for_key(shard, call)) return shard.waiters.await_key(call);
        return shard.replies.refuse(call, Errc::not_found);
    }
    ++shard.counts.hits;
    shard.replies.reply_pair(call, *block);
}

void contains(ShardParts& shard, const Call& call) {
    ++shard.counts.contains;
    const shm::Block* block = shard.store.pool().find(call.key, call.hash, call.header.checkpoint);
    const std::uint64_t left = block != nullptr ? left_of(shard, *block) : 0;
    shard.replies.reply_info(call, block, Errc{}, left);
}

/// The end of a pair that has one already is exchanged where it stands, and if a kill comes before the reply
/// is kept, once more. Others cost a copy.
void touch(ShardParts& shard, const Call& call) {
    const shm::Block* block = shard.store.pool().find(call.key, call.hash, call.header.checkpoint);
    if (block == nullptr) return shard.replies.reply(call, 0);
    const std::uint64_t ttl = call.header.argument;
    if (block->has_ttl()) shard.store.set_until(*block, ttl != 0 ? end_of(shard, ttl) : shm::no_end);
    if (block->has_ttl() || ttl == 0) return shard.replies.reply(call, 1);
    shm::Pair pair = block->pair();
    pair.checkpoint = stored_at(call);
    pair.until = end_of(shard, ttl);
    shard.store.pin(*block);  // it must not be moved to make space
    const Result<shm::Block*> copy = shard.store.reserve(pair, block->value_bytes());
    shard.store.unpin(*block);
    if (!copy) return shard.replies.refuse(call, copy.error());
    std::ranges::copy(block->value(), (*copy)->value().begin());
    store::Change change = change_of(call, ChangeKind::put);
    change.reserved = *copy;
    change.argument = 1;
    commit(shard, call, change);
}

void erase(ShardParts& shard, const Call& call) {
    ++shard.counts.erases;
    commit(shard, call, change_of(call, ChangeKind::erase));
}

/// The reply has a copy of a small value, and a pin of its own on the block of a large one.
void pop(ShardParts& shard, const Call& call) {
    if (call.has(wire::pop_put_back)) return shard.replies.refuse(call, Errc::not_found);  // none was made
    const shm::Block* block = shard.store.pool().find(call.key, call.hash, call.header.checkpoint);
    if (block == nullptr && waits_for_key(shard, call)) return shard.waiters.await_key(call);
    if (block != nullptr && block->value_bytes() > limits::inline_value_bytes_max &&
        !shard.replies.has_capacity_for_payload())
        return shard.replies.refuse(call, Errc::busy);
    const store::Applied applied = shard.store.apply(change_of(call, ChangeKind::take));
    applied.succeeded() ? shard.replies.send_pair(call, *applied.removed)
                        : shard.replies.answer(call, applied);
}

void put_back(ShardParts& shard, const Call& call) {
    store::Change change = change_of(call, ChangeKind::put_back);
    change.pair = shard.store.replies().block_of(*call.slot.reply).pair();
    if (commit(shard, call, change)) shard.waiters.on_put(change);
}

void wait_for(ShardParts& shard, const Call& call) {
    if (call.payload_token != 0) return shard.replies.receive_operand(call);
    shard.waiters.add(call);
}

void cancel_wait(ShardParts& shard, const Call& call) {
    shard.replies.reply(call, shard.waiters.cancel(call.header.session, call.header.argument) ? 1 : 0);
}

}  // namespace ddict::manager::ops
