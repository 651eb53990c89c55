// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The part of the other side that is written in C.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/// Puts what Python reads, or counts what is not as Python has put it.
int partner_in_c(int puts);

#ifdef __cplusplus
}
#endif
