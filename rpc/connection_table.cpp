// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection_table.h"

namespace ddict {

Connection* ConnectionTable::look_up(std::uint32_t manager) const {
    const auto found = by_manager_.find(manager);
    return found == by_manager_.end() ? nullptr : last_ = found->second.get();
}

Connection* ConnectionTable::find_peer(PeerId peer) const {
    const auto found = by_peer_.find(peer);
    return found == by_peer_.end() ? nullptr : found->second;
}

void ConnectionTable::add(std::unique_ptr<Connection> connection) {
    const std::uint32_t manager = connection->entry().manager;
    const bool added = by_manager_.emplace(manager, std::move(connection)).second;
    DDICT_ASSERT(added, "a manager has two connections");
}

}  // namespace ddict
