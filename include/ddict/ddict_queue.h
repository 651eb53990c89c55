/* SPDX-FileCopyrightText: The ddict authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is full, for C: changes that wait for space. The conventions are those of <ddict/ddict.h>.
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

#ifdef __cplusplus
}
#endif

#endif
