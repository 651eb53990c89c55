// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/sessions.h"

#include "base/assert.h"

namespace ddict::manager {

std::uint64_t Sessions::open(PeerId peer, std::uint64_t greeter, std::uint64_t greeting) {
    if (free_.empty()) {
        free_.push_back(static_cast<std::uint32_t>(sessions_.size()));
        sessions_.emplace_back();
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    const std::uint64_t tag = (random_() >> slot_bits) | 1;  // never 0, so that no id is
    const std::uint64_t id = (tag << slot_bits) | slot;
    Session& session = sessions_[slot];
    session.id = id;
    session.peer = peer;
    session.greeter = greeter;
    session.greeting = greeting;
    session.replies = replies_.open();
    if (peer != no_peer) by_peer_[peer] = id;
    by_greeter_[greeter] = id;
    return id;
}

void Sessions::close(std::uint64_t id) {
    const Session* session = find(id);
    DDICT_ASSERT(session != nullptr, "only a session that is open can be closed");
    by_peer_.erase(session->peer);
    by_greeter_.erase(session->greeter);
    replies_.close(*session->replies);
    sessions_[slot_of(id)] = {};
    free_.push_back(static_cast<std::uint32_t>(slot_of(id)));
}

void Sessions::set_peer(Session& session, PeerId peer) {
    by_peer_.erase(session.peer);
    session.peer = peer;
    if (peer != no_peer) by_peer_[peer] = session.id;
}

}  // namespace ddict::manager
