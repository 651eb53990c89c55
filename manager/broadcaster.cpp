// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/broadcaster.h"

#include <algorithm>

#include "base/assert.h"
#include "cluster/placement.h"

namespace ddict::manager {
namespace {

using store::BroadcastProgress;
using store::BroadcastRole;
using store::ChangeKind;
using wire::Verb;

constexpr std::uint64_t branching = 4;
// What a relay is given per level of the tree below it, beyond silence_until_lost; and how fast a large value
// goes at the least.
constexpr std::chrono::seconds timeout_per_level{3};
static_assert(timeout_per_level > limits::silence_until_lost);
constexpr std::uint64_t bytes_per_second_min = std::uint64_t{64} << 20;

/// How many levels there are below a position.
std::uint64_t height_of(std::uint64_t position, std::uint64_t managers) {
    std::uint64_t height = 0;
    for (; branching * position + 1 < managers; ++height)
        position = branching * position + 1;
    return height;
}

/// A child's timeout is less than its parent's, so that it is the one that names who has failed.
std::chrono::nanoseconds timeout_of(std::uint64_t height, std::uint64_t bytes) {
    return height * (timeout_per_level + std::chrono::seconds(bytes / bytes_per_second_min));
}

BroadcastRole role_of(const wire::RequestHeader& header) {
    return (header.flags & wire::relayed) != 0 ? BroadcastRole::copy : BroadcastRole::root;
}

}  // namespace

store::Change Broadcaster::change_of_broadcast(const Call& call, ChangeKind kind) const {
    store::Change change = change_of(call, kind);
    change.role = role_of(call.header);
    change.version = call.header.argument;
    return change;
}

/// Whether a request of a client, or the relayed one of another manager, may become a broadcast of ours now.
/// Answers if not.
bool Broadcaster::admits(const Call& call) {
    const bool is_relayed = call.has(wire::relayed);
    if (directory_ == nullptr || relay_ == nullptr) {
        replies_.refuse(call, Errc::system);
    } else if (!is_relayed && shard_of(call.hash, directory_->manager_count()) != own_shard()) {
        replies_.refuse(call, Errc::invalid_argument);
    } else if (is_relayed && is_overtaken(call)) {
        replies_.discard_payload(call.payload_token);
        join_newer(call, call.header.argument);
    } else if (under_way() >= limits::broadcasts_in_flight_max) {
        replies_.refuse(call, Errc::busy);
    } else {
        return true;
    }
    return false;
}

bool Broadcaster::is_overtaken(const Call& call) const {
    return store_.marks().version_of(call.key, call.hash) >= call.header.argument;
}

/// Those below have the newer version, or are about to get it: then the answer waits until they have.
void Broadcaster::join_newer(const Call& call, std::uint64_t version) {
    store_.remember_key(call.key, store_.marks().version_of(call.key, call.hash));
    const store::BroadcastMarks::Mark& mark = *store_.marks().find(call.key);
    const BroadcastProgress progress = mark.progress;
    if (progress.is_unknown) return start(call, mark.stored, Errc{});
    if (progress.under_way == BroadcastProgress::none)
        return end(call.header, progress.code, progress.failed_manager);
    Broadcast& newer = broadcasts_[progress.under_way];
    if (newer.joined.size() >= limits::broadcasts_in_flight_max) return replies_.refuse(call, Errc::busy);
    newer.joined.push_back(call.header);
    set_under_way(call.header, {version, Errc{}});
}

/// Whether a kill has come between the change and the end of the request, which has come again. Goes on then:
/// those below may not have it.
bool Broadcaster::goes_on(const Call& call) {
    const store::BroadcastNote note =
        store_.interrupted_broadcast(call.slot, call.header.request, call.key, call.hash);
    if (note.version == 0) return false;
    replies_.discard_payload(call.payload_token);
    const store::BroadcastMarks::Mark& mark = *store_.marks().find(call.key);
    mark.version > note.version ? join_newer(call, note.version) : start(call, mark.stored, note.code);
    return true;
}

void Broadcaster::put(const Call& call) {
    if (goes_on(call) || !admits(call)) return;
    if (call.payload_token != 0) {
        if (!replies_.has_capacity_for_payload()) return replies_.refuse(call, Errc::busy);
        shm::Pair pair = pair_of(call, {});
        pair.mark = shm::broadcast_mark(call.header.argument, true);  // it gets its own before it is visible
        const Result<shm::Block*> block = store_.reserve(pair, call.header.value_bytes);
        if (block) return replies_.receive_into(**block, call);
        replies_.discard_payload(call.payload_token);
        return fail_to_store(call, block.error().code);
    }
    store::Change change = change_of_broadcast(call, ChangeKind::put);
    change.pair.value = call.value;
    const store::Applied applied = store_.apply(change);
    if (!applied.succeeded()) return fail_to_store(call, applied.code);
    waiters_.on_put(change);
    start(call, true, Errc{});
}

void Broadcaster::finish_put(Call call, shm::Block* block) {
    const OwnedKey key(block->key());
    call.key = key.view();
    call.hash = block->hash();
    if (store_.frozen()) {
        store_.abandon(block);
        return replies_.refuse(call, Errc::frozen);
    }
    if (!admits(call)) return store_.abandon(block);
    store::Change change = change_of_broadcast(call, ChangeKind::put);
    change.reserved = block;
    const store::Applied applied = store_.apply(change);
    if (!applied.succeeded()) return fail_to_store(call, applied.code);
    waiters_.on_put(change);
    start(call, true, Errc{});
}

/// At the root everything stays as it was, everywhere. Below, an older copy must not stay: it goes, here and
/// in all that is below.
void Broadcaster::fail_to_store(const Call& call, Errc code) {
    replies_.count_refused(code);
    if (!call.has(wire::relayed)) return end(call.header, code, number_of(own_shard()));
    store::Change change = change_of_broadcast(call, ChangeKind::erase);
    change.code = code;
    if (!store_.apply(change).changed()) return end(call.header, code, number_of(own_shard()));
    start(call, false, code);
}

void Broadcaster::erase(const Call& call) {
    if (goes_on(call) || !admits(call)) return;
    // A pair of this key that no broadcast has stored is not its business.
    if (!call.has(wire::relayed) && !store_.marks().holds(call.key) &&
        store_.pool().find(call.key, call.hash) != nullptr)
        return replies_.refuse(call, Errc::invalid_argument);
    const store::Applied applied = store_.apply(change_of_broadcast(call, ChangeKind::erase));
    if (!applied.changed()) return replies_.refuse(call, applied.code);  // the key has no mark then
    start(call, false, applied.code);
}

/// What is to be had here is stored or erased: now the others. `code`: what has gone wrong already.
void Broadcaster::start(const Call& call, bool stored, Errc code) {
    BroadcastProgress& progress = *store_.progress(call.key);
    progress.failed_manager = number_of(own_shard());
    progress.is_unknown = false;
    const Children children = children_of(call.hash);
    if (children.first >= children.end) {
        if (code != Errc::not_found) progress.code = code;
        return end(call.header, code, number_of(own_shard()));
    }
    const std::uint64_t version = store_.marks().find(call.key)->version;
    set_under_way(call.header, {version, code});
    const std::uint32_t tag =
        broadcasts_.add({.request = call.header,
                         .key = OwnedKey(call.key),
                         .pinned = stored ? store_.pool().find(call.key, call.hash) : nullptr,
                         .children = static_cast<std::uint32_t>(children.end - children.first),
                         .code = code,
                         .failed_manager = number_of(own_shard()),
                         .joined = {}});
    progress.under_way = tag;
    relay_to(children, broadcasts_[tag], version, tag);
}

void Broadcaster::relay_to(const Children& children, const Broadcast& broadcast, std::uint64_t version,
                           std::uint32_t tag) {
    ddict::Request request;
    request.verb = broadcast.pinned != nullptr ? Verb::broadcast_put : Verb::broadcast_erase;
    request.key = broadcast.key.view();
    request.flags = wire::relayed;
    request.argument = version;
    if (broadcast.pinned != nullptr) {
        store_.pin(*broadcast.pinned);
        request.value = broadcast.pinned->value();
        request.value_type = broadcast.pinned->value_type();
    }
    const auto timeout = timeout_of(children.levels, request.value.size());
    for (std::uint64_t child = children.first; child < children.end; ++child) {
        request.shard =
            ShardId{static_cast<std::uint32_t>((children.root + child) % directory_->manager_count())};
        relay_->relay(request, timeout, tag);
    }
}

Broadcaster::Children Broadcaster::children_of(std::uint64_t hash) const {
    const std::uint64_t managers = directory_->manager_count();
    const std::uint64_t root = number_of(shard_of(hash, directory_->manager_count()));
    const std::uint64_t position = (number_of(own_shard()) + managers - root) % managers;
    const std::uint64_t first = branching * position + 1;
    return {.root = root,
            .first = first,
            .end = std::min(first + branching, managers),
            .levels = height_of(position, managers)};
}

void Broadcaster::on_relayed(std::uint64_t tag, const Result<Reply>& outcome) {
    Broadcast& broadcast = broadcasts_[tag];
    DDICT_ASSERT(broadcast.children > 0, "an outcome of a request that was never relayed");
    if (!outcome && (broadcast.code == Errc{} || broadcast.code == Errc::not_found)) {
        broadcast.code = outcome.error().code;
        broadcast.failed_manager = outcome.error().manager;
    }
    if (--broadcast.children > 0) return;
    const Broadcast ended = broadcasts_.remove(tag);
    if (ended.pinned != nullptr) store_.unpin(*ended.pinned);
    const Errc code_below = ended.code == Errc::not_found ? Errc{} : ended.code;
    if (BroadcastProgress* progress = store_.progress(ended.key.view());
        progress != nullptr && progress->under_way == tag) {
        *progress = {
            .under_way = BroadcastProgress::none, .code = code_below, .failed_manager = ended.failed_manager};
    }
    end(ended.request, ended.code, ended.failed_manager);
    for (const wire::RequestHeader& joined : ended.joined)
        end(joined, code_below, ended.failed_manager);
}

void Broadcaster::set_under_way(const wire::RequestHeader& request, const store::BroadcastNote& note) {
    const Call call = replies_.call_of(request);
    if (call.slot.reply == nullptr || call.slot.reply->request >= request.request) return;
    store_.replies().set_under_way(call.slot, request.request, note);
}

void Broadcaster::end(const wire::RequestHeader& request, Errc code, std::uint32_t failed_manager) {
    const Call call = replies_.call_of(request);
    wire::ReplyHeader header = reply_header(request);
    header.status = static_cast<std::uint16_t>(code);
    header.argument2 = code == Errc{} ? 0 : failed_manager;
    if (call.slot.reply != nullptr && request.request >= call.slot.reply->request)
        store_.cache(call.slot, request.request, header.status, 0, header.argument2);
    replies_.send(call.peer, header);
}

}  // namespace ddict::manager
