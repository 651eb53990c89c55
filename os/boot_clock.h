// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <ddict/result.h>

namespace ddict::os {

/// How far the time since boot that this process sees is ahead of the host's, in clock ticks: a time
/// namespace shifts it, and with it the start times in /proc/PID/stat. Errors: system: could not be found
/// out. No allocation but for errors.
Result<std::int64_t> boot_clock_ahead_ticks();

}  // namespace ddict::os
