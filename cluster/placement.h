// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which shard owns a key, by the key's hash.
#pragma once

#include <cstdint>

#include "base/key_placement.h"
#include "cluster/ids.h"

namespace ddict {

/// The shard that owns a key: the hash scaled to [0, managers), which uses its upper bits and needs no
/// division. A shard therefore must not use the upper bits again; see shard_hash().
inline ShardId shard_of(std::uint64_t hash, std::uint32_t managers) noexcept {
    __extension__ using wide = unsigned __int128;
    return ShardId{static_cast<std::uint32_t>((static_cast<wide>(hash) * managers) >> 64)};
}

/// The same of a key that may have been placed by hand.
inline ShardId shard_of(std::uint64_t hash, const KeyPlacement& placement, std::uint32_t managers) noexcept {
    if (placement.by == PlacedBy::number)
        return ShardId{static_cast<std::uint32_t>(placement.value % managers)};
    return shard_of(placement.by == PlacedBy::hash ? placement.value : hash, managers);
}

/// The hash as a shard uses it: the upper bits, which all keys of one manager share, are turned to the lower
/// end.
inline std::uint64_t shard_hash(std::uint64_t hash) noexcept {
    return (hash << 16) | (hash >> 48);
}

}  // namespace ddict
