// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/session_messages.h"

namespace ddict {
namespace {

wire::RequestHeader header_of(wire::Verb verb, std::uint64_t session, std::uint64_t request) {
    wire::RequestHeader header;
    header.verb = verb;
    header.session = session;
    header.request = request;
    return header;
}

}  // namespace

void SessionMessages::send_hello(PeerId peer, std::uint64_t session) {
    ask();
    send_introduction(peer, header_of(wire::Verb::hello, session, latest_));
}

void SessionMessages::send_ping(PeerId peer, std::uint64_t session) {
    ask();
    context_.send(peer, header_of(wire::Verb::ping, session, latest_));
}

void SessionMessages::send_goodbye(PeerId peer, std::uint64_t session) {
    context_.send(peer, header_of(wire::Verb::goodbye, session, 0));
}

std::uint64_t SessionMessages::send_directory(PeerId peer, std::uint64_t session, ShardId shard) {
    wire::RequestHeader header = header_of(wire::Verb::directory, session, next_request());
    header.flags = wire::directory_of_one;
    header.argument = number_of(shard);
    context_.send(peer, header);
    return header.request;
}

void SessionMessages::send_goodbye_of_unknown(PeerId peer) {
    send_introduction(peer, header_of(wire::Verb::goodbye, 0, next_request()));
}

void SessionMessages::send_introduction(PeerId peer, wire::RequestHeader header) {
    const Credentials& credentials = context_.credentials();
    const std::vector<std::byte> hello =
        wire::pack_proven(credentials.secret, header,
                          {.dictionary_id = credentials.dictionary_id,
                           .proof = {},
                           .ucx_version = credentials.ucx_version,
                           .process = context_.transport().identity(),
                           .address = context_.transport().address_for(peer)});
    context_.send(peer, header, {}, hello);
}

bool SessionMessages::answers_any(std::uint64_t request) const noexcept {
    return first_unanswered_ != 0 && first_unanswered_ <= request && request <= highest_request();
}

std::uint64_t SessionMessages::highest_request() const noexcept {
    return wire::connection_request_bit | context_.sequence() << wire::manager_bits | number_of(shard_);
}

std::uint64_t SessionMessages::next_request() noexcept {
    context_.next_sequence();
    return highest_request();
}

void SessionMessages::ask() noexcept {
    latest_ = next_request();
    if (first_unanswered_ == 0) first_unanswered_ = latest_;
}

}  // namespace ddict
