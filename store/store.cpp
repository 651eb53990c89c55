// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/hash.h"
#include "base/owned_key.h"

namespace ddict::store {
namespace {

Applied refused(const Error& error) {
    return {.code = error.code, .argument = error.need_bytes, .argument2 = error.have_bytes};
}

bool is_of_pairs(ChangeKind kind) {
    return kind != ChangeKind::freeze && kind != ChangeKind::unfreeze;
}

}  // namespace

Store::Store(std::unique_ptr<shm::Pool> pool, ReplyMemory memory)
    : pool_(std::move(pool)),
      memory_(std::move(memory)),
      replies_(*pool_, memory_),
      frozen_(pool_->frozen()) {}

Result<std::unique_ptr<Store>> Store::recover(shm::Segment segment, ReplyMemory memory,
                                              shm::RecoveryReport& report) {
    std::vector<shm::Claim> claims = ReplyCache::claims_in(memory);
    Result<std::unique_ptr<shm::Pool>> pool = shm::Pool::recover(std::move(segment), claims, report);
    if (!pool) return pool.error();
    auto store = std::make_unique<Store>(std::move(*pool), std::move(memory));
    for (const shm::Block* block : report.marked)
        store->marks_.set_recovered(block->key(), shm::version_in_mark(block->mark()), true,
                                    shm::is_own_in_mark(block->mark()));
    store->memory_.for_each_erased(
        [&](std::uint64_t hash, std::uint64_t version) { store->marks_.set_erased(hash, version); });
    if (const std::optional<HalfMade> half_made = store->replies_.recover(claims)) {
        // Of what is of all keys the checkpoint is noted. That of a clear is one that is kept, unless memory
        // was damaged.
        const shm::WorkingSet& set = store->checkpoints();
        const auto noted = static_cast<std::uint32_t>(half_made->reply->noted[0]);
        Change change{.kind = half_made->kind};
        change.pair.checkpoint = change.kind == ChangeKind::begin_at
                                     ? std::min(noted, limits::checkpoint_id_max)
                                     : std::clamp(noted, set.oldest(), set.newest());
        store->make_uncached(change);
        half_made->reply->finish(half_made->reply->pending);
        report.pairs = store->pool().size();
    }
    store->memory_.suspect_interrupted();
    return store;
}

Errc Store::refusal(KeyBytes key, BroadcastRole role) const {
    if (frozen_) return Errc::frozen;
    return role == BroadcastRole::none && marks_.holds(key) ? Errc::invalid_argument : Errc{};
}

/// Some changes are refused at present.
Applied Store::apply_if_permitted(const Change& change) {
    if (is_of_pairs(change.kind)) {
        Errc code = refusal(change.key(), change.role);
        // What was taken is put back where it was, also if that is kept no more: it is seen at what is.
        if (code == Errc{} && change.role == BroadcastRole::none && change.kind != ChangeKind::put_back &&
            change.kind != ChangeKind::begin_at)
            code = go_to_checkpoint(change);
        if (code != Errc{}) {
            if (change.reserved != nullptr) pool_->abandon(change.reserved);
            if (change.kind == ChangeKind::put_back) {
                begin_put_back(change);
                give_up_pair(change, code);
            }
            return cached(change, {.code = code});
        }
    }
    return make(change);
}

/// Makes the checkpoint of a change the newest, if it is newer; says if it is too old. What was retired
/// before goes a little at a time.
Errc Store::go_to_checkpoint(const Change& change) {
    if (!minds_checkpoint(change.checkpoint())) return {};
    if (change.checkpoint() < pool_->checkpoints().oldest_open()) return Errc::checkpoint_retired;
    pool_->advance(change.checkpoint());
    pool_->retire_keys();
    return {};
}

std::uint32_t Store::newest_permitted() const {
    if (!checkpoints().settings().waits()) return limits::checkpoint_id_max;
    const wire::AskAgain awaited = what_is_awaited();
    if (awaited.count == 0) return limits::checkpoint_id_max;
    return std::min(awaited.checkpoint + checkpoints().settings().size - 1, limits::checkpoint_id_max);
}

/// Nothing, with a count of 0, if every checkpoint may be retired.
wire::AskAgain Store::what_is_awaited() const {
    using Awaited = wire::AskAgain::Awaited;
    const shm::WorkingSet& set = checkpoints();
    wire::AskAgain awaited{.what = Awaited::keys, .checkpoint = 0, .count = 0};
    for (std::uint32_t id = set.oldest_open(); set.settings().waits_for_keys && id <= set.newest(); ++id) {
        if (set.keys_awaited_after(id) == 0) continue;
        awaited = {.what = Awaited::keys, .checkpoint = id, .count = set.keys_awaited_after(id)};
        break;
    }
    const auto writers = replies_.oldest_writers();
    const bool is_by_writers = set.settings().waits_for_writers && writers.has_value() &&
                               (awaited.count == 0 || writers->checkpoint < awaited.checkpoint);
    if (is_by_writers)
        awaited = {.what = Awaited::writers, .checkpoint = writers->checkpoint, .count = writers->writers};
    return awaited;
}

Applied Store::make(const Change& change) {
    if (change.kind != ChangeKind::put_back) begin(change);
    Applied applied = make_uncached(change);
    if (applied.succeeded()) applied.sequence = ++sequence_;
    return applied.removed == nullptr ? cached(change, applied) : applied;  // else it is cached already
}

/// A put has failed.
Applied Store::put_again(const Change& change, const Error& error) {
    if (has_released_space(error)) return make(change);
    return cached(change, refused(error));
}

/// What came of the change, which is also what its reply says from now on.
Applied Store::cached(const Change& change, const Applied& applied) noexcept {
    finish(change, static_cast<std::uint16_t>(applied.code), applied.argument, applied.argument2);
    return applied;
}

Applied Store::make_uncached(const Change& change) {
    switch (change.kind) {
        case ChangeKind::put:
            return put(change);
        case ChangeKind::erase:
            return change.role == BroadcastRole::none ? erase(change) : erase_broadcast(change);
        case ChangeKind::take:
            return change.slot.reply != nullptr ? take(change) : erase(change);
        case ChangeKind::put_back:
            return put_back(change);
        case ChangeKind::clear:
            clear([&] { pool_->clear_version(change.checkpoint()); });
            break;
        case ChangeKind::begin_at:
            clear([&] { pool_->begin_at(change.checkpoint()); });
            replies_.forget_writers();  // nobody has written anything at what is left
            break;
        case ChangeKind::freeze:
        case ChangeKind::unfreeze:
            freeze(change.kind == ChangeKind::freeze);
            break;
    }
    return {.argument = change.argument};
}

/// Of the broadcasts, all.
template <class F>
void Store::clear(F&& clear_pool) {
    marks_.for_each_stored(
        [&](KeyBytes key, std::uint64_t version) { memory_.add_erased(hash_of(key), version); });
    clear_pool();
    marks_.clear();
}

Applied Store::put(const Change& change) {
    if (change.role != BroadcastRole::none) return put_broadcast(change);
    // A block that was reserved can be published once only.
    const Result<void> stored = change.reserved != nullptr
                                    ? pool_->publish(change.reserved, noted_of(change))
                                    : with_space([&] { return pool_->put(change.pair, noted_of(change)); });
    if (!stored) return refused(stored.error());
    return {.argument = change.argument};
}

/// The version of the broadcast; a root gives it. A reply that is to come says so from now on.
std::uint64_t Store::begin_broadcast(const Change& change, Errc code) {
    const bool own = change.role == BroadcastRole::root;
    const std::uint64_t version = own ? memory_.next_broadcast_version() : change.version;
    if (CachedReply* reply = change.slot.reply; reply != nullptr) {
        reply->begin_anew();
        reply->kind = CachedReply::Kind::numbers;
        reply->begin(change.origin.request, CachedReply::broadcast, BroadcastNote{version, code}.packed());
    }
    return version;
}

/// Of what was erased before the kill only the hash is known, until the request brings the key.
BroadcastNote Store::interrupted_broadcast(const ReplySlot& slot, std::uint64_t request, KeyBytes key,
                                           std::uint64_t hash) {
    const BroadcastNote note = ReplyCache::interrupted_broadcast(slot, request);
    if (note.version == 0) return {};
    const std::uint64_t known = marks_.version_of(key, hash);
    if (known < note.version) return {};
    remember_key(key, known);
    return note;
}

void Store::remember_key(KeyBytes key, std::uint64_t version) {
    if (marks_.find(key) == nullptr) marks_.set_recovered(key, version, false, false);
}

/// The mark is the pair's own: both are there, or neither.
Applied Store::put_broadcast(const Change& change) {
    const bool own = change.role == BroadcastRole::root;
    const std::uint64_t version = begin_broadcast(change, Errc{});
    shm::Pair pair = change.pair;
    pair.mark = shm::broadcast_mark(version, own);
    pair.checkpoint = 0;  // it is seen at each
    const OwnedKey key(change.key());
    const std::uint64_t hash = change.hash();
    if (change.reserved != nullptr) pool_->set_mark(change.reserved, pair.mark);
    const Result<void> stored = change.reserved != nullptr ? pool_->publish(change.reserved)
                                                           : with_space([&] { return pool_->put(pair); });
    if (!stored) return refused(stored.error());
    marks_.set(key.view(), version, true, own);
    if (pool_->checkpoints().in_use()) pool_->retire(hash);  // what it hides must not show itself afterwards
    return {.argument = change.argument};
}

Applied Store::erase(const Change& change) {
    if (pool_->checkpoints().in_use()) {
        const Result<void> erased = with_space([&] {
            return pool_->erase_version(change.pair.key, change.pair.hash, change.checkpoint(),
                                        noted_of(change));
        });
        if (!erased) return refused(erased.error());
        return {.argument = change.argument};
    }
    if (!pool_->erase(change.pair.key, change.pair.hash, noted_of(change))) return {.code = Errc::not_found};
    return {.argument = change.argument};
}

/// The mark stays, whether there was a pair or not: older messages may still come.
Applied Store::erase_broadcast(const Change& change) {
    const bool held = marks_.holds(change.pair.key);
    const bool is_missing = !held && change.role == BroadcastRole::root;
    if (!memory_.reserve_erased()) return {.code = Errc::busy};
    const std::uint64_t version = begin_broadcast(change, is_missing ? Errc::not_found : change.code);
    memory_.add_erased(change.pair.hash, version);
    if (held && pool_->checkpoints().in_use()) pool_->retire(change.pair.hash);  // what it hides goes first
    if (held) pool_->erase(change.pair.key, change.pair.hash);
    marks_.set(change.pair.key, version, false, change.role == BroadcastRole::root);
    if (is_missing) return {.code = Errc::not_found, .sequence = ++sequence_};  // the mark is new
    return {.argument = change.argument};
}

/// Whoever has the reply must not find the pair any more, in shared memory neither: it is removed first, and
/// its block kept for so long.
Applied Store::take(const Change& change) {
    if (pool_->checkpoints().in_use()) {
        const Result<const shm::Block*> taken = with_space([&] {
            return pool_->take_version(change.pair.key, change.pair.hash, change.checkpoint(),
                                       noted_of(change));
        });
        if (!taken) return refused(taken.error());
        replies_.set_pair(change.slot, change.origin.request, **taken);
        return {.argument = change.argument, .removed = *taken};
    }
    const shm::Block* block = pool_->find(change.pair.key, change.pair.hash);
    if (block == nullptr) return {.code = Errc::not_found};
    pool_->pin(block);
    pool_->erase(change.pair.key, change.pair.hash, noted_of(change));
    replies_.set_pair(change.slot, change.origin.request, *block);
    return {.argument = change.argument, .removed = block};
}

/// The reply that had the pair has it no longer, whatever comes of it.
Applied Store::put_back(const Change& change) {
    CachedReply& reply = *change.slot.reply;
    DDICT_ASSERT(reply.kind == CachedReply::Kind::pair, "only a pair that is kept can be put back");
    begin_put_back(change);
    const shm::Block& block = replies_.block_of(reply);
    // After a begin_at its checkpoint may be yet to come.
    const bool is_of_past = block.checkpoint() <= pool_->checkpoints().newest();
    const bool restored =
        is_of_past && (pool_->checkpoints().in_use() ? pool_->restore_version(block) : pool_->restore(block));
    give_up_pair(change, restored ? Errc{} : Errc::not_found);
    return {.code = restored ? Errc{} : Errc::not_found, .argument = change.argument};
}

/// From here on a kill leaves the pair with the reply, or it is visible again, or `status` says what came of
/// it.
void Store::begin_put_back(const Change& change) {
    CachedReply& reply = *change.slot.reply;
    reply.begin_anew();
    reply.begin(change.origin.request, static_cast<std::uint8_t>(change.kind),
                {reply.block, change.argument});
}

void Store::give_up_pair(const Change& change, Errc code) {
    change.slot.reply->status = static_cast<std::uint16_t>(code);
    CachedReply::keep_order();
    replies_.release(*change.slot.session, *change.slot.reply);
}

void Store::freeze(bool frozen) {
    frozen_ = frozen;
    pool_->set_frozen(frozen);
}

/// Whether what failed so is worth another try.
bool Store::has_released_space(const Error& error) {
    if (error.code != Errc::no_space) return false;
    constexpr unsigned steps_at_once = 64;
    // Who persists a checkpoint is overtaken rather than that a program lacks memory for it.
    if (pool_->checkpoints().holds_back()) pool_->hold_checkpoint(std::nullopt);
    const bool was_retired = has_retired();
    for (unsigned i = 0; i < steps_at_once && pool_->retire_some(); ++i) {
    }
    return replies_.release_values() || was_retired;
}

std::uint64_t Store::expire(std::uint64_t now) {
    constexpr unsigned at_once = 128;
    std::uint64_t expired = 0;
    for (unsigned i = 0; i < at_once && !frozen_; ++i) {
        const shm::Block* block = pool_->over(now);
        if (block == nullptr) break;
        const OwnedKey key(block->key());
        const std::uint64_t hash = block->hash();
        // An older version is its checkpoint's.
        if (pool_->find(key.view(), hash) != block) {
            pool_->set_until(*block, shm::no_end);
            continue;
        }
        const Change change{.kind = ChangeKind::erase,
                            .pair = {.key = key.view(), .hash = hash, .checkpoint = checkpoints().newest()}};
        if (!apply(change).succeeded()) break;
        ++expired;
    }
    return expired;
}

Result<shm::Block*> Store::reserve(const shm::Pair& pair, std::uint64_t value_bytes) {
    shm::Pair reserved = pair;
    if (pair.mark != 0) reserved.checkpoint = 0;
    return with_space([&] { return pool_->reserve(reserved, value_bytes); });
}

}  // namespace ddict::store
