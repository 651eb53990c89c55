// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/ops/ops.h"

namespace ddict::manager::ops {

void broadcast_put(ShardParts& shard, const Call& call) {
    shard.broadcaster.put(call);
}

void broadcast_erase(ShardParts& shard, const Call& call) {
    shard.broadcaster.erase(call);
}

}  // namespace ddict::manager::ops
