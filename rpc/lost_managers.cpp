// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/lost_managers.h"

#include "base/limits.h"

namespace ddict {

Error dictionary_ended() {
    return Error(Errc::dictionary_gone, "it was destroyed, or stopped by its launcher")
        .set_state(ManagerState::ended);
}

/// Requires the lock.
LostManagers::Note* LostManagers::find(ShardId shard, Time now) {
    const auto found = lost_.find(shard);
    if (found == lost_.end()) return nullptr;
    if (now - found->second.noted < limits::lost_remembered) return &found->second;
    lost_.erase(found);
    notes_.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
}

LostManagers::Look LostManagers::look(ShardId shard, Time now, Error& why) {
    const std::lock_guard lock(mutex_);
    if (ended_) {
        why = why_ended_;
        return Look::lost;
    }
    Note* note = find(shard, now);
    if (note == nullptr) return Look::not_lost;
    if (now >= note->next_probe) {
        note->next_probe = now + limits::lost_probe_interval;
        return Look::probe;
    }
    why = note->why;
    return Look::lost;
}

bool LostManagers::is_lost(ShardId shard, Time now) {
    const std::lock_guard lock(mutex_);
    return ended_ || find(shard, now) != nullptr;
}

void LostManagers::remember(ShardId shard, const Error& why, Time now) {
    const std::lock_guard lock(mutex_);
    if (Note* known = find(shard, now); known != nullptr) {
        known->why = why;
        known->noted = now;
        return;
    }
    lost_[shard] = {why, now, now + limits::lost_probe_interval};
    notes_.fetch_add(1, std::memory_order_relaxed);
}

void LostManagers::forget(ShardId shard) {
    const std::lock_guard lock(mutex_);
    if (lost_.erase(shard) != 0) notes_.fetch_sub(1, std::memory_order_relaxed);
}

void LostManagers::note_end(const Error& why) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    why_ended_ = why;
    ended_.store(true, std::memory_order_release);
    notes_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace ddict
