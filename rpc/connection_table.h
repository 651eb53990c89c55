// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The connections of one client, by manager and by peer.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "rpc/connection.h"

namespace ddict {

class ConnectionTable {
  public:
    using ByManager = std::unordered_map<std::uint32_t, std::unique_ptr<Connection>>;

    /// Null if there is none.
    Connection* find(std::uint32_t manager) const {
        const bool again = last_ != nullptr && last_->entry().manager == manager;
        return again ? last_ : look_up(manager);
    }
    Connection* find_peer(PeerId peer) const;
    /// Requires that there is none of this manager.
    void add(std::unique_ptr<Connection> connection);

    void set_peer(PeerId peer, Connection& connection) { by_peer_[peer] = &connection; }
    void remove_peer(PeerId peer) { by_peer_.erase(peer); }

    ByManager::const_iterator begin() const { return by_manager_.begin(); }
    ByManager::const_iterator end() const { return by_manager_.end(); }

  private:
    Connection* look_up(std::uint32_t manager) const;

    ByManager by_manager_;
    std::unordered_map<PeerId, Connection*> by_peer_;
    mutable Connection* last_ = nullptr;  // most programs talk to one manager for a while
};

}  // namespace ddict
