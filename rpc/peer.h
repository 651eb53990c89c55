// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cluster/directory.h"
#include "rpc/transport.h"

namespace ddict {

class Connection;
class ConnectionTable;

/// What the transport knows of a connection: a peer, or none. The connection stands in the table under it
/// exactly while it has one.
class Peer {
  public:
    /// All must outlive it.
    Peer(Transport& transport, ConnectionTable& table, Connection& owner)
        : transport_(transport), table_(table), owner_(owner) {}

    PeerId id() const noexcept { return id_; }
    bool is_there() const noexcept { return id_ != no_peer; }
    /// Requires that there is none.
    Result<void> connect(const DirectoryEntry& entry);
    /// Forgets the peer, which may still be connected.
    PeerId detach();
    void close();
    /// For people; empty if there is none.
    std::string describe() const { return is_there() ? transport_.describe(id_) : std::string(); }
    std::string ways_back() const { return is_there() ? transport_.ways_back(id_) : std::string(); }

  private:
    Transport& transport_;
    ConnectionTable& table_;
    Connection& owner_;
    PeerId id_ = no_peer;
};

}  // namespace ddict
