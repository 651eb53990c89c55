// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/sessions.h"

#include "base/assert.h"

namespace ddict::manager {

std::uint64_t Sessions::open(PeerId peer, std::uint64_t greeter, std::uint64_t greeting) {
    store::SessionReplies* replies = replies_.open();
    DDICT_ASSERT(replies != nullptr, "there is room for another session");
    const std::uint32_t slot = replies->number;
    if (slot >= sessions_.size()) sessions_.resize(slot + std::size_t{1});
    const std::uint64_t tag = (random_() >> slot_bits) | 1;  // never 0, so that no id is
    const std::uint64_t id = (tag << slot_bits) | slot;
    Session& session = sessions_[slot];
    session.id = id;
    session.peer = peer;
    session.greeter = greeter;
    session.replies = replies;
    session.set_greeting(greeting);
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
}

void Sessions::set_peer(Session& session, PeerId peer) {
    by_peer_.erase(session.peer);
    session.peer = peer;
    if (peer != no_peer) by_peer_[peer] = session.id;
}

}  // namespace ddict::manager
