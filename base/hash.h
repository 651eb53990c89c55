// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The hash of a key, fixed by the protocol version: XXH3, 64 bits, no seed (https://xxhash.com, specification
// in doc/xxhash_spec.md of its repository), of its bytes; and its type mixed in, so that keys with the same
// bytes and different types are spread apart. Every client and manager must compute the same.
#pragma once

#include <cstdint>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"

namespace ddict {

inline std::uint64_t hash_of(Bytes bytes) noexcept {
    return XXH3_64bits(bytes.data(), bytes.size());
}

/// That of a text is the hash of its bytes.
inline std::uint64_t hash_of(KeyBytes key) noexcept {
    constexpr std::uint64_t spread = 0x9e37'79b9'7f4a'7c15;  // 2^64 divided by the golden ratio
    const std::uint64_t hash = hash_of(key.bytes());
    if (key.type() == type_text) [[likely]]
        return hash;
    return hash ^ static_cast<std::uint64_t>(key.type() ^ type_text) * spread;
}

}  // namespace ddict
