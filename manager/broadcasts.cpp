// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// broadcast_put broadcast_erase. The managers form a tree for each key: the key's own manager is the root and
// gives each broadcast a version; the others follow in the order of their ids, counted from the root, and
// each has the next branching of those not taken yet for children. Each stores its copy, passes it on, and
// answers when its children have answered. So a copy is either of the newest version that has come by, or
// there is none; and when the root answers, nobody has an older one.
#include "core/assert.h"
#include "core/hash.h"
#include "manager/shard.h"

namespace ddict::manager {
namespace {

using wire::Verb;

constexpr std::uint64_t branching = 4;
// What a relay is given per level of the tree below it, beyond silence_until_lost; and how fast a large value
// goes at the least.
constexpr std::chrono::seconds patience_per_level{3};
static_assert(patience_per_level > limits::silence_until_lost);
constexpr std::uint64_t bytes_per_second_min = std::uint64_t{64} << 20;

/// How many levels there are below a position.
std::uint64_t height_of(std::uint64_t position, std::uint64_t managers) {
    std::uint64_t height = 0;
    for (; branching * position + 1 < managers; ++height)
        position = branching * position + 1;
    return height;
}

/// A child's patience is less than its parent's, so that it is the one that names who has failed.
std::chrono::nanoseconds patience_of(std::uint64_t height, std::uint64_t bytes) {
    return height * (patience_per_level + std::chrono::seconds(bytes / bytes_per_second_min));
}

}  // namespace

/// Whether a request of a client, or the relayed one of another manager, may become a broadcast of ours now.
/// Answers if not.
bool Shard::admits_broadcast(const Call& call) {
    const bool is_relayed = call.header.flags == wire::relayed;
    if (directory_ == nullptr || relay_ == nullptr) {
        refuse(call, Errc::system);
    } else if (!is_relayed &&
               manager_of(call.hash, directory_->manager_count()) != pool_.identity().manager) {
        refuse(call, Errc::invalid_argument);
    } else if (is_relayed && is_overtaken(call.header, call.key)) {
        if (call.body_token != 0) transport_.discard_body(call.body_token);
        join_newer(call);
    } else if (broadcasts_under_way() >= limits::broadcasts_in_flight_max) {
        refuse(call, Errc::busy);
    } else {
        return true;
    }
    return false;
}

bool Shard::is_overtaken(const wire::RequestHeader& header, Bytes key) {
    const BroadcastKeys::Entry* entry = broadcast_keys_.find(key);
    return entry != nullptr && entry->version >= header.argument;
}

/// Those below have the newer version, or are about to get it: then the answer waits until they have.
void Shard::join_newer(const Call& call) {
    const BroadcastKeys::Entry& entry = *broadcast_keys_.find(call.key);
    if (entry.under_way == BroadcastKeys::none)
        return end_broadcast(call.header, entry.code, entry.failed_manager);
    Broadcast& newer = *broadcasts_[entry.under_way];
    if (newer.joined.size() >= limits::broadcasts_in_flight_max) return refuse(call, Errc::busy);
    newer.joined.push_back(call.header);
    remember_under_way(call.header);
}

void Shard::on_broadcast_put(const Call& call) {
    if (!admits_broadcast(call)) return;
    if (call.body_token != 0) {
        if (!has_room_for_body()) return refuse(call, Errc::busy);
        const Result<shm::Block*> block = reserve(call, call.header.value_bytes);
        if (block) return receive_into(**block, call);
        transport_.discard_body(call.body_token);
        return fail_to_store(call.header, call.key, call.hash, block.error());
    }
    const Result<void> stored = store(call, call.value);
    if (!stored) return fail_to_store(call.header, call.key, call.hash, stored.error());
    start_broadcast(call.header, call.key, call.hash, Errc{});
}

/// The value of a broadcast has come as a body.
void Shard::finish_broadcast_put(Call call, shm::Block* block) {
    const std::string key(text_of(block->key()));
    call.key = bytes_of(key);
    call.hash = block->hash();
    if (frozen_) {
        pool_.abandon(block);
        return refuse(call, Errc::frozen);
    }
    if (!admits_broadcast(call)) return pool_.abandon(block);
    if (const Result<void> stored = pool_.publish(block); !stored)
        return fail_to_store(call.header, call.key, call.hash, stored.error());
    start_broadcast(call.header, call.key, call.hash, Errc{});
}

/// At the root everything stays as it was, everywhere. Below, an older copy must not stay: it goes, here and
/// in all that is below.
void Shard::fail_to_store(const wire::RequestHeader& header, Bytes key, std::uint64_t hash,
                          const Error& error) {
    ++counters_.refused_puts;
    if (header.flags != wire::relayed) return end_broadcast(header, error.code, pool_.identity().manager);
    if (broadcast_keys_.holds(key)) pool_.erase(key, hash);
    start_broadcast(header, key, hash, error.code);
}

void Shard::on_broadcast_erase(const Call& call) {
    if (!admits_broadcast(call)) return;
    const bool held = broadcast_keys_.holds(call.key);
    const bool is_relayed = call.header.flags == wire::relayed;
    // A pair of this key that no broadcast has stored is not its business.
    if (!held && !is_relayed && pool_.find(call.key, call.hash) != nullptr)
        return refuse(call, Errc::invalid_argument);
    if (held) pool_.erase(call.key, call.hash);
    start_broadcast(call.header, call.key, call.hash, held || is_relayed ? Errc{} : Errc::not_found);
}

/// What is to be had here is stored or erased: now the others. `code`: what has gone wrong already.
void Shard::start_broadcast(const wire::RequestHeader& header, Bytes key, std::uint64_t hash, Errc code) {
    const bool own = header.flags != wire::relayed;
    const std::uint64_t version = own ? ++broadcast_version_ : header.argument;
    const bool stored = header.verb == Verb::broadcast_put && code == Errc{};
    BroadcastKeys::Entry& entry = broadcast_keys_.set(key, version, stored, own);
    if (stored) written(key, hash);

    const std::uint64_t managers = directory_->manager_count();
    const std::uint64_t root = manager_of(hash, directory_->manager_count());
    const std::uint64_t position = (pool_.identity().manager + managers - root) % managers;
    const std::uint64_t first = branching * position + 1;
    const std::uint64_t end = std::min(first + branching, managers);
    if (first >= end) {
        if (code != Errc::not_found) entry.code = code;
        entry.failed_manager = pool_.identity().manager;
        return end_broadcast(header, code, pool_.identity().manager);
    }
    remember_under_way(header);
    const std::uint32_t slot = new_broadcast();
    entry.under_way = slot;
    Broadcast& broadcast = *broadcasts_[slot];
    broadcast = {.request = header,
                 .key = std::string(text_of(key)),
                 .version = version,
                 .pinned = stored ? pool_.find(key, hash) : nullptr,
                 .children = static_cast<std::uint32_t>(end - first),
                 .code = code,
                 .failed_manager = pool_.identity().manager,
                 .joined = {}};
    ddict::Request request;
    request.verb = stored ? Verb::broadcast_put : Verb::broadcast_erase;
    request.key = bytes_of(broadcast.key);
    request.flags = wire::relayed;
    request.argument = version;
    if (stored) {
        pool_.pin(broadcast.pinned);
        request.value = broadcast.pinned->value();
        request.value_type = broadcast.pinned->value_type();
        request.checkpoint = broadcast.pinned->checkpoint();
    }
    const auto patience = patience_of(height_of(position, managers), request.value.size());
    for (std::uint64_t child = first; child < end; ++child) {
        request.manager = static_cast<std::uint32_t>((root + child) % managers);
        relay_->relay(request, patience, slot);
    }
}

void Shard::on_relayed(std::uint64_t tag, const Result<Reply>& outcome) {
    DDICT_ASSERT(tag < broadcasts_.size() && broadcasts_[tag]->children > 0,
                 "an outcome of a request that was never relayed");
    Broadcast& broadcast = *broadcasts_[tag];
    if (!outcome && (broadcast.code == Errc{} || broadcast.code == Errc::not_found)) {
        broadcast.code = outcome.error().code;
        broadcast.failed_manager = outcome.error().manager;
    }
    if (--broadcast.children > 0) return;
    if (broadcast.pinned != nullptr) pool_.unpin(broadcast.pinned);
    const Broadcast ended = std::exchange(broadcast, {});
    free_broadcasts_.push_back(static_cast<std::uint32_t>(tag));
    const Errc code_below = ended.code == Errc::not_found ? Errc{} : ended.code;
    if (BroadcastKeys::Entry* entry = broadcast_keys_.find(bytes_of(ended.key));
        entry != nullptr && entry->under_way == tag) {
        entry->under_way = BroadcastKeys::none;
        entry->code = code_below;
        entry->failed_manager = ended.failed_manager;
    }
    end_broadcast(ended.request, ended.code, ended.failed_manager);
    for (const wire::RequestHeader& joined : ended.joined)
        end_broadcast(joined, code_below, ended.failed_manager);
}

void Shard::end_broadcast(const wire::RequestHeader& request, Errc code, std::uint32_t failed_manager) {
    const Call call = call_of(request);
    wire::ReplyHeader header = reply_header(request);
    header.status = static_cast<std::uint16_t>(code);
    header.argument2 = code == Errc{} ? 0 : failed_manager;
    if (call.outcome != nullptr && request.request >= call.outcome->request) remember(call, header);
    send_reply(call.peer, header);
}

std::uint32_t Shard::new_broadcast() {
    if (free_broadcasts_.empty()) {
        free_broadcasts_.push_back(static_cast<std::uint32_t>(broadcasts_.size()));
        broadcasts_.push_back(std::make_unique<Broadcast>());
    }
    const std::uint32_t slot = free_broadcasts_.back();
    free_broadcasts_.pop_back();
    return slot;
}

}  // namespace ddict::manager
