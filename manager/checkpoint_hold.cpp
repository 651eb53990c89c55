// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/checkpoint_hold.h"

#include <algorithm>

#include "wire/checkpoint_hold.h"

namespace ddict::manager {

bool CheckpointHold::renew(std::uint32_t checkpoint, Bytes said) {
    const shm::WorkingSet& kept = store_.checkpoints();
    const bool was_closed = is_alive_ && kept.is_held(checkpoint) && kept.is_closed(checkpoint);
    store_.hold_checkpoint(checkpoint);
    is_alive_ = true;
    ends_.reset();
    if (!said.empty()) said_.assign(said.begin(), said.end());
    return was_closed;
}

/// Of one that is kept no more there is nothing to close.
void CheckpointHold::close(std::uint32_t checkpoint) {
    if (store_.checkpoints().is_held(checkpoint) && may_retire(checkpoint))
        store_.close_checkpoint(checkpoint);
}

void CheckpointHold::end() {
    is_alive_ = false;
    ends_.reset();
    store_.hold_checkpoint(std::nullopt);
}

bool CheckpointHold::may_retire(std::uint32_t checkpoint) const {
    return store_.newest_permitted() >=
           std::min(checkpoint + store_.checkpoints().settings().size, limits::checkpoint_id_max);
}

Time CheckpointHold::tick(Time now) {
    if (!is_alive_) return Time::max();
    if (!ends_) ends_ = now + wire::hold_time;
    if (now >= *ends_) end();
    return is_alive_ ? *ends_ : Time::max();
}

}  // namespace ddict::manager
