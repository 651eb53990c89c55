// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace ddict {

/// What decides where a key lives.
enum class PlacedBy : std::uint8_t {
    own_hash = 0,  // the hash of the key
    hash,          // another hash, which the user has given
    number,        // the number of a manager, which the user has given; taken modulo their number
};
inline constexpr std::uint8_t placed_by_last = static_cast<std::uint8_t>(PlacedBy::number);

/// Where a key lives, whatever the number of managers (shard_of() in cluster/placement.h).
struct KeyPlacement {
    PlacedBy by = PlacedBy::own_hash;
    std::uint64_t value = 0;  // the hash or the number; 0 where the key's own hash decides

    bool is_by_hand() const noexcept { return by != PlacedBy::own_hash; }
    friend bool operator==(const KeyPlacement&, const KeyPlacement&) = default;
};

}  // namespace ddict
