/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Puts that are collected, for C. Part of <ddict/ddict.h>, whose conventions hold.
 */
#ifndef DDICT_DDICT_BATCH_H
#define DDICT_DDICT_BATCH_H
#pragma once

#include <ddict/ddict.h>

#ifdef __cplusplus
extern "C" {
#endif

/** From here to ddict_end_batch_put() the puts through this handle (ddict_put, ddict_bput) are collected and
 * sent as batches; their errors come at the end. INVALID_ARGUMENT: one has been started. */
int ddict_start_batch_put(ddict_dictionary* dictionary, ddict_error* error);
/** Sends what is left and waits for all. `stored` and `failed` (may be NULL) are always filled. Returns the
 * first error of a put. INVALID_ARGUMENT: none was started. */
int ddict_end_batch_put(ddict_dictionary* dictionary, uint64_t* stored, uint64_t* failed, ddict_error* error);

/** A put of a batch that has failed. */
typedef struct ddict_failure {
    ddict_key key; /**< all of it */
    ddict_error error;
} ddict_failure;

/** How a batch of collected puts ended. */
typedef struct ddict_batch_report {
    uint64_t stored;
    uint64_t failed;
    const ddict_failure* failures; /**< the first thousand of them; the library's, as all that they hold */
    size_t failure_count;
} ddict_batch_report;

/** As ddict_end_batch_put(), but tells of all failures, by key, which are no error of the call. The report is
 * to be given back with ddict_batch_report_free(). INVALID_ARGUMENT: no batch was started. */
int ddict_end_batch_put_report(ddict_dictionary* dictionary, ddict_batch_report* report, ddict_error* error);
/** Gives back what ddict_end_batch_put_report() has filled in. NULL is allowed. */
void ddict_batch_report_free(ddict_batch_report* report);

/** Puts that are collected in an object, and stored together. Given back with ddict_batch_free(). For one
 * thread, the one that made it. Nothing is sent before ddict_batch_commit(), and one that is given back
 * without it does nothing. */
typedef struct ddict_batch ddict_batch;

/** A new batch. No message. */
int ddict_batch_new(ddict_dictionary* dictionary, ddict_batch** batch, ddict_error* error);
/** Adds a put: key and value are copied. Errors: TOO_LARGE and INVALID_ARGUMENT for what is no key, or after
 * ddict_batch_commit(); all others come with that. */
int ddict_batch_put(ddict_batch* batch, ddict_key key, ddict_slice value, uint16_t type, ddict_error* error);
/** Adds a put on all managers. */
int ddict_batch_bput(ddict_batch* batch, ddict_key key, ddict_slice value, uint16_t type, ddict_error* error);
/** Stores all pairs, once only (INVALID_ARGUMENT). Otherwise as ddict_end_batch_put(). */
int ddict_batch_commit(ddict_batch* batch, uint64_t* stored, uint64_t* failed, ddict_error* error);
/** The same, as ddict_end_batch_put_report(). */
int ddict_batch_commit_report(ddict_batch* batch, ddict_batch_report* report, ddict_error* error);
/** Gives back a batch; what was not committed is not stored. NULL is allowed. */
void ddict_batch_free(ddict_batch* batch);

#ifdef __cplusplus
}
#endif

#endif
