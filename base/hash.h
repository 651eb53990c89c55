// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The hash of a key, fixed by the protocol version: XXH3, 64 bits, no seed (https://xxhash.com, specification
// in doc/xxhash_spec.md of its repository). Every client and manager must compute the same.
#pragma once

#include <cstdint>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"

namespace ddict {

inline std::uint64_t hash_of(Bytes key) noexcept {
    return XXH3_64bits(key.data(), key.size());
}

}  // namespace ddict
