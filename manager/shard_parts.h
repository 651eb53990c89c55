// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a shard is made of, for the functions that execute its verbs (manager/ops). Each part depends on those
// above it only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <ddict/stats.h>

#include "cluster/live_directory.h"
#include "manager/broadcaster.h"
#include "manager/checkpoint_hold.h"
#include "manager/deferred_puts.h"
#include "manager/operation_times.h"
#include "manager/replies.h"
#include "manager/session_gate.h"
#include "manager/sessions.h"
#include "manager/waiters.h"
#include "rpc/transport.h"
#include "store/store.h"

namespace ddict::manager {

struct ShardOptions {
    std::uint32_t ucx_version = 0;       // clients with another one are refused
    std::uint64_t session_seed = 0;      // of the numbers that sessions get; unpredictable in production
    std::int32_t pid = 0;                // for statistics
    Nanoclock clock = nullptr;           // for statistics; null: nothing is timed
    Nanoclock now = steady_nanoseconds;  // for times to live; the same in every process of this node
};

/// Since the shard began: pairs, whether alone or in batches. See ManagerStats.
struct EventCounts {
    std::uint64_t rejected_messages = 0;
    std::uint64_t puts = 0;
    std::uint64_t gets = 0;
    std::uint64_t hits = 0;
    std::uint64_t contains = 0;
    std::uint64_t erases = 0;
    std::uint64_t clears = 0;
    std::uint64_t scans = 0;
    std::uint64_t expired = 0;
    std::uint64_t tunnels = 0;  // now
    std::uint64_t refused_tunnels = 0;
};

struct ShardParts {
    ShardParts(store::Store& s, Transport& t, const ShardOptions& o)
        : store(s), transport(t), options(o), times(o.clock) {}

    store::Store& store;
    Transport& transport;
    ShardOptions options;
    std::optional<LiveDirectory> directory;
    std::vector<DirectoryEntry> newer_entries;  // that others have sent; see Shard::take_newer_entries()
    Sessions sessions{options.session_seed, store.replies()};
    Replies replies{store, sessions, transport};
    Waiters waiters{store, replies};
    DeferredPuts deferred_puts{store, replies};
    CheckpointHold hold{store};
    Broadcaster broadcaster{store, replies, waiters};
    SessionGate gate{options.ucx_version, store, transport, sessions, replies, waiters, deferred_puts};
    OperationTimes times;
    EventCounts counts;
    std::function<std::uint64_t()> local_reads;  // of ManagerStats; null: none are known of
    std::vector<shm::Pair> items;  // scratch: those of a batch, of whose request their bytes are
    bool shutdown_requested = false;
    bool keep_requested = false;  // with the shutdown
    bool restart_requested = false;
};

}  // namespace ddict::manager
