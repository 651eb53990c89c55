// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What processes take, as the kernel accounts for it.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace ddict::bench {

struct ProcessMemory {
    std::uint64_t pools = 0;   ///< bytes of ddict's segments in /dev/shm that are mapped and touched
    std::uint64_t others = 0;  ///< all else; what is shared with other processes counts in parts (Pss)
    std::uint64_t own = 0;  ///< what it takes for itself: memory that no file stands behind, and all that it
                            ///< has touched of the memory of its connections
};

/// Throws std::runtime_error if there is no such process, or it is another user's.
ProcessMemory memory_of(pid_t pid);

}  // namespace ddict::bench
