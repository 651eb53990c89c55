// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The checkpoints that a pool keeps: which they are, how many keys are seen at each, and which keys have
// versions that nobody can see any more. docs/decisions/0022 has the idea.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/limits.h"
#include "base/working_set_settings.h"
#include "shm/hash_notes.h"
#include "shm/layout.h"
#include "shm/version.h"

namespace ddict::shm {

/// The writer's side. Not thread safe. What others have to know is in the pool's header; counts and lists are
/// private, and found again by Pool after a recovery.
class WorkingSet {
  public:
    /// What the header says, made plausible. It must outlive the set.
    explicit WorkingSet(PoolHeader& header) noexcept;
    /// For format().
    static void lay_out(PoolHeader& header, const WorkingSetSettings& settings) noexcept;

    const WorkingSetSettings& settings() const noexcept { return settings_; }
    /// False until a change has come with an id above 0, unless pairs may be transient: then no key has
    /// several versions, and each is seen at every checkpoint.
    bool in_use() const noexcept { return newest_ != 0 || settings_.waits_for_keys; }
    std::uint32_t oldest() const noexcept { return oldest_; }
    std::uint32_t newest() const noexcept { return newest_; }
    /// The oldest that may be changed. What is older and kept all the same is held: it can be read.
    std::uint32_t oldest_open() const noexcept {
        return std::max({oldest_, oldest_with(newest_), closed_below_});
    }
    /// Whether this one is held, and kept.
    bool is_held(std::uint32_t checkpoint) const noexcept {
        return held_ == checkpoint && checkpoint >= oldest_;
    }
    /// Whether changes at it are refused, by close_below().
    bool is_closed(std::uint32_t checkpoint) const noexcept { return checkpoint < closed_below_; }
    /// At which all has begun anew (begin_at), as far as this process knows.
    std::optional<std::uint32_t> first() const noexcept { return first_; }
    std::optional<std::uint32_t> held() const noexcept { return held_; }
    /// Whether something is kept only since it is held.
    bool holds_back() const noexcept { return oldest_ < oldest_with(newest_); }
    /// Of any that is not older than the oldest; one that is newer than the newest is like that one.
    std::uint32_t floor_at(std::uint32_t checkpoint) const noexcept {
        return header_.floors[floors_][place_of(checkpoint)].load(std::memory_order_relaxed);
    }
    std::uint64_t keys_at(std::uint32_t checkpoint) const noexcept {
        checkpoint = resolve(checkpoint);
        return checkpoint > newest_ && settings_.waits_for_keys ? keys_after_ : keys_[place_of(checkpoint)];
    }
    /// The id itself, or that of the newest, if that was asked for.
    std::uint32_t resolve(std::uint32_t checkpoint) const noexcept {
        return checkpoint == limits::newest_checkpoint ? newest_ : checkpoint;
    }
    /// Which is the oldest that is kept once this one is, or the newest is as new.
    std::uint32_t oldest_with(std::uint32_t newest) const noexcept {
        return newest < settings_.size ? 0 : newest - settings_.size + 1;
    }
    /// Of one that is kept: keys with a transient value there that have not been written at the next.
    std::uint64_t keys_awaited_after(std::uint32_t checkpoint) const noexcept {
        return awaited_[checkpoint % limits::working_set_max];
    }

    /// What is kept though the newest does not need it; and of it and of what that has, what is seen at one
    /// checkpoint only.
    const VersionCount& old_versions() const noexcept { return old_; }
    VersionCount transient_versions() const noexcept;
    /// A version that nobody needs is taken out.
    void forget(const Version& version) noexcept {
        old_ -= {1, version.bytes};
        old_after_ -= {1, version.bytes};
    }

    /// Makes this one the newest; requires that it is newer, and that readers are kept away meanwhile
    /// (StructureChange). At the first time `keys` are seen at all.
    void advance(std::uint32_t newest, std::uint64_t keys);
    /// This one is not retired by newer ones, whether it is there yet or not, until another is held, or none,
    /// or until the newest is limits::working_set_max ahead of it. What was kept for the one before alone is
    /// retired; readers are kept away. A recovery ends it.
    void hold(std::optional<std::uint32_t> checkpoint);
    /// Older ones are not changed any more, until the hold ends.
    void close_below(std::uint32_t checkpoint) noexcept {
        closed_below_ = std::max(closed_below_, checkpoint);
    }
    /// At this checkpoint and all that follow no version with a lower id is seen. Readers are kept away.
    void raise_floor(std::uint32_t checkpoint) noexcept;
    /// From now on this is the only checkpoint, whichever there were; of a pool without pairs. Readers are
    /// kept away.
    void begin_at(std::uint32_t checkpoint) noexcept;
    /// No key has a version any more, at any checkpoint.
    void forget_all() noexcept;
    /// After forget_all(): the versions of one key.
    void count(const Versions& versions) noexcept { count(Versions(), versions); }
    void sweep() noexcept { sweep_ = 0; }

    /// One key has other versions than before.
    void count(const Versions& before, const Versions& after) noexcept;
    /// A key with this hash has versions that nobody can see once this checkpoint is the oldest, or has been
    /// retired. Of `entries` that the index has: where more is noted than that, all are looked at then.
    void note_hiding(std::uint64_t hash, std::uint32_t checkpoint, std::uint64_t entries);
    /// The hash of a key that may have versions which nobody can see any more, and is forgotten here.
    std::optional<std::uint64_t> take_retired() noexcept { return retired_.take(); }
    bool has_retired() const noexcept { return !retired_.empty(); }
    /// For take_retired().
    void note_retired(std::uint64_t hash) { retired_.add(hash); }

    /// After a floor has come to the oldest checkpoint, or where not all was noted, all pairs are to be
    /// looked at, from this cursor on.
    bool sweeps() const noexcept { return sweep_.has_value(); }
    std::uint64_t sweep_cursor() const noexcept { return *sweep_; }
    /// 0: to the end.
    void sweep_on(std::uint64_t cursor) noexcept {
        if (cursor == 0)
            sweep_.reset();
        else
            sweep_ = cursor;
    }

  private:
    struct Notes {
        HashNotes hashes;
        bool lacks_some = false;  // there were too many
    };

    std::size_t place_of(std::uint32_t checkpoint) const noexcept {
        return (checkpoint > newest_ ? newest_ : checkpoint) % limits::working_set_max;
    }
    void store_word() noexcept;
    std::uint32_t kept_with(std::uint32_t newest) const noexcept;
    void pass_on_notes(std::uint32_t oldest);

    PoolHeader& header_;
    WorkingSetSettings settings_;
    std::uint32_t oldest_;
    std::uint32_t newest_;
    unsigned floors_;  // which of the two arrays counts
    std::array<std::uint64_t, limits::working_set_max> keys_{};
    // Where pairs may be transient: how many keys are seen after the newest, and see keys_awaited_after().
    std::uint64_t keys_after_ = 0;
    std::array<std::uint64_t, limits::working_set_max> awaited_{};
    std::array<VersionCount, limits::working_set_max> transient_{};
    VersionCount old_;        // that the newest does not need
    VersionCount old_after_;  // that one after it would not
    // By checkpoint, of those after the oldest and the one after the newest: see note_hiding().
    std::array<Notes, limits::working_set_max> hiding_;
    HashNotes retired_;
    std::optional<std::uint64_t> sweep_;
    std::optional<std::uint32_t> held_;
    std::optional<std::uint32_t> first_;
    std::uint32_t closed_below_ = 0;
};

}  // namespace ddict::shm
