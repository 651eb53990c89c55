// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "libclient/attachment.h"

namespace ddict::client {

/// What the block of a pair that is there takes of its manager's pool, without what it was placed by; none
/// if there is no such key.
using BlockSize = std::optional<std::uint64_t>;

struct PairOfManager {
    ShardId shard{};
    KeyBytes key;
};

/// Looks all of them up: those of this node in its memory, others by messages, many at once. The sizes are in
/// the order of the pairs. Errors: the first of any.
Result<std::vector<BlockSize>> block_sizes(Attachment& attachment, std::span<const PairOfManager> pairs);

}  // namespace ddict::client
