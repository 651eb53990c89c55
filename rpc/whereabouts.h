// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "cluster/directory.h"

namespace ddict {

/// What a process knows of where the managers are, besides what its connections were made with: the directory
/// segment of its node, and what others of its requesters have learned. Asked when a manager does not answer
/// any more. Threads: any number at once.
class Whereabouts {
  public:
    /// The newest entry that can be had without a message; nothing if there is none.
    virtual std::optional<DirectoryEntry> look_up(ShardId shard) = 0;
    /// A manager has sent this one.
    virtual void learn(const DirectoryEntry& entry) = 0;
    /// A manager of another shard than this one, who may know more: another one for each `turn`. Nothing if
    /// there is nobody else.
    virtual std::optional<DirectoryEntry> someone_else(ShardId shard, unsigned turn) = 0;
    /// Whether the node launcher of this host lives, which would start a manager again; nothing if that
    /// cannot be seen from here. Some system calls.
    virtual std::optional<bool> has_node_launcher() = 0;
    /// Whether a manager of this host is being started again through which this process reaches those of
    /// other hosts, as it has no way of its own to them.
    virtual bool way_is_restarted() { return false; }

  protected:
    ~Whereabouts() = default;
};

}  // namespace ddict
