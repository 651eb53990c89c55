// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/working_set.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace ddict::shm {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

constexpr std::uint64_t make_word(std::uint32_t oldest, std::uint32_t newest, unsigned floors,
                                  bool may_be_transient) noexcept {
    return (std::uint64_t{floors} << 63) | (std::uint64_t{may_be_transient} << 62) |
           (std::uint64_t{newest} << 32) | oldest;
}

// So much is noted of a checkpoint in any case.
constexpr std::uint64_t notes_min = 8 * HashNotes::chunk_hashes;

WorkingSetSettings plausible(WorkingSetSettings settings) noexcept {
    settings.size = std::clamp<std::uint32_t>(settings.size, 1, limits::working_set_max);
    return settings;
}

}  // namespace

void WorkingSet::lay_out(PoolHeader& header, const WorkingSetSettings& settings) noexcept {
    header.working_set = settings.packed();
    header.checkpoints.store(make_word(0, 0, 0, settings.waits_for_keys), relaxed);
    for (auto& floors : header.floors)
        for (std::atomic<std::uint32_t>& floor : floors)
            floor.store(0, relaxed);
}

WorkingSet::WorkingSet(PoolHeader& header) noexcept
    : header_(header),
      settings_(plausible(WorkingSetSettings::of(header.working_set))),
      newest_(std::min(newest_in(header.checkpoints.load(relaxed)), limits::checkpoint_id_max)),
      floors_(newest_ == 0 ? 0 : floors_in(header.checkpoints.load(relaxed))) {
    const std::uint32_t oldest = oldest_in(header.checkpoints.load(relaxed));
    oldest_ = std::clamp(oldest, oldest_with(newest_), newest_);
    header_.working_set = settings_.packed();
    store_word();
    for (std::atomic<std::uint32_t>& floor : header_.floors[floors_])
        if (floor.load(relaxed) > newest_) floor.store(0, relaxed);
}

void WorkingSet::store_word() noexcept {
    header_.checkpoints.store(make_word(oldest_, newest_, floors_, settings_.waits_for_keys),
                              std::memory_order_release);
}

/// Which is the oldest that is kept once this one is the newest.
std::uint32_t WorkingSet::kept_with(std::uint32_t newest) const noexcept {
    const std::uint32_t oldest = std::max(oldest_, oldest_with(newest));
    if (!held_ || *held_ < oldest_ || newest - std::min(newest, *held_) >= limits::working_set_max)
        return oldest;
    return std::min(oldest, *held_);
}

void WorkingSet::pass_on_notes(std::uint32_t oldest) {
    for (std::uint32_t id = oldest_ + 1; id <= std::min(oldest, newest_ + 1); ++id) {
        Notes& notes = hiding_[id % limits::working_set_max];
        retired_.take_all(notes.hashes);
        if (std::exchange(notes.lacks_some, false)) sweep_ = 0;
    }
}

void WorkingSet::hold(std::optional<std::uint32_t> checkpoint) {
    held_ = checkpoint;
    closed_below_ = 0;
    const std::uint32_t oldest = kept_with(newest_);
    if (oldest == oldest_) return;
    const std::uint32_t floor_before = floor_at(oldest_);
    pass_on_notes(oldest);
    oldest_ = oldest;
    if (floor_at(oldest_) != floor_before) sweep_ = 0;
    store_word();
}

/// What is new begins as what was the newest: with its floor, and with those of its keys that persist.
void WorkingSet::advance(std::uint32_t newest, std::uint64_t keys) {
    DDICT_ASSERT(newest > newest_ && newest <= limits::checkpoint_id_max, "checkpoints only become newer");
    if (!in_use()) keys_[0] = keys;
    const std::uint32_t oldest = kept_with(newest);
    const std::uint32_t floor = floor_at(newest_);
    const std::uint32_t floor_before = floor_at(oldest_);
    const std::uint64_t seen = settings_.waits_for_keys ? keys_after_ : keys_at(newest_);
    pass_on_notes(oldest);
    old_ = old_after_;
    const unsigned other = 1 - floors_;
    for (std::uint32_t id = oldest; id <= newest; ++id) {
        header_.floors[other][id % limits::working_set_max].store(id > newest_ ? floor : floor_at(id),
                                                                  relaxed);
        if (id <= newest_) continue;
        keys_[id % limits::working_set_max] = seen;
        awaited_[id % limits::working_set_max] = 0;
        transient_[id % limits::working_set_max] = {};
    }
    oldest_ = oldest;
    newest_ = newest;
    floors_ = other;
    if (floor_at(oldest_) != floor_before) sweep_ = 0;
    store_word();
}

void WorkingSet::raise_floor(std::uint32_t checkpoint) noexcept {
    for (std::uint32_t id = checkpoint; id <= newest_; ++id) {
        std::atomic<std::uint32_t>& floor = header_.floors[floors_][id % limits::working_set_max];
        floor.store(std::max(floor.load(relaxed), checkpoint), relaxed);
    }
    if (checkpoint == oldest_) sweep_ = 0;
}

/// In which of the floors a kill leaves this does not matter: there are no pairs.
void WorkingSet::begin_at(std::uint32_t checkpoint) noexcept {
    forget_all();
    for (auto& floors : header_.floors)
        for (std::atomic<std::uint32_t>& floor : floors)
            floor.store(0, relaxed);
    oldest_ = newest_ = checkpoint;
    first_ = checkpoint;
    held_.reset();
    closed_below_ = 0;
    floors_ = 0;
    store_word();
}

void WorkingSet::forget_all() noexcept {
    keys_ = {};
    keys_after_ = 0;
    awaited_ = {};
    transient_ = {};
    old_ = {};
    old_after_ = {};
    hiding_ = {};
    retired_ = {};
    sweep_.reset();
}

void WorkingSet::count(const Versions& before, const Versions& after) noexcept {
    const auto difference = [](bool was, bool is) { return std::uint64_t{is} - std::uint64_t{was}; };
    for (std::uint32_t id = oldest_; id <= newest_; ++id) {
        const std::uint32_t floor = floor_at(id);
        keys_[id % limits::working_set_max] +=
            difference(before.is_seen_at(id, floor), after.is_seen_at(id, floor));
    }
    const std::uint32_t after_all = newest_ + 1;
    for (const auto& [old, id] : {std::pair(&old_, newest_), std::pair(&old_after_, after_all)}) {
        *old += after.hidden_at(id, floor_at(id));
        *old -= before.hidden_at(id, floor_at(id));
    }
    if (!settings_.waits_for_keys) return;
    keys_after_ += difference(before.is_seen_at(after_all, floor_at(after_all)),
                              after.is_seen_at(after_all, floor_at(after_all)));
    for (std::uint32_t id = oldest_; id <= newest_; ++id) {
        awaited_[id % limits::working_set_max] += difference(before.awaits_next(id), after.awaits_next(id));
        transient_[id % limits::working_set_max] += after.transient_at(id);
        transient_[id % limits::working_set_max] -= before.transient_at(id);
    }
}

VersionCount WorkingSet::transient_versions() const noexcept {
    VersionCount all;
    for (std::uint32_t id = oldest_; id <= newest_; ++id)
        all += transient_[id % limits::working_set_max];
    return all;
}

/// A key that is erased and put again and again is noted each time.
void WorkingSet::note_hiding(std::uint64_t hash, std::uint32_t checkpoint, std::uint64_t entries) {
    if (checkpoint <= oldest_) return retired_.add(hash);
    Notes& notes = hiding_[checkpoint % limits::working_set_max];
    if (notes.hashes.capacity() > 2 * entries + notes_min)
        notes.lacks_some = true;
    else
        notes.hashes.add(hash);
}

}  // namespace ddict::shm
