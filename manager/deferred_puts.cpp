// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/deferred_puts.h"

#include "base/hash.h"

namespace ddict::manager {

bool DeferredPuts::add(const Call& call) {
    const shm::Pair pair = pair_of(call, {});
    const std::uint64_t bytes = call.header.value_bytes;
    const bool helps = store_.has_retired() || store_.pool().may_make_space(pair, bytes) ||
                       store_.pool().takes_long(pair, bytes);
    if (!helps || puts_.size() >= limits::deferred_puts_max) return false;
    puts_.push_back({.request = call.header,
                     .key = OwnedKey(call.key),
                     .placement = call.placement,
                     .until = call.until,
                     .payload_token = call.payload_token});
    return true;
}

void DeferredPuts::step() {
    const Put& first = puts_.front();
    Call call = replies_.call_of(first.request);
    call.key = first.key.view();
    call.placement = first.placement;
    call.until = first.until;
    call.hash = hash_of(call.key);
    call.payload_token = first.payload_token;
    const std::uint64_t bytes = call.header.value_bytes;
    if (const Errc code = store_.refusal(call.key, store::BroadcastRole::none); code != Errc{}) {
        replies_.refuse(call, code);
    } else if (!replies_.has_capacity_for_payload()) {
        replies_.refuse(call, Errc::busy);
    } else if (store_.take_some(pair_of(call, {}), bytes)) {
        return;
    } else {
        store_.make_space(pair_of(call, {}), bytes);
        const Result<shm::Block*> block = store_.reserve(pair_of(call, {}), bytes);
        if (block) {
            replies_.receive_into(**block, call);
        } else if (block.error().code != Errc::no_space ||
                   (!store_.has_retired() && !store_.pool().may_make_space(pair_of(call, {}), bytes))) {
            replies_.refuse(call, block.error());
        } else {
            return;
        }
    }
    puts_.pop_front();
    if (puts_.empty()) store_.stop_making_space();
}

void DeferredPuts::drop_session(std::uint64_t session) {
    if (puts_.empty()) return;
    std::erase_if(puts_, [&](const Put& put) {
        if (put.request.session != session) return false;
        replies_.discard_payload(put.payload_token);
        return true;
    });
    if (puts_.empty()) store_.stop_making_space();
}

}  // namespace ddict::manager
