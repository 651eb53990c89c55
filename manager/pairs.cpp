// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// put get contains erase pop clear
#include "core/hash.h"
#include "manager/shard.h"

namespace ddict::manager {

/// A pair that a broadcast has stored is the business of broadcasts only, so that no copy is ever older than
/// what the key's own manager has.
Errc Shard::refusal_of_change(wire::Verb verb, Bytes key) const {
    if (frozen_) return Errc::frozen;
    const bool is_broadcast = verb == wire::Verb::broadcast_put || verb == wire::Verb::broadcast_erase;
    return !is_broadcast && broadcast_keys_.holds(key) ? Errc::invalid_argument : Errc{};
}

/// Of put_if_absent and put_if_present.
bool Shard::condition_holds(std::uint16_t flags, Bytes key, std::uint64_t hash) const {
    if (flags == 0) return true;
    return (pool_.find(key, hash) != nullptr) == (flags == wire::put_if_present);
}

void Shard::on_put(const Call& call) {
    const wire::RequestHeader& header = call.header;
    pool_.prefetch(call.hash);  // allocating and filling a block takes as long as the fetching
    if (!condition_holds(header.flags, call.key, call.hash)) {
        if (call.body_token != 0) transport_.discard_body(call.body_token);
        return reply(call, 0);
    }
    if (call.body_token != 0) return receive_pair(call);
    const Result<void> stored = store(call, call.value);
    if (!stored) return refuse(call, stored.error());
    ++counters_.puts;
    reply(call, 1);
    written(call.key, call.hash);
}

void Shard::receive_pair(const Call& call) {
    if (!has_room_for_body()) return refuse(call, Errc::busy);
    const Result<shm::Block*> block = reserve(call, call.header.value_bytes);
    if (block) return receive_into(**block, call);
    if (block.error().code != Errc::no_space || !seek_room(call)) refuse(call, block.error());
}

void Shard::finish_put(const Call& call, shm::Block* block) {
    const Errc refusal = refusal_of_change(call.header.verb, block->key());
    if (refusal != Errc{}) {
        pool_.abandon(block);
        return refuse(call, refusal);
    }
    if (!condition_holds(call.header.flags, block->key(), block->hash())) {
        pool_.abandon(block);
        return reply(call, 0);
    }
    if (const Result<void> stored = pool_.publish(block); !stored) return refuse(call, stored.error());
    ++counters_.puts;
    reply(call, 1);
    written(block->key(), block->hash());
}

void Shard::on_get(const Call& call) {
    ++counters_.gets;
    const shm::Block* block = pool_.find(call.key, call.hash);
    if (block == nullptr) return refuse(call, Errc::not_found);
    ++counters_.hits;
    reply_pair(call, *block);
}

void Shard::on_contains(const Call& call) {
    ++counters_.contains;
    reply(call, pool_.find(call.key, call.hash) != nullptr ? 1 : 0);
}

void Shard::on_erase(const Call& call) {
    ++counters_.erases;
    if (!pool_.erase(call.key, call.hash)) return refuse(call, Errc::not_found);
    reply(call);
}

/// Whoever has the reply must not find the pair any more, in shared memory neither: it is removed first, and
/// its block kept for so long. The reply has a copy of a small value, and a pin of its own on the block of a
/// large one. Another pin is kept until the client shows that it has the value.
void Shard::on_pop(const Call& call) {
    const shm::Block* block = pool_.find(call.key, call.hash);
    if (block == nullptr) return refuse(call, Errc::not_found);
    if (block->value_bytes() > limits::inline_value_bytes_max && !has_room_for_body())
        return refuse(call, Errc::busy);
    pool_.pin(block);
    pool_.erase(call.key, call.hash);
    static_cast<void>(reply_pair(call, *block));
    remember_value(call, *block);
    pool_.unpin(block);
}

void Shard::on_clear(const Call& call) {
    ++counters_.clears;
    pool_.clear();
    broadcast_keys_.clear();
    reply(call);
}

}  // namespace ddict::manager
