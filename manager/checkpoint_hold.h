// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Holds a checkpoint for who persists it, as long as that process says that it lives, and keeps what it says
// of itself, for those who ask. All of it is in this process's memory: a manager that is killed holds nothing
// when it is back, until it is told again.
#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "rpc/request.h"
#include "store/store.h"

namespace ddict::manager {

class CheckpointHold {
  public:
    /// Must outlive it.
    explicit CheckpointHold(store::Store& store) : store_(store) {}

    /// From now on this checkpoint is held, and no other. Returns whether it was, and was closed.
    bool renew(std::uint32_t checkpoint, Bytes said);
    /// Refuses changes at the one that is held, if nobody waits for anything there.
    void close(std::uint32_t checkpoint);
    void end();
    /// Whether the checkpoint might be retired, for all who wait.
    bool may_retire(std::uint32_t checkpoint) const;

    bool is_alive() const noexcept { return is_alive_; }
    Bytes said() const noexcept { return said_; }
    /// Ends a hold that was not renewed for wire::hold_time. When it wants to be called again.
    Time tick(Time now);

  private:
    store::Store& store_;
    bool is_alive_ = false;
    std::optional<Time> ends_;  // none: from the next tick on
    std::vector<std::byte> said_;
};

}  // namespace ddict::manager
