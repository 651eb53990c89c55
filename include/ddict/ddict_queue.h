/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is full, for C: changes that wait for space, and bounded queues. The conventions are those of
 * <ddict/ddict.h>; what the calls of queues do stands in <ddict/queue.h>. Queues and items are the caller's,
 * and given back with ddict_queue_free() and ddict_queue_item_free(), in any order; an item is for one thread
 * at a time, a queue for any number.
 */
#ifndef DDICT_DDICT_QUEUE_H
#define DDICT_DDICT_QUEUE_H
#pragma once

#include <ddict/ddict.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A view whose changes wait where others are refused with NO_SPACE, and are TIMEOUT if there is no space by
 * the deadline; View::when_space() has the rest. Otherwise as ddict_within(). */
int ddict_when_space(ddict_dictionary* dictionary, ddict_dictionary** view, ddict_error* error);

/** A hold on a queue: what it has, its share and its items, is its own for as long as it shows that it lives.
 */
typedef struct ddict_queue ddict_queue;
/** An item that was taken. */
typedef struct ddict_queue_item ddict_queue_item;

/** A field that is 0 has its default: QueueOptions. */
typedef struct ddict_queue_options {
    uint64_t bytes;     /**< of the values of all items that are there: of arrays the elements; 0: no bound */
    uint32_t items;     /**< at most 4096; 0: 1024 */
    uint32_t producers; /**< among how many the bound is divided; 0: 1 */
    int64_t lease_ms; /**< after how long without a sign of life a holder counts as dead, up to 30 days; 0: 10
                         s */
    bool renew_by_hand; /**< no thread shows that this holder lives, but each of its calls */
} ddict_queue_options;

/** What there is in a queue: QueueStats. */
typedef struct ddict_queue_info {
    uint64_t bytes, bytes_max; /**< of values, of an array its elements */
    uint64_t items, items_max;
    uint64_t writing, ready, taken; /**< of the items */
    uint64_t pushed, finished;      /**< since it was made */
    uint32_t shares, producers;     /**< how many there are; how many are taken */
    uint32_t waiting_producers, waiting_consumers;
    int64_t lease_ms;
    bool closed;
} ddict_queue_info;

/** When ddict_queue_take() finds that there is nothing more to come. */
typedef enum ddict_queue_end {
    DDICT_QUEUE_CLOSED = 0,        /**< it was closed, and all items are done */
    DDICT_QUEUE_PRODUCERS_GONE = 1 /**< or all producers have come and gone, and all items are done */
} ddict_queue_end;

/** Makes a queue, or opens the one of this name. Without bytes, items and producers (`options` may be NULL)
 * it waits until somebody has made it. Errors: TIMEOUT; INVALID_ARGUMENT where it differs from `options`. */
int ddict_queue_open(ddict_dictionary* dictionary, const char* name, const ddict_queue_options* options,
                     ddict_queue** queue, ddict_error* error);
/** Gives back what it holds. NULL is fine. */
void ddict_queue_free(ddict_queue* queue);
/** Appends a value; waits for a share, and for space in it. Errors: TIMEOUT; TOO_LARGE, of what is more than
 * a share; INVALID_ARGUMENT, if the queue is closed; NOT_FOUND: lease lost, or the queue was removed. */
int ddict_queue_push(ddict_queue* queue, ddict_slice value, uint16_t type, int64_t timeout_ms,
                     ddict_error* error);
/** The next item; waits for one. `*item` is NULL if there will be none any more. Errors: TIMEOUT. */
int ddict_queue_take(ddict_queue* queue, ddict_queue_end end, int64_t timeout_ms, ddict_queue_item** item,
                     ddict_error* error);
/** The same for a loop over all items: waits for as long as one may come. The queue's deadline is that of
 * each message. */
int ddict_queue_next(ddict_queue* queue, ddict_queue_end end, ddict_queue_item** item, ddict_error* error);
/** Shows that the holder lives: with renew_by_hand, in time. */
int ddict_queue_renew(ddict_queue* queue, ddict_error* error);
/** Gives the share back; the items stay. */
int ddict_queue_leave(ddict_queue* queue, ddict_error* error);
/** Nothing can be pushed any more. */
int ddict_queue_close(ddict_queue* queue, ddict_error* error);
int ddict_queue_stat(ddict_queue* queue, ddict_queue_info* info, ddict_error* error);
/** Removes the queue with all that is in it. */
int ddict_queue_remove(ddict_queue* queue, ddict_error* error);

/** The value of an item, as ddict_get() and ddict_get_into(); it may be read again. */
int ddict_queue_item_get(ddict_queue_item* item, uint16_t type, ddict_value* value, ddict_error* error);
int ddict_queue_item_get_into(ddict_queue_item* item, uint16_t type, void* memory, size_t capacity,
                              ddict_value* value, ddict_error* error);
/** Of its push, and how often it was handed out. 0 for NULL. */
uint64_t ddict_queue_item_number(const ddict_queue_item* item);
uint32_t ddict_queue_item_attempt(const ddict_queue_item* item);
uint16_t ddict_queue_item_type(const ddict_queue_item* item);
uint64_t ddict_queue_item_bytes(const ddict_queue_item* item);
/** It is done: its space is given back. Errors: NOT_FOUND: lease lost; somebody else has to do it. */
int ddict_queue_item_finish(ddict_queue_item* item, ddict_error* error);
/** Shows that the holder lives, and whether the item is still its own. Errors: NOT_FOUND: lease lost. */
int ddict_queue_item_renew(ddict_queue_item* item, ddict_error* error);
/** One that is not finished goes back to the queue. NULL is fine. */
void ddict_queue_item_free(ddict_queue_item* item);

#ifdef __cplusplus
}
#endif

#endif
