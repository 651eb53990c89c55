// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

/// How many allocations of this process still succeed before one fails; negative: all do.
extern long allocations_left;
