// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Memory that is not the host's: an address that a GPU's runtime has given out, and that the processor cannot
// read.
#pragma once

#include <atomic>

#include <ddict/error.h>

#include "base/bytes.h"

namespace ddict {

/// Whether the processor can read the bytes. Requires that there are any.
using MemoryProbe = bool (*)(Bytes memory) noexcept;

/// None where no GPU can have given out an address: then all memory is the host's, which costs one load.
inline constinit std::atomic<MemoryProbe> memory_probe{nullptr};

inline bool is_host_memory(Bytes memory) noexcept {
    const MemoryProbe probe = memory_probe.load(std::memory_order_relaxed);
    return probe == nullptr || memory.empty() || probe(memory);
}

/// invalid_argument, of memory to put from and of memory to receive into.
Error no_host_memory_to_send();
Error no_host_memory_to_receive();

}  // namespace ddict
