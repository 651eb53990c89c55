// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

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
        store->make_uncached({.kind = half_made->kind});
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
        if (const Errc code = refusal(change.key(), change.role); code != Errc{}) {
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
            marks_.for_each_stored(
                [&](KeyBytes key, std::uint64_t version) { memory_.add_erased(hash_of(key), version); });
            pool_->clear();
            marks_.clear();
            break;
        case ChangeKind::freeze:
        case ChangeKind::unfreeze:
            freeze(change.kind == ChangeKind::freeze);
            break;
    }
    return {.argument = change.argument};
}

Applied Store::put(const Change& change) {
    if (change.role != BroadcastRole::none) return put_broadcast(change);
    const auto try_it = [&] {
        return change.reserved != nullptr ? pool_->publish(change.reserved, noted_of(change))
                                          : pool_->put(change.pair, noted_of(change));
    };
    Result<void> stored = try_it();
    if (!stored && change.reserved == nullptr && has_released_space(stored.error())) stored = try_it();
    if (!stored) return refused(stored.error());
    return {.argument = change.argument};
}

/// The version of the broadcast; a root gives it. A reply that is to come says so from now on.
std::uint64_t Store::begin_broadcast(const Change& change, Errc code) {
    const bool own = change.role == BroadcastRole::root;
    const std::uint64_t version = own ? memory_.next_broadcast_version() : change.version;
    if (CachedReply* reply = change.slot.reply; reply != nullptr) {
        reply->begin_anew();
        reply->argument = version;
        reply->status = static_cast<std::uint16_t>(code);
        reply->kind = CachedReply::Kind::numbers;
        reply->begin(change.origin.request, CachedReply::broadcast);
    }
    return version;
}

/// Of what was erased before the kill only the hash is known, until the request brings the key.
std::uint64_t Store::interrupted_broadcast(const ReplySlot& slot, std::uint64_t request, KeyBytes key,
                                           std::uint64_t hash) {
    const std::uint64_t version = ReplyCache::interrupted_version(slot, request);
    if (version == 0) return 0;
    const std::uint64_t known = marks_.version_of(key, hash);
    if (known < version) return 0;
    remember_key(key, known);
    return version;
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
    const OwnedKey key(change.key());
    if (change.reserved != nullptr) pool_->set_mark(change.reserved, pair.mark);
    const auto try_it = [&] {
        return change.reserved != nullptr ? pool_->publish(change.reserved) : pool_->put(pair);
    };
    Result<void> stored = try_it();
    if (!stored && change.reserved == nullptr && has_released_space(stored.error())) stored = try_it();
    if (!stored) return refused(stored.error());
    marks_.set(key.view(), version, true, own);
    return {.argument = change.argument};
}

Applied Store::erase(const Change& change) {
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
    if (held) pool_->erase(change.pair.key, change.pair.hash);
    marks_.set(change.pair.key, version, false, change.role == BroadcastRole::root);
    if (is_missing) return {.code = Errc::not_found, .sequence = ++sequence_};  // the mark is new
    return {.argument = change.argument};
}

/// Whoever has the reply must not find the pair any more, in shared memory neither: it is removed first, and
/// its block kept for so long.
Applied Store::take(const Change& change) {
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
    const bool restored = pool_->restore(replies_.block_of(reply));
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
    return error.code == Errc::no_space && replies_.release_values();
}

Result<shm::Block*> Store::reserve(const shm::Pair& pair, std::uint64_t value_bytes) {
    const auto try_it = [&] { return pool_->reserve(pair, value_bytes); };
    const Result<shm::Block*> block = try_it();
    return block || !has_released_space(block.error()) ? block : try_it();
}

}  // namespace ddict::store
