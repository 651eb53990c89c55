// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// wait_for
#include <algorithm>

#include "manager/shard.h"

namespace ddict::manager {

void Shard::on_wait_for(const Call& call) {
    if (call.body_token != 0) return receive_operand(call);
    const shm::Block* block = pool_.find(call.key, call.hash);
    if (block != nullptr && end_wait(call.header, call.peer, *block, call.value)) return;
    if (call.header.argument == 0) return refuse(call, Errc::timeout);
    if (waiting_.full()) return refuse(call, Errc::busy);
    Buffer value;
    if (!call.value.empty()) {
        // It may stay for long, and must leave room for what comes and goes.
        value = memory_.take(call.value.size(), limits::private_bytes_max / 2);
        if (!value) return refuse(call, Errc::busy);
        std::copy(call.value.begin(), call.value.end(), value.bytes().begin());
    }
    waiting_.add(call.key, {.header = call.header, .value = std::move(value)});
}

/// Answers if the pair is what is waited for. False if it is not.
bool Shard::end_wait(const wire::RequestHeader& header, PeerId peer, const shm::Block& block,
                     Bytes expected) {
    Call call;
    call.header = header;
    call.peer = peer;
    if (header.flags != wire::wait_for_value) {
        reply_pair(call, block);
        return true;
    }
    if (!has_value(block, header.value_type, expected)) return false;
    reply(call, block.checkpoint());
    return true;
}

/// A pair has been written.
void Shard::wake(Bytes key, std::uint64_t hash) {
    const shm::Block* block = nullptr;
    waiting_.for_each_of_key(key, [&](const WaitingRequests::Request& request) {
        if (block == nullptr) block = pool_.find(key, hash);
        return block != nullptr && end_wait(request.header, sessions_.find(request.header.session)->peer,
                                            *block, request.value.bytes());
    });
}

Time Shard::tick(Time now) {
    const Time next = waiting_.tick(now, [this](const wire::RequestHeader& header) {
        Call call;
        call.header = header;
        call.peer = sessions_.find(header.session)->peer;
        refuse(call, Errc::timeout);
    });
    if (!seeking_room_.empty()) go_on_seeking_room();
    return seeking_room_.empty() ? std::min(next, forget_broken_sessions(now)) : now;
}

}  // namespace ddict::manager
