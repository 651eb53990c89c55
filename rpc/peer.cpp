// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/peer.h"

#include <utility>

#include "base/assert.h"
#include "rpc/connection_table.h"

namespace ddict {

Result<void> Peer::connect(const DirectoryEntry& entry) {
    DDICT_ASSERT(!is_there(), "a connection has two peers");
    const Result<PeerId> peer = transport_.connect(entry.address, entry.process);
    if (!peer) return peer.error();
    try {
        table_.set_peer(*peer, owner_);
    } catch (...) {  // no memory
        transport_.close(*peer);
        throw;
    }
    id_ = *peer;
    return {};
}

PeerId Peer::detach() {
    table_.remove_peer(id_);
    return std::exchange(id_, no_peer);
}

void Peer::close() {
    if (const PeerId peer = detach(); peer != no_peer) transport_.close(peer);
}

}  // namespace ddict
