/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints in memory, for C: steps without a barrier. The conventions are those of <ddict/ddict.h>; what
 * each call does at a checkpoint stands in docs/checkpoints.md.
 */
#ifndef DDICT_DDICT_WORKING_SET_H
#define DDICT_DDICT_WORKING_SET_H
#pragma once

#include <ddict/ddict.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Stands for whichever checkpoint is the newest at a manager. */
#define DDICT_NEWEST_CHECKPOINT ((1u << 30) - 1)
/** A view of what the dictionary is at a checkpoint: each key has the value that was written to it last at
 * this one or an earlier one; changes are made at it, and so at later ones, but for keys that were written or
 * erased there themselves. Calls through it: CHECKPOINT_RETIRED if it is older than the newest few that the
 * managers keep (ddict_create_options). Broadcasts have no checkpoints. Otherwise as ddict_within(). */
int ddict_at(ddict_dictionary* dictionary, uint32_t checkpoint, ddict_dictionary** view, ddict_error* error);
/** Views of a dictionary whose checkpoints wait for keys (ddict_create_options; docs/checkpoints.md): what is
 * put through ddict_persistent() is seen at later checkpoints as well; a get or a pop through ddict_at_once()
 * of a key that is not there is NOT_FOUND, and does not wait for it. Elsewhere all puts and gets are so. */
int ddict_persistent(ddict_dictionary* dictionary, ddict_dictionary** view, ddict_error* error);
int ddict_at_once(ddict_dictionary* dictionary, ddict_dictionary** view, ddict_error* error);
/** The id of the checkpoint of the calls through this handle; 0 if it is of no dictionary. */
uint32_t ddict_checkpoint_id(ddict_dictionary* dictionary);
/** Goes on to the next checkpoint, or back to the one before, 0 at the least, with this handle and all its
 * views but those of ddict_at(). Returns its id. No message. Nothing happens to views. */
uint32_t ddict_checkpoint(ddict_dictionary* dictionary);
uint32_t ddict_rollback(ddict_dictionary* dictionary);
/** The same to this one. Not for views (INVALID_ARGUMENT). */
int ddict_set_checkpoint_id(ddict_dictionary* dictionary, uint32_t checkpoint, ddict_error* error);
/** The same to the newest that any manager has seen; `checkpoint`, which may be NULL, is its id. A message to
 * each manager. */
int ddict_sync_to_newest_checkpoint(ddict_dictionary* dictionary, uint32_t* checkpoint, ddict_error* error);
/** The id of the newest checkpoint that a manager of this handle has seen. */
int ddict_newest_checkpoint_id(ddict_dictionary* dictionary, uint32_t* checkpoint, ddict_error* error);

#ifdef __cplusplus
}
#endif

#endif
