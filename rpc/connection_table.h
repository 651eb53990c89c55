// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The connections of one client, by shard and by peer.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "rpc/connection.h"

namespace ddict {

class ConnectionTable {
  public:
    using ByShard = std::unordered_map<ShardId, std::unique_ptr<Connection>>;

    /// Null if there is none.
    Connection* find(ShardId shard) const {
        const bool again = last_ != nullptr && last_->entry().shard == shard;
        return again ? last_ : look_up(shard);
    }
    Connection* find_peer(PeerId peer) const;
    /// Requires that there is none of this manager.
    void add(std::unique_ptr<Connection> connection);

    void set_peer(PeerId peer, Connection& connection) { by_peer_[peer] = &connection; }
    void remove_peer(PeerId peer) { by_peer_.erase(peer); }

    ByShard::const_iterator begin() const { return by_shard_.begin(); }
    ByShard::const_iterator end() const { return by_shard_.end(); }

  private:
    Connection* look_up(ShardId shard) const;

    ByShard by_shard_;
    std::unordered_map<PeerId, Connection*> by_peer_;
    mutable Connection* last_ = nullptr;  // most programs talk to one manager for a while
};

}  // namespace ddict
