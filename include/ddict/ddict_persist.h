/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A dictionary that is persisted, checkpoint by checkpoint, and restored, for C. The conventions are those of
 * <ddict/ddict.h>; what the calls do stands in <ddict/dictionary.h>.
 */
#ifndef DDICT_DDICT_PERSIST_H
#define DDICT_DDICT_PERSIST_H
#pragma once

#include <ddict/ddict_checkpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A field that is 0 or NULL has its default, which the environment (DDICT_PERSIST_PATH, DDICT_PERSIST_COUNT)
 * may set. */
typedef struct ddict_persist_options {
    const char* path;      /**< the folder; it is made if its parent is there. Default: none */
    uint32_t count;        /**< how many checkpoints stay there; 0: all */
    bool restores;         /**< the dictionary begins with a persisted checkpoint: */
    uint32_t restore_from; /**< this one */
    bool read_only;        /**< pairs are changed by restoring alone; needs `restores` */
    uint32_t freq;         /**< every so many checkpoints one is persisted by itself; 0: none */
} ddict_persist_options;

/** ddict_create() of a dictionary that is persisted there. Both options may be NULL. Errors: those of
 * ddict_create() and ddict_restore(); BUSY if another dictionary of this name has the folder. */
int ddict_create_persisted(const ddict_create_options* options, const ddict_persist_options* persist,
                           ddict_dictionary** dictionary, ddict_error* error);
/** Saves all that is seen at this handle's checkpoint (ddict_checkpoint_id) to the persist path, and removes
 * what was persisted of the same checkpoint before. `info` may be NULL. Not for views (INVALID_ARGUMENT).
 * Errors: as of ddict_save(); INVALID_ARGUMENT without a persist path. */
int ddict_persist(ddict_dictionary* dictionary, ddict_checkpoint_info* info, ddict_error* error);
/** How checkpoints are persisted by themselves (ddict_persist_options.freq): PersistStatus of
 * <ddict/checkpoint.h>. */
typedef struct ddict_persist_status_info {
    bool running;
    uint32_t every; /**< 0: nothing does so */
    uint64_t persisted;
    uint64_t overtaken; /**< gone from memory before they were written */
    uint64_t failed;
    int64_t last_persisted; /**< an id; -1: none */
    int64_t last_missed;
    ddict_error error; /**< of that one; code DDICT_OK if there was none */
} ddict_persist_status_info;
/** Not for views (INVALID_ARGUMENT). Cost: a message to one manager. */
int ddict_persist_status(ddict_dictionary* dictionary, ddict_persist_status_info* status, ddict_error* error);
/** What ddict_persist_every() is to do next. */
typedef enum ddict_persist_order {
    DDICT_PERSIST_GO_ON = 0,
    DDICT_PERSIST_FINISH = 1, /**< persist also what is due and not retired yet, and return */
    DDICT_PERSIST_STOP = 2    /**< persist what has been retired, and return */
} ddict_persist_order;
/** Persists every n-th checkpoint once newer ones have retired it, in this process, until `order`, which is
 * asked ten times a second, says that it is over; Dictionary::persist_every() has the rest. `status`, which
 * may be NULL, gets what was done. Not for views (INVALID_ARGUMENT). Errors: INVALID_ARGUMENT, FROZEN
 * (read-only), DICTIONARY_GONE. */
int ddict_persist_every(ddict_dictionary* dictionary, uint32_t every,
                        ddict_persist_order (*order)(void* context), void* context,
                        ddict_persist_status_info* status, ddict_error* error);
/** The ids of the checkpoints in the persist path that are complete, in order: `count` of them, of which the
 * first `capacity` are written to `ids`, which may be NULL if that is 0. Not for views (INVALID_ARGUMENT).
 * SYSTEM if it cannot be found out. */
int ddict_persisted_ids(ddict_dictionary* dictionary, uint32_t* ids, size_t capacity, size_t* count,
                        ddict_error* error);
/** What was persisted under this id takes the place of all pairs, and the handle goes on at it. `info` may be
 * NULL. Not for views (INVALID_ARGUMENT). Before anything is changed: NOT_FOUND, NO_SPACE, PROTOCOL
 * (damaged), INCOMPATIBLE, FROZEN, INVALID_ARGUMENT (also without a persist path). Other errors are in doubt:
 * a part may be stored. */
int ddict_restore(ddict_dictionary* dictionary, uint32_t checkpoint, ddict_checkpoint_info* info,
                  ddict_error* error);
/** Of a dictionary that is read-only: ddict_restore() of the persisted checkpoint that follows the one that
 * the handle is at. Errors: those of ddict_restore(); NOT_FOUND if there is none yet; INVALID_ARGUMENT if it
 * is not read-only. */
int ddict_advance(ddict_dictionary* dictionary, ddict_checkpoint_info* info, ddict_error* error);
/** Whether it is read-only: all changes but those of ddict_restore() and ddict_advance() are FROZEN. */
bool ddict_is_read_only(ddict_dictionary* dictionary);
/** The persist path, to be freed; "" if there is none. Not for views (INVALID_ARGUMENT). */
int ddict_persist_path(ddict_dictionary* dictionary, char** path, ddict_error* error);

#ifdef __cplusplus
}
#endif

#endif
