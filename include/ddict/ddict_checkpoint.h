/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A dictionary that is saved, and loaded, for C. The conventions are those of <ddict/ddict.h>; what a save
 * and a load do stands in <ddict/dictionary.h>.
 */
#ifndef DDICT_DDICT_CHECKPOINT_H
#define DDICT_DDICT_CHECKPOINT_H
#pragma once

#include <ddict/ddict.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One checkpoint that is whole. */
typedef struct ddict_checkpoint_info {
    char path[1024]; /**< its folder; cut if it is longer */
    uint64_t generation;
    uint32_t managers;
    uint64_t pairs;
    uint64_t value_bytes;
    uint64_t bytes;      /**< of its files */
    uint32_t checkpoint; /**< the id, in memory, of what was saved */
} ddict_checkpoint_info;

/** Saves all pairs to a new folder DIR/NAME/GENERATION, which is there when this returns DDICT_OK, and not
 * before. `info` may be NULL. Not for views (INVALID_ARGUMENT). Errors: SYSTEM (what the file system says),
 * MANAGER_LOST, TIMEOUT. */
int ddict_save(ddict_dictionary* dictionary, const char* dir, ddict_checkpoint_info* info,
               ddict_error* error);
/** ddict_save(), after which the newest `keep` checkpoints of this dictionary's name stay in `dir`, the new
 * one included; 0: all. One that cannot be removed stays. */
int ddict_save_and_keep(ddict_dictionary* dictionary, const char* dir, unsigned keep,
                        ddict_checkpoint_info* info, ddict_error* error);
/** ddict_save_and_keep(), compressed (zstd) where that makes it smaller; the others are so if the environment
 * has DDICT_COMPRESS=1. INVALID_ARGUMENT if ddict is built without zstd. */
int ddict_save_compressed(ddict_dictionary* dictionary, const char* dir, unsigned keep,
                          ddict_checkpoint_info* info, ddict_error* error);
/** Stores all pairs of the newest checkpoint at `path` (DIR, DIR/NAME or DIR/NAME/GENERATION), with whatever
 * number of managers. `info` may be NULL. Not for views (INVALID_ARGUMENT). Before anything is changed:
 * NO_SPACE, with `manager`, `need_bytes` and `have_bytes`; NOT_FOUND, PROTOCOL (damaged), INCOMPATIBLE,
 * INVALID_ARGUMENT. Other errors are in doubt: a part may be stored. */
int ddict_load(ddict_dictionary* dictionary, const char* path, ddict_checkpoint_info* info,
               ddict_error* error);
/** ddict_load() of the newest checkpoint that a dictionary of this name has saved to `dir` and that is whole;
 * damaged ones are passed over, and `info` tells which it was. NOT_FOUND if nothing has been saved there yet,
 * for certain: `dir`/NAME is empty, or is not there although `dir`, or the folder above it, is. SYSTEM if
 * that cannot be found out, as when a file system is away. PROTOCOL if all are damaged. */
int ddict_load_latest(ddict_dictionary* dictionary, const char* dir, ddict_checkpoint_info* info,
                      ddict_error* error);
/** ddict_load() and ddict_load_latest() into a dictionary that nobody else uses before this returns. If it is
 * empty, the files are read once, which is faster, and if anything fails, it is empty again. */
int ddict_load_exclusively(ddict_dictionary* dictionary, const char* path, ddict_checkpoint_info* info,
                           ddict_error* error);
int ddict_load_latest_exclusively(ddict_dictionary* dictionary, const char* dir, ddict_checkpoint_info* info,
                                  ddict_error* error);
/** What is seen at this handle's checkpoint takes the place of all pairs of another dictionary, with whatever
 * number of managers, and the handle `target` goes on at it: Dictionary::clone_to() (<ddict/dictionary.h>).
 * Not for views (INVALID_ARGUMENT). Before anything is changed: NO_SPACE, FROZEN, INVALID_ARGUMENT. Other
 * errors are in doubt: a part may be stored. */
int ddict_clone_to(ddict_dictionary* dictionary, ddict_dictionary* target, ddict_error* error);
/** Of a dictionary that was resumed and has ddict_empty_managers(): stores there what belongs there of
 * another one that has had the same pairs: Dictionary::synchronize_from(). Errors: as of ddict_clone_to();
 * INVALID_ARGUMENT too if managers of `source` began empty themselves. */
int ddict_synchronize_from(ddict_dictionary* dictionary, ddict_dictionary* source, ddict_error* error);
/** ddict_create() of a dictionary like this one, where `options`, which may be NULL, says nothing else, and
 * ddict_clone_to() it. After an error there is no copy. */
int ddict_copy(ddict_dictionary* dictionary, const ddict_create_options* options, ddict_dictionary** copy,
               ddict_error* error);
/** The newest checkpoint at a path; needs no dictionary. Errors: as of ddict_load(). */
int ddict_find_checkpoint(const char* path, ddict_checkpoint_info* info, ddict_error* error);

#ifdef __cplusplus
}
#endif

#endif
