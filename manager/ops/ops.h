// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the manager does for each verb: functions without state. Each answers its request, now or later,
// exactly once, by way of ShardParts::replies.
#pragma once

#include <algorithm>

#include "manager/call.h"
#include "manager/shard_parts.h"

namespace ddict::manager::ops {

/// Makes a change of one request, answers the request, and wakes who waits for the pair. False if the change
/// was refused.
inline bool commit(ShardParts& shard, const Call& call, const store::Change& change) {
    const store::Applied applied = shard.store.apply(change);
    shard.replies.answer(call, applied);
    if (!applied.succeeded()) return false;
    if (change.kind == store::ChangeKind::put) shard.waiters.on_put(change);
    return true;
}

/// When a time to live of so many microseconds that begins now is over.
inline std::uint64_t end_of(const ShardParts& shard, std::uint64_t ttl) {
    constexpr std::uint64_t longest = std::uint64_t{1} << 60;  // 36 years
    return shard.options.now() + std::min(ttl, longest / 1000) * 1000;
}

// pairs.cpp
void put(ShardParts& shard, const Call& call);
void get(ShardParts& shard, const Call& call);
void contains(ShardParts& shard, const Call& call);
void erase(ShardParts& shard, const Call& call);
void pop(ShardParts& shard, const Call& call);
/// Of a pop whose reply is cached, and has the pair.
void put_back(ShardParts& shard, const Call& call);
void wait_for(ShardParts& shard, const Call& call);
void cancel_wait(ShardParts& shard, const Call& call);
void touch(ShardParts& shard, const Call& call);
/// The value of a put has come as a payload.
void finish_put(ShardParts& shard, const Call& call, shm::Block* block);

// atomics.cpp
void compare_and_swap(ShardParts& shard, const Call& call);
void fetch_add(ShardParts& shard, const Call& call);
void append(ShardParts& shard, const Call& call);

// batches.cpp
void batch(ShardParts& shard, const Call& call);

// scans.cpp
void scan(ShardParts& shard, const Call& call);
void count_prefix(ShardParts& shard, const Call& call);
void erase_prefix(ShardParts& shard, const Call& call);

// whole_shard.cpp
void size(ShardParts& shard, const Call& call);
void clear(ShardParts& shard, const Call& call);
void checkpoints(ShardParts& shard, const Call& call);
void freeze(ShardParts& shard, const Call& call);
void stats(ShardParts& shard, const Call& call);
void directory(ShardParts& shard, const Call& call);
void ping(ShardParts& shard, const Call& call);
void goodbye(ShardParts& shard, const Call& call);
void shutdown(ShardParts& shard, const Call& call);
void restart(ShardParts& shard, const Call& call);
ManagerStats statistics(const ShardParts& shard, PeerId asking);

// broadcasts.cpp
void broadcast_put(ShardParts& shard, const Call& call);
void broadcast_erase(ShardParts& shard, const Call& call);

}  // namespace ddict::manager::ops
