// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/error.h>

namespace ddict {

/// What one manager says of one kind of operation. Times are what the manager itself took, in nanoseconds,
/// without the network, without the payload of a large value, and without waiting. The first operation of a
/// kind is timed, and every 64th after it.
struct OperationStats {
    Operation operation = Operation::none;
    std::uint64_t count = 0;  ///< requests, whatever came of them; a batch is one
    std::uint64_t p50_ns = 0;
    std::uint64_t p99_ns = 0;
    std::uint64_t max_ns = 0;
};

/// What one manager says of itself.
struct ManagerStats {
    std::uint32_t manager = 0;
    std::string node;      ///< host name
    std::int32_t pid = 0;  ///< on that host
    std::uint64_t keys = 0;
    std::uint64_t pool_bytes = 0;  ///< the pool, all included
    std::uint64_t used_bytes = 0;  ///< taken by pairs and by the index
    std::uint64_t free_bytes = 0;
    std::uint64_t largest_free_bytes = 0;  ///< the largest pair that would still fit
    std::uint64_t index_bytes = 0;         ///< the part of used_bytes that is index
    std::uint64_t sessions = 0;            ///< client threads registered now
    std::uint64_t rejected_messages = 0;   ///< garbage, wrong session, wrong secret
    /// Pairs, whether alone or in a batch. puts: those that were stored; hits: gets that found their key.
    std::uint64_t puts = 0, gets = 0, hits = 0, contains = 0, erases = 0, clears = 0, scans = 0;
    /// Keys that clients of the manager's node have looked up in its memory, without a message: those that
    /// they count themselves, for it to see. They are in none of the other numbers. A process that may read
    /// that memory, and not write where it is counted, is not among them.
    std::uint64_t local_reads = 0;
    std::uint64_t refused_puts = 0;    ///< no_space and too_large
    std::uint64_t waiting = 0;         ///< wait_for operations that wait now
    std::uint64_t broadcasts = 0;      ///< broadcast operations under way now
    std::uint64_t broadcast_keys = 0;  ///< keys stored by a broadcast, here or elsewhere, with a copy here
    std::uint64_t payloads_in_flight = 0;  ///< large values on their way in or out now
    std::uint64_t private_bytes = 0;       ///< held for requests outside the pool now
    /// Requests that came again because a connection broke, and were answered as the first time.
    std::uint64_t repeated_requests = 0;
    /// Hellos that could not be answered for a reason of this manager's: its log says which.
    std::uint64_t unreachable_clients = 0;
    /// How often another process has taken the manager's place, and its pairs over. The other numbers count
    /// from the last time on.
    std::uint64_t restarts = 0;
    /// Tunnels, by which children of fork() reach other nodes, that pass through this manager or end in it
    /// now; and those that it could not give: its descriptors, memory, or as many tunnels as it may have, are
    /// used up.
    std::uint64_t tunnels = 0, refused_tunnels = 0;
    std::uint64_t expired = 0;  ///< pairs that were erased since their time to live was over
    bool waits_for_keys = false, waits_for_writers = false;  ///< as in CreateOptions
    /// Checkpoints (View::at): how many are kept, which the newest and the oldest are.
    std::uint64_t working_set = 1, newest_checkpoint = 0, oldest_checkpoint = 0;
    /// Versions that older checkpoints alone need, also those that say that a key is gone: that many more
    /// than `keys`, and what they take.
    std::uint64_t old_versions = 0, old_version_bytes = 0;
    std::uint64_t transient_pairs = 0;  ///< values that are of one checkpoint only (wait_for_keys)
    std::uint64_t held_requests = 0;    ///< the part of `waiting` that came too early: for a checkpoint
    bool held_checkpoint = false;       ///< the oldest is kept for who persists it: it cannot be changed
    bool frozen = false;                ///< no pair may be changed
    /// The dictionary was resumed, and this manager began empty: Dictionary::empty_managers().
    bool without_kept = false;
    std::vector<OperationStats> operations;  ///< those that there were
    /// Of the session that asked: "same host" (with how large values go, if one side may not read the other's
    /// memory), or transport and device of UCX, and why it is not "same host", if both are on one node.
    std::string transport;
};

}  // namespace ddict
