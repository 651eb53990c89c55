// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/requester.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>

namespace ddict {
void Requester::add_manager(const DirectoryEntry& entry) {
    if (Connection* known = connections_.find(entry.shard); known != nullptr) {
        known->set_entry(entry);
    } else {
        connections_.add(std::make_unique<Connection>(context_, connections_, operations_, entry));
    }
}

Time Requester::tick(Time now) {
    context_.set_now(now);
    Time next = operations_.end_overdue();
    for (const auto& [shard, connection] : connections_) {
        if (const std::optional<Time> again = connection->tick()) next = std::min(next, *again);
    }
    return std::min(next, inquiry_.tick());
}

void Requester::leave() {
    const Error why(Errc::not_attached, "the dictionary was detached, or the thread ended, meanwhile");
    operations_.leave(why);
    for (const auto& [shard, connection] : connections_)
        connection->leave(why);
}

std::string Requester::describe(ShardId shard) const {
    const Connection* connection = connections_.find(shard);
    if (connection == nullptr || connection->peer() == no_peer) return {};
    return context_.transport().describe(connection->peer());
}

std::string Requester::ways_back(ShardId shard) const {
    const Connection* connection = connections_.find(shard);
    if (connection == nullptr || connection->peer() == no_peer) return {};
    return context_.transport().ways_back(connection->peer());
}

/// The number of the request tells whether it belongs to an operation or to a session.
void Requester::on_message(Bytes message, const IncomingPayload& payload) {
    if (message.size() < sizeof(wire::ReplyHeader)) return context_.reject(payload);
    std::uint64_t request = 0;
    std::memcpy(&request, message.data() + offsetof(wire::ReplyHeader, request), sizeof request);
    if ((request & wire::connection_request_bit) != 0) return on_session_message(message, payload);
    operations_.on_message(message, payload);
}

/// It may be late, and belong to a connection that is gone.
void Requester::on_session_message(Bytes message, const IncomingPayload& payload) {
    wire::ReplyHeader header;
    std::memcpy(&header, message.data(), sizeof header);
    if (!is_well_formed(header) || payload.token != 0) return context_.reject(payload);
    if (is_reply_to(header, wire::Verb::directory)) {
        if (!on_entry(header, message.subspan(sizeof header))) context_.reject(payload);
        return;
    }
    if (header.value_bytes != 0) return context_.reject(payload);
    Connection* connection = connections_.find(SessionMessages::shard_of(header.request));
    const bool expected = connection != nullptr ? connection->on_reply(header)
                                                : is_reply_to(header, wire::Verb::hello) ||
                                                      is_reply_to(header, wire::Verb::ping);
    if (!expected) context_.reject(payload);
}

/// The answer of one manager to where another one is.
bool Requester::on_entry(const wire::ReplyHeader& header, Bytes value) {
    if (value.size() != header.value_bytes) return false;
    const std::optional<DirectoryEntry> entry = inquiry_.read_reply(header, value);
    if (!entry) return true;  // late, or of no use
    context_.whereabouts()->learn(*entry);
    add_manager(*entry);
    return true;
}

void Requester::on_payload_received(std::uint64_t tag, bool ok) {
    operations_.on_payload_received(tag, ok);
}

void Requester::on_payload_sent(std::uint64_t tag, bool) {
    operations_.on_payload_sent(tag);
}

void Requester::on_peer_lost(PeerId peer, const Error& why) {
    if (Connection* connection = connections_.find_peer(peer); connection != nullptr)
        connection->on_peer_lost(why);
}

}  // namespace ddict
