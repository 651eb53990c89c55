/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Keys that end by themselves, for C. The conventions are those of <ddict/ddict.h>; what a time to live is,
 * and what it costs, stands at View::with_ttl() in <ddict/view.h>.
 */
#ifndef DDICT_DDICT_TTL_H
#define DDICT_DDICT_TTL_H
#pragma once

#include <ddict/ddict.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A view: what is stored through it is erased by its manager `ttl_ms` after it was stored; at once, if that
 * is 0 or less. Otherwise as ddict_within(). */
int ddict_with_ttl(ddict_dictionary* dictionary, int64_t ttl_ms, ddict_dictionary** view, ddict_error* error);
/** The pair that is there is erased `ttl_ms` from now; DDICT_NO_TTL: it stays until it is removed. `present`,
 * which may be NULL: whether there is one. */
int ddict_touch(ddict_dictionary* dictionary, ddict_key key, int64_t ttl_ms, bool* present,
                ddict_error* error);
/** For ddict_touch(), and what ddict_time_to_live() gives where there is none. */
#define DDICT_NO_TTL INT64_MAX
/** What is left of a pair's time to live, in microseconds. Errors: NOT_FOUND. */
int ddict_time_to_live(ddict_dictionary* dictionary, ddict_key key, int64_t* left_us, ddict_error* error);
/** As ddict_wait_for(), as long as there is the key `alive`. Errors: also NOT_FOUND, once that is gone and
 * there is no value. */
int ddict_wait_for_while(ddict_dictionary* dictionary, ddict_key key, ddict_key alive, uint16_t type,
                         int64_t timeout_ms, ddict_value* value, ddict_error* error);

#ifdef __cplusplus
}
#endif
#endif
