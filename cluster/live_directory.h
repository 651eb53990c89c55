// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A directory that learns: entries that come later replace those of an older epoch.
#pragma once

#include <unordered_map>

#include "cluster/directory.h"

namespace ddict {

/// What it has learned lies over another directory, which may change as well: of both the newer entry counts.
class LiveDirectory final : public DirectoryView {
  public:
    /// `below` must outlive it.
    explicit LiveDirectory(const DirectoryView& below) : below_(below) {}

    std::uint32_t manager_count() const override { return below_.manager_count(); }
    Result<DirectoryEntry> entry(ShardId shard) const override;
    /// False if it knows as much already, or if there is no such shard.
    bool replace(const DirectoryEntry& entry);

  private:
    const DirectoryView& below_;
    std::unordered_map<ShardId, DirectoryEntry> learned_;
};

}  // namespace ddict
