// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/layout.h"
#include "shm/reader.h"

namespace ddict::shm {

/// A pair as it was found, and what must still be so for it to be true.
struct PoolReader::Found {
    const Bucket* bucket;
    std::uint32_t version;
    std::uint64_t structure_epoch;
    const std::byte* value;
    std::uint64_t value_bytes;
    std::uint64_t checkpoint;
    std::uint16_t value_type;
    bool is_transient = false;  // of its checkpoint only
};

}  // namespace ddict::shm
