// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What is not about one pair.
#include <vector>

#include "manager/ops/ops.h"
#include "wire/checkpoint_hold.h"
#include "wire/stats.h"

namespace ddict::manager::ops {

using store::ChangeKind;

void size(ShardParts& shard, const Call& call) {
    shard.replies.reply(call, shard.store.size(call.header.checkpoint));
}

void clear(ShardParts& shard, const Call& call) {
    ++shard.counts.clears;
    const bool begins = call.has(wire::clear_begins);
    commit(shard, call, change_of(call, begins ? ChangeKind::begin_at : ChangeKind::clear));
}

void checkpoints(ShardParts& shard, const Call& call) {
    if (call.has(wire::hold_asks))
        return shard.replies.reply_copy(call, shard.hold.said(), shard.hold.is_alive() ? 1 : 0);
    const auto id = static_cast<std::uint32_t>(call.header.argument);
    wire::CheckpointsReply reply;
    if (call.has(wire::hold_checkpoint)) {
        reply.was_closed = shard.hold.renew(id, call.value);
        reply.may_retire = shard.hold.may_retire(id);
        if (call.has(wire::hold_closes)) shard.hold.close(id);
    }
    if (call.has(wire::hold_ends)) shard.hold.end();
    const shm::WorkingSet& kept = shard.store.checkpoints();
    reply.newest = kept.newest();
    reply.oldest = kept.oldest();
    reply.working_set = kept.settings().size;
    if (call.has(wire::hold_checkpoint)) reply.first = kept.first();
    shard.replies.reply(call, reply.argument(), reply.argument2());
}

void freeze(ShardParts& shard, const Call& call) {
    if (call.header.argument == wire::freeze_ask)
        return shard.replies.reply(call, shard.store.frozen() ? 1 : 0);
    const bool freezes = call.header.argument == wire::freeze_on;
    store::Change change = change_of(call, freezes ? ChangeKind::freeze : ChangeKind::unfreeze);
    change.argument = freezes ? 1 : 0;
    commit(shard, call, change);
}

void stats(ShardParts& shard, const Call& call) {
    std::vector<std::byte> packed;
    pack(statistics(shard, call.peer), packed);
    shard.replies.reply_copy(call, packed, 0);
}

/// Answers with the epoch that is known now.
void replace_entry(ShardParts& shard, const Call& call) {
    Unpacker in(call.value);
    const DirectoryEntry entry = unpack_directory_entry(in);
    // Of this manager nobody knows more than its own node launcher.
    const bool is_own = number_of(entry.shard) == shard.store.pool().identity().manager;
    if (!in.good() || !in.at_end() || is_own || number_of(entry.shard) >= shard.directory->manager_count())
        return shard.replies.refuse(call, Errc::invalid_argument);
    if (shard.directory->replace(entry)) shard.newer_entries.push_back(entry);
    const Result<DirectoryEntry> known = shard.directory->entry(entry.shard);
    if (!known) return shard.replies.refuse(call, known.error());
    shard.replies.reply(call, number_of(known->epoch));
}

void directory(ShardParts& shard, const Call& call) {
    if (!shard.directory) return shard.replies.refuse(call, Errc::system);
    if (call.has(wire::directory_newer)) return replace_entry(shard, call);
    const std::size_t bytes_max = call.has(wire::directory_of_one) ? 1 : limits::page_bytes_max;
    std::vector<std::byte> page;
    std::uint64_t manager = call.header.argument;
    for (; manager < shard.directory->manager_count() && page.size() < bytes_max; ++manager) {
        const Result<DirectoryEntry> entry =
            shard.directory->entry(ShardId{static_cast<std::uint32_t>(manager)});
        if (!entry) return shard.replies.refuse(call, entry.error());
        pack(*entry, page);
    }
    shard.replies.reply_copy(call, page, manager);
}

void ping(ShardParts& shard, const Call& call) {
    const bool is_of_connection = (call.header.request & wire::connection_request_bit) != 0;
    if (is_of_connection && shard.replies.is_stalled_after_ping(call.peer)) {
        // It asks again, over another connection.
        shard.sessions.find(call.header.session)->lacks_reply = true;
        return shard.replies.note_unsent();
    }
    shard.replies.reply(call, shard.store.pool().recoveries());
}

void goodbye(ShardParts& shard, const Call& call) {
    shard.gate.end_session(*shard.sessions.find(call.header.session));
}

/// Once whoever asks has heard that it ends, nobody on this node reads from it any more.
void shutdown(ShardParts& shard, const Call& call) {
    shard.shutdown_requested = true;
    shard.keep_requested = shard.keep_requested || call.has(wire::shutdown_keeps);
    shard.store.mark_gone(shm::PoolEnd::dictionary);
    shard.replies.reply(call);
}

/// Whoever has killed a manager by asking for its restart and asks again has its answer cached.
void restart(ShardParts& shard, const Call& call) {
    const ShardId own{shard.store.pool().identity().manager};
    const Result<DirectoryEntry> entry =
        shard.directory ? shard.directory->entry(own) : Result<DirectoryEntry>(Error(Errc::invalid_argument));
    if (!entry || !entry->is_restartable)
        return shard.replies.refuse(call, Errc::invalid_argument);  // it was started without restarts
    shard.restart_requested = true;
    shard.replies.reply(call);
}

ManagerStats statistics(const ShardParts& shard, PeerId asking) {
    ManagerStats stats;
    const shm::PoolUsage usage = shard.store.pool().usage();
    const shm::PoolIdentity& identity = shard.store.pool().identity();
    stats.manager = identity.manager;
    stats.node = identity.node;
    stats.pid = shard.options.pid;
    stats.keys = shard.store.size();
    stats.pool_bytes = usage.pool_bytes;
    stats.used_bytes = usage.used_bytes;
    stats.free_bytes = usage.free_bytes;
    stats.largest_free_bytes = usage.largest_free_bytes;
    stats.index_bytes = usage.index_bytes;
    stats.sessions = shard.sessions.connected();
    stats.rejected_messages = shard.counts.rejected_messages + shard.gate.rejected();
    stats.puts = shard.counts.puts;
    stats.gets = shard.counts.gets;
    stats.hits = shard.counts.hits;
    stats.contains = shard.counts.contains;
    stats.erases = shard.counts.erases;
    stats.clears = shard.counts.clears;
    stats.scans = shard.counts.scans;
    stats.refused_puts = shard.replies.refused_puts();
    stats.waiting = shard.waiters.size();
    stats.broadcasts = shard.broadcaster.under_way();
    stats.broadcast_keys = shard.store.marks().stored();
    stats.payloads_in_flight = shard.replies.payloads_in_flight();
    stats.private_bytes = shard.replies.memory().used_bytes() + shard.store.replies().status_bytes();
    stats.repeated_requests = shard.replies.repeated();
    stats.unreachable_clients = shard.gate.unreachable_clients();
    stats.restarts = shard.store.pool().recoveries();
    stats.expired = shard.counts.expired;
    stats.local_reads = shard.local_reads ? shard.local_reads() : 0;
    stats.tunnels = shard.counts.tunnels;
    stats.refused_tunnels = shard.counts.refused_tunnels;
    const shm::WorkingSet& kept = shard.store.checkpoints();
    stats.working_set = kept.settings().size;
    stats.waits_for_keys = kept.settings().waits_for_keys;
    stats.waits_for_writers = kept.settings().waits_for_writers;
    stats.newest_checkpoint = kept.newest();
    stats.oldest_checkpoint = kept.oldest();
    stats.old_versions = kept.old_versions().versions;
    stats.old_version_bytes = kept.old_versions().bytes;
    stats.transient_pairs = kept.transient_versions().versions;
    stats.held_requests = shard.waiters.held();
    stats.held_checkpoint = kept.holds_back();
    stats.frozen = shard.store.frozen();
    stats.without_kept = shard.store.pool().is_without_kept();
    stats.operations = shard.times.statistics();
    if (asking != no_peer) stats.transport = shard.transport.describe(asking);
    return stats;
}

}  // namespace ddict::manager::ops
