// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection_table.h"

namespace ddict {

Connection* ConnectionTable::look_up(ShardId shard) const {
    const auto found = by_shard_.find(shard);
    return found == by_shard_.end() ? nullptr : last_ = found->second.get();
}

Connection* ConnectionTable::find_peer(PeerId peer) const {
    const auto found = by_peer_.find(peer);
    return found == by_peer_.end() ? nullptr : found->second;
}

void ConnectionTable::add(std::unique_ptr<Connection> connection) {
    const ShardId shard = connection->entry().shard;
    const bool added = by_shard_.emplace(shard, std::move(connection)).second;
    DDICT_ASSERT(added, "a shard has two connections");
}

}  // namespace ddict
