// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a pool does when keys have versions. Each version is a pair of its own, so each step here is a put or
// an erase of one: what a kill leaves behind is what those leave behind.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "shm/pool.h"
#include "shm/structure_change.h"

namespace ddict::shm {
namespace {

// A few microseconds.
constexpr unsigned keys_retired_at_once = 16;

}  // namespace

const Block* Pool::find_version(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint) const {
    Versions versions;
    index_.gather_versions(key, hash, versions);
    const Version* seen = versions.newest_at(set_.resolve(checkpoint), set_.floor_at(checkpoint));
    return seen != nullptr && !seen->is_gone ? &block_at(seen->block) : nullptr;
}

void Pool::advance(std::uint32_t checkpoint) {
    if (checkpoint <= set_.newest()) return;
    const StructureChange change(header());
    set_.advance(checkpoint, index_.size());
}

void Pool::hold_checkpoint(std::optional<std::uint32_t> checkpoint) {
    if (set_.held() == checkpoint) return;
    const StructureChange change(header());
    set_.hold(checkpoint);
}

void Pool::close_checkpoint(std::uint32_t checkpoint) {
    advance(checkpoint + 1);
    set_.close_below(checkpoint + 1);
}

/// The versions of a key have changed, that with this id. If it is new, it may hide others, and others it.
void Pool::account(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint, const Versions& before) {
    Versions after;
    index_.gather_versions(key, hash, after);
    set_.count(before, after);
    const auto is_of = [&](const Version& one) { return one.checkpoint == checkpoint; };
    // Nobody sees it once its checkpoint is retired.
    const auto passes = [&](const Version& one) { return is_of(one) && one.is_transient; };
    if (std::ranges::any_of(after.all(), passes) && std::ranges::none_of(before.all(), passes))
        set_.note_hiding(hash, checkpoint + 1, index_.size());
    if (std::ranges::any_of(before.all(), is_of)) return;
    const Version* next = nullptr;
    bool hides_others = false;
    for (const Version& one : after.all()) {
        if (one.checkpoint < checkpoint || one.is_marked) hides_others = true;
        if (one.checkpoint > checkpoint && (next == nullptr || one.checkpoint < next->checkpoint))
            next = &one;
    }
    if (hides_others) set_.note_hiding(hash, checkpoint, index_.size());
    if (next != nullptr) set_.note_hiding(hash, next->checkpoint, index_.size());
}

bool Pool::erase_and_account(KeyBytes key, std::uint64_t hash, Noted* noted, std::uint32_t checkpoint) {
    Versions before;
    index_.gather_versions(key, hash, before);
    const bool erased = erase_pair(key, hash, noted, checkpoint);
    if (erased) account(key, hash, checkpoint, before);
    return erased;
}

/// What an older version would show again has to be hidden: by one that says that the key is gone. So says
/// one, of this checkpoint only, of a key that the checkpoint before awaits here: it has been here.
Result<void> Pool::erase_version(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint, Noted* noted) {
    Versions before;
    index_.gather_versions(key, hash, before);
    const std::uint32_t floor = set_.floor_at(checkpoint);
    if (!before.is_seen_at(checkpoint, floor)) return Error(Errc::not_found);
    Versions others;
    std::uint64_t own = 0;
    for (const Version& one : before.all()) {
        if (one.checkpoint == checkpoint && !one.is_marked)
            own = one.block;
        else
            others.add(one);
    }
    if (own != 0) note(noted, 0, own);
    const bool was_seen_before = others.is_seen_at(checkpoint, floor);
    const bool is_awaited = checkpoint > set_.oldest() && others.awaits_next(checkpoint - 1);
    if (was_seen_before || is_awaited) {
        const std::uint32_t bits = gone_bit | (was_seen_before ? 0 : transient_bit);
        // What is noted must not be moved to make space.
        if (own != 0) pin(&block_at(own));
        const Result<void> hidden = put({.key = key, .hash = hash, .checkpoint = checkpoint | bits}, noted);
        if (own != 0) unpin(&block_at(own));
        return hidden;
    }
    const bool erased = erase(key, hash, nullptr, checkpoint);
    DDICT_ASSERT(erased, "a version that alone is seen is the checkpoint's own");
    return {};
}

/// The copy has a value of the pool itself, whose block stays where it is meanwhile. A kill behind the copy
/// has changed nothing that anybody sees.
Result<const Block*> Pool::take_version(KeyBytes key, std::uint64_t hash, std::uint32_t checkpoint,
                                        Noted* noted) {
    const Block* taken = find_version(key, hash, checkpoint);
    if (taken == nullptr) return Error(Errc::not_found);
    const bool is_copy = taken->checkpoint() != checkpoint;
    if (is_copy) {
        Pair copy = taken->pair();
        copy.key = key;
        copy.checkpoint = checkpoint;
        pin(taken);
        const Result<void> stored = put(copy);
        unpin(taken);
        if (!stored) return stored.error();
        taken = find_version(key, hash, checkpoint);
    }
    pin(taken);
    const Result<void> erased = erase_version(key, hash, checkpoint, noted);
    if (erased) return taken;
    unpin(taken);
    if (noted != nullptr) *noted = {};
    if (is_copy) erase(key, hash, nullptr, checkpoint);
    return erased.error();
}

bool Pool::restore_version(const Block& block) {
    // What it may take the place of hides nothing then that would be seen again.
    if (block.is_transient() && block.checkpoint() <= set_.oldest()) retire(block.hash());
    Versions before;
    index_.gather_versions(block.key(), block.hash(), before);
    const Index::Place place = index_.find(block.key(), block.hash(), block.checkpoint());
    if (place && !block_at(place.block).is_gone()) return false;
    if (place) {
        const std::uint64_t offset = offset_of(&block);
        block_at(offset).size_and_flags_ |= block_word::visible;
        if (block.has_ttl()) note_end(offset);
        index_.replace(place, offset);
        drop_version(place.block);
    } else if (!restore(block)) {
        return false;
    }
    account(block.key(), block.hash(), block.checkpoint(), before);
    return true;
}

void Pool::take_out(std::uint64_t offset) {
    const Block& block = block_at(offset);
    const Index::Place place = index_.slot_of(offset, block.hash());
    DDICT_ASSERT(static_cast<bool>(place), "what is taken out is in the index");
    index_.erase(place, block.hash());
    drop_version(offset);
}

/// Readers are kept away meanwhile, so that nobody finds some keys gone and others not. After a kill it is
/// done once more.
void Pool::clear_version(std::uint32_t checkpoint) {
    if (!set_.in_use()) return clear();
    const StructureChange change(header());
    if (set_.oldest() == set_.newest()) {
        set_.raise_floor(checkpoint);
        clear();
        return;
    }
    set_.raise_floor(checkpoint);
    erase_all_of(checkpoint);
    find_versions_again();
    show_counters();
}

void Pool::begin_at(std::uint32_t checkpoint) {
    const StructureChange change(header());
    clear();
    set_.begin_at(checkpoint);
    show_counters();
}

/// And what broadcasts have stored, which have no checkpoint. The blocks are gathered a part at a time:
/// nothing may change while the index is scanned.
void Pool::erase_all_of(std::uint32_t checkpoint) {
    constexpr std::uint64_t last = ~std::uint64_t{0};
    Index::SegmentEntries found;
    for (std::uint64_t cursor = 0;;) {
        index_.gather(cursor, found);
        for (std::size_t i = 0; i < found.count; ++i) {
            const Block& block = block_at(found.entries[i].block);
            if (block.checkpoint() == checkpoint || block.is_marked()) take_out(found.entries[i].block);
        }
        if (found.last_shard_hash == last) return;
        cursor = found.last_shard_hash + 1;
    }
}

/// The older of two goes first: what was hidden must not show itself, whenever this ends. One that says that
/// the key is gone has nothing to hide then.
void Pool::retire(std::uint64_t hash) {
    std::vector<std::uint64_t> blocks = index_.blocks_of(hash);
    std::ranges::sort(blocks, {}, [&](std::uint64_t offset) { return block_at(offset).checkpoint(); });
    const std::uint32_t oldest = set_.oldest();
    const std::uint32_t floor = set_.floor_at(oldest);
    for (std::uint64_t& offset : blocks) {
        const Block& block = block_at(offset);
        const Version version = version_of(block, offset);
        if (version.is_marked) continue;
        const bool is_hidden = std::ranges::any_of(blocks, [&](std::uint64_t other) {
            if (other == 0 || other == offset) return false;
            const Block& b = block_at(other);
            return (b.is_marked() || (b.checkpoint() <= oldest && !b.is_transient())) &&
                   b.key() == block.key() && hides(version_of(b, other), version);
        });
        const bool is_retired = version.is_transient ? version.checkpoint < oldest
                                                     : version.checkpoint <= oldest &&
                                                           (version.is_gone || version.checkpoint < floor);
        if (!is_hidden && !is_retired) continue;
        set_.forget(version);
        take_out(std::exchange(offset, 0));
    }
}

bool Pool::retire_keys() {
    for (unsigned i = 0; i < keys_retired_at_once; ++i) {
        const std::optional<std::uint64_t> hash = set_.take_retired();
        if (!hash) return false;
        retire(*hash);
    }
    return set_.has_retired();
}

bool Pool::retire_some() {
    if (retire_keys()) return true;
    if (!set_.sweeps()) return false;
    // A segment of the index at a time; its keys go with the next calls.
    Index::SegmentEntries found;
    index_.gather(set_.sweep_cursor(), found);
    for (std::size_t i = 0; i < found.count; ++i)
        set_.note_retired(block_at(found.entries[i].block).hash());
    set_.sweep_on(found.last_shard_hash + 1);
    return set_.has_retired() || set_.sweeps();
}

/// Of entries with the same hash, those that are seen.
void Pool::for_each_seen(std::span<const Index::Entry> alike, std::uint32_t checkpoint,
                         const std::function<void(const Block&)>& f) const {
    checkpoint = set_.resolve(checkpoint);
    const std::uint32_t floor = set_.floor_at(checkpoint);
    const auto version_at = [&](const Index::Entry& entry) {
        return version_of(block_at(entry.block), entry.block);
    };
    for (const Index::Entry& entry : alike) {
        const Block& block = block_at(entry.block);
        const Version version = version_at(entry);
        if (version.is_gone || !counts_at(version, checkpoint, floor)) continue;
        const bool is_hidden = std::ranges::any_of(alike, [&](const Index::Entry& other) {
            const Version candidate = version_at(other);
            return counts_at(candidate, checkpoint, floor) && hides(candidate, version) &&
                   block_at(other.block).key() == block.key();
        });
        if (!is_hidden) f(block);
    }
}

/// Of entries with the same hash, the versions of each key.
template <class F>
void Pool::for_each_key(std::span<const Index::Entry> alike, F f) const {
    for (auto first = alike.begin(); first != alike.end(); ++first) {
        const auto is_of_same = [&](const Index::Entry& other) {
            return block_at(other.block).key() == block_at(first->block).key();
        };
        if (std::any_of(alike.begin(), first, is_of_same)) continue;
        Versions versions;
        for (const Index::Entry& one : alike)
            if (is_of_same(one)) versions.add(version_of(block_at(one.block), one.block));
        f(versions);
    }
}

/// How many keys are seen at each checkpoint, and which versions hide others: from all that is there.
void Pool::find_versions_again() {
    constexpr std::uint64_t last = ~std::uint64_t{0};
    set_.forget_all();
    Index::SegmentEntries found;
    for (std::uint64_t cursor = 0;;) {
        index_.gather(cursor, found);
        const auto end = found.entries.begin() + static_cast<std::ptrdiff_t>(found.count);
        std::sort(found.entries.begin(), end,
                  [](const Index::Entry& a, const Index::Entry& b) { return a.shard_hash < b.shard_hash; });
        for (auto entry = found.entries.begin(); entry != end;) {
            const auto alike = std::find_if(
                entry, end, [&](const Index::Entry& other) { return other.shard_hash != entry->shard_hash; });
            for_each_key({entry, alike}, [&](const Versions& versions) { set_.count(versions); });
            const bool may_hide = alike - entry > 1 || block_at(entry->block).is_gone();
            for (; entry != alike; ++entry) {
                const Block& block = block_at(entry->block);
                if (may_hide) set_.note_hiding(block.hash(), block.checkpoint(), index_.size());
                if (block.is_transient())
                    set_.note_hiding(block.hash(), block.checkpoint() + 1, index_.size());
            }
        }
        if (found.last_shard_hash == last) break;
        cursor = found.last_shard_hash + 1;
    }
    if (set_.floor_at(set_.oldest()) != 0) set_.sweep();
}

}  // namespace ddict::shm
