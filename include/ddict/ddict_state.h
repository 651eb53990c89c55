/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What managers, and this process, say of themselves, for C. The conventions are those of <ddict/ddict.h>.
 */
#ifndef DDICT_DDICT_STATE_H
#define DDICT_DDICT_STATE_H
#pragma once

#include <ddict/ddict.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What one manager says of one kind of operation: the time that the manager itself took, of about one of 64.
 */
typedef struct ddict_operation_stats {
    const char* operation; /**< its name; lives for ever */
    uint64_t count;        /**< requests; a batch is one */
    uint64_t p50_ns, p99_ns, max_ns;
} ddict_operation_stats;

/** What one manager says of itself. The fields are those of ManagerStats (<ddict/stats.h>). */
typedef struct ddict_manager_stats {
    uint32_t manager;
    int32_t pid; /**< on its host */
    char node[65];
    char transport[128]; /**< of the session that asked, as the manager sees it */
    bool frozen;
    bool without_kept; /**< the dictionary was resumed, and this manager began empty */
    uint64_t keys;
    uint64_t pool_bytes; /**< the pool, all included */
    uint64_t used_bytes; /**< taken by pairs and by the index */
    uint64_t free_bytes;
    uint64_t largest_free_bytes; /**< the largest pair that would still fit */
    uint64_t index_bytes;        /**< the part of used_bytes that is index */
    uint64_t sessions;           /**< client threads registered now */
    uint64_t rejected_messages;  /**< garbage, wrong session, wrong secret */
    uint64_t puts, gets, hits, contains, erases, clears, scans;
    uint64_t local_reads;         /**< keys that clients of its node looked up in memory, without a message */
    uint64_t refused_puts;        /**< no_space and too_large */
    uint64_t waiting;             /**< wait_for operations that wait now */
    uint64_t broadcasts;          /**< broadcast operations under way now */
    uint64_t broadcast_keys;      /**< keys stored by a broadcast, with a copy here */
    uint64_t payloads_in_flight;  /**< large values on their way in or out now */
    uint64_t private_bytes;       /**< held for requests outside the pool now */
    uint64_t repeated_requests;   /**< that came again because a connection broke */
    uint64_t unreachable_clients; /**< hellos that could not be answered */
    uint64_t restarts;            /**< how often another process has taken the manager's place */
    uint64_t tunnels;             /**< by which children of fork() reach other nodes, here now */
    uint64_t refused_tunnels;     /**< that could not be given */
    uint64_t expired;             /**< pairs that were erased since their time to live was over */
    uint64_t working_set;         /**< how many checkpoints are kept */
    uint64_t newest_checkpoint;   /**< its id */
    uint64_t oldest_checkpoint;
    uint64_t old_versions;      /**< that older checkpoints alone need */
    uint64_t old_version_bytes; /**< what those take */
    uint64_t transient_pairs;   /**< values that are of one checkpoint only */
    uint64_t held_requests;     /**< the part of `waiting` that came too early for a checkpoint */
    bool held_checkpoint;       /**< the oldest is kept for who persists it */
    uint32_t operation_count;   /**< how many of `operations` are used */
    ddict_operation_stats operations[32];
} ddict_manager_stats;

/** The statistics of all managers: `count` of them, of which the first `capacity` are written to `all`, by
 * manager id. A manager that does not answer is an error. Cost: a message to every manager. */
int ddict_stats(ddict_dictionary* dictionary, ddict_manager_stats* all, size_t capacity, size_t* count,
                ddict_error* error);
/** The statistics of those managers that answer; the others are named: `missing_count` of them, of which the
 * first `missing_capacity` are written to `missing`. All are asked side by side; one that does not answer is
 * waited for 2 s at the most. Errors: DICTIONARY_GONE. */
int ddict_partial_stats(ddict_dictionary* dictionary, ddict_manager_stats* all, size_t capacity,
                        size_t* count, ddict_missing_manager* missing, size_t missing_capacity,
                        size_t* missing_count, ddict_error* error);
/** The statistics of one manager. Errors: INVALID_ARGUMENT. */
int ddict_stats_of(ddict_dictionary* dictionary, uint32_t manager, ddict_manager_stats* stats,
                   ddict_error* error);

/** How the connection to one manager is. */
typedef struct ddict_manager_health {
    uint32_t manager;
    bool alive;
    char node[65];         /**< "" if it could not be found out */
    int64_t round_trip_ns; /**< of an empty message, if it is alive */
    ddict_error error;     /**< why it gave no sign of life; code DDICT_OK if it did */
    uint64_t restarts;     /**< if it is alive: how often another process has taken its place */
    bool restarting;       /**< if it is not: another process is being started in its place */
} ddict_manager_health;

/** Of a dictionary that was resumed, the managers of which nothing was kept, and which began empty: `count`
 * of them, of which the first `capacity` are written to `managers`. */
int ddict_empty_managers(ddict_dictionary* dictionary, uint32_t* managers, size_t capacity, size_t* count,
                         ddict_error* error);
/** Asks every manager for a sign of life. `all`, `capacity` and `count` as in ddict_stats(). A lost manager
 * is no error of the call; each is waited for 2 s at the most. Cost: a message to every manager, to 64 at
 * once; each 64 have their share of the time. */
int ddict_health(ddict_dictionary* dictionary, ddict_manager_health* all, size_t capacity, size_t* count,
                 ddict_error* error);

/** What this process has done with one kind of operation: OperationProfile (<ddict/profile.h>). */
typedef struct ddict_operation_profile {
    const char* operation; /**< its name; lives for ever */
    uint64_t count;        /**< requests that have ended */
    uint64_t errors;       /**< of these; a missing key does not count */
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t samples; /**< how many were timed */
    int64_t p50_ns, p90_ns, p99_ns, longest_ns;
} ddict_operation_profile;

/** What this process has done with the dictionary since it attached, or since ddict_profile_reset(). */
typedef struct ddict_client_profile {
    uint64_t threads;     /**< that have connections now */
    uint64_t local_reads; /**< keys that were looked up in this node's memory, without a message */
} ddict_client_profile;

/** The profile, and its kinds of operations: `count` of them, of which the first `capacity` are written to
 * `operations`. No message. */
int ddict_profile(ddict_dictionary* dictionary, ddict_client_profile* profile,
                  ddict_operation_profile* operations, size_t capacity, size_t* count, ddict_error* error);
/** Begins to count anew, for all handles and threads. No message. */
int ddict_profile_reset(ddict_dictionary* dictionary, ddict_error* error);

#ifdef __cplusplus
}
#endif

#endif
