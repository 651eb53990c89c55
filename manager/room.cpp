// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Large puts for which pairs must be moved longer than one event may take. They are served in the order of
// their coming, a step at each tick, and everybody else in between. Each ends: with its block, or when the
// pool has been gone through in vain.
#include "core/hash.h"
#include "manager/shard.h"

namespace ddict::manager {

/// False if there is no hope, or too many hope already.
bool Shard::seek_room(const Call& call) {
    if (seeking_room_.size() >= limits::puts_seeking_room_max ||
        !pool_.may_make_room(call.key.size(), call.header.value_bytes)) {
        return false;
    }
    seeking_room_.push_back(
        {.request = call.header, .key = std::string(text_of(call.key)), .body_token = call.body_token});
    return true;
}

/// One step for the first of them.
void Shard::go_on_seeking_room() {
    const SeekingRoom& first = seeking_room_.front();
    Call call = call_of(first.request);
    call.key = bytes_of(first.key);
    call.hash = hash_of(call.key);
    call.body_token = first.body_token;
    if (const Errc refusal = refusal_of_change(call.header.verb, call.key); refusal != Errc{}) {
        refuse(call, refusal);
    } else if (!has_room_for_body()) {
        refuse(call, Errc::busy);
    } else {
        pool_.make_room(call.key.size(), call.header.value_bytes);
        const Result<shm::Block*> block = reserve(call, call.header.value_bytes);
        if (block) {
            receive_into(**block, call);
        } else if (block.error().code != Errc::no_space ||
                   !pool_.may_make_room(call.key.size(), call.header.value_bytes)) {
            refuse(call, block.error());
        } else {
            return;
        }
    }
    seeking_room_.pop_front();
    if (seeking_room_.empty()) pool_.stop_making_room();
}

/// Its client has gone, or will ask again.
void Shard::stop_seeking_room(std::uint64_t session) {
    if (seeking_room_.empty()) return;
    std::erase_if(seeking_room_, [&](const SeekingRoom& one) {
        if (one.request.session != session) return false;
        transport_.discard_body(one.body_token);
        return true;
    });
    if (seeking_room_.empty()) pool_.stop_making_room();
}

}  // namespace ddict::manager
