// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/sessions.h"

#include "base/assert.h"

namespace ddict::manager {

Sessions::Sessions(std::uint64_t seed, store::ReplyCache& replies) : random_(seed), replies_(replies) {
    replies.for_each_session([this](store::SessionReplies& session) { adopt(session); });
}

/// Of a manager that was killed. What makes no sense is closed: its client says hello anew.
void Sessions::adopt(store::SessionReplies& replies) {
    const store::SessionRecord& record = *replies.record;
    if (slot_of(record.id) != replies.number || by_client_.contains(record.client))
        return replies_.close(replies);
    Session& session = slot_for(replies);
    session.id = record.id;
    session.client = record.client;
    session.hello_number = record.hello_number;
    session.replies = &replies;
    by_client_[session.client] = session.id;
}

Session& Sessions::slot_for(const store::SessionReplies& replies) {
    if (replies.number >= sessions_.size()) sessions_.resize(replies.number + std::size_t{1});
    return sessions_[replies.number];
}

std::uint64_t Sessions::open(PeerId peer, std::uint64_t client, std::uint64_t hello_number) {
    store::SessionReplies* replies = replies_.open();
    DDICT_ASSERT(replies != nullptr, "there is space for another session");
    const std::uint64_t tag = (random_() >> slot_bits) | 1;  // never 0, so that no id is
    const std::uint64_t id = (tag << slot_bits) | replies->number;
    Session& session = slot_for(*replies);
    session.id = id;
    session.peer = peer;
    session.client = client;
    session.replies = replies;
    session.set_hello_number(hello_number);
    if (peer != no_peer) by_peer_[peer] = id;
    by_client_[client] = id;
    return id;
}

void Sessions::close(std::uint64_t id) {
    const Session* session = find(id);
    DDICT_ASSERT(session != nullptr, "only a session that is open can be closed");
    by_peer_.erase(session->peer);
    by_client_.erase(session->client);
    replies_.close(*session->replies);
    sessions_[slot_of(id)] = {};
}

void Sessions::set_peer(Session& session, PeerId peer) {
    by_peer_.erase(session.peer);
    session.peer = peer;
    session.lacks_reply = false;
    if (peer != no_peer) by_peer_[peer] = session.id;
}

}  // namespace ddict::manager
