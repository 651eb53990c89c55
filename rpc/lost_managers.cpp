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
LostManagers::Note* LostManagers::find(std::uint32_t manager, Time now) {
    const auto found = lost_.find(manager);
    if (found == lost_.end()) return nullptr;
    if (now - found->second.noted < limits::lost_remembered) return &found->second;
    lost_.erase(found);
    notes_.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
}

LostManagers::Look LostManagers::look(std::uint32_t manager, Time now, Error& why) {
    const std::lock_guard lock(mutex_);
    if (ended_) {
        why = why_ended_;
        return Look::lost;
    }
    Note* note = find(manager, now);
    if (note == nullptr) return Look::not_lost;
    if (now >= note->next_probe) {
        note->next_probe = now + limits::lost_probe_interval;
        return Look::probe;
    }
    why = note->why;
    return Look::lost;
}

bool LostManagers::is_lost(std::uint32_t manager, Time now) {
    const std::lock_guard lock(mutex_);
    return ended_ || find(manager, now) != nullptr;
}

void LostManagers::remember(std::uint32_t manager, const Error& why, Time now) {
    const std::lock_guard lock(mutex_);
    if (Note* known = find(manager, now); known != nullptr) {
        known->why = why;
        known->noted = now;
        return;
    }
    lost_[manager] = {why, now, now + limits::lost_probe_interval};
    notes_.fetch_add(1, std::memory_order_relaxed);
}

void LostManagers::forget(std::uint32_t manager) {
    const std::lock_guard lock(mutex_);
    if (lost_.erase(manager) != 0) notes_.fetch_sub(1, std::memory_order_relaxed);
}

void LostManagers::note_end(const Error& why) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    why_ended_ = why;
    ended_.store(true, std::memory_order_release);
    notes_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace ddict
