// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <ddict/result.h>

namespace ddict::os {

/// What /proc/PID/stat says of a process.
struct ProcessStat {
    char state = '?';              // as in proc(5): 'T' and 't' are stopped, 'Z' and 'X' have ended
    std::uint64_t start_time = 0;  // in clock ticks after the host's boot, whatever the time namespace

    bool has_ended() const { return state == 'Z' || state == 'X'; }
};

/// Errors: manager_lost: /proc shows no such process; system: it could not be found out. Allocates little: no
/// stdio.
Result<ProcessStat> process_stat(std::int32_t pid);

/// Errc::manager_lost, of a process that has ended.
Error process_ended(std::int32_t pid);

}  // namespace ddict::os
