// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Brings a newer entry of the directory to all other managers, some at a time. One that does not answer in
// time is left out: its clients hear of it from another manager.
#pragma once

#include <cstdint>
#include <vector>

#include "cluster/directory.h"
#include "rpc/requester.h"

namespace ddict::manager {

class Announcement {
  public:
    static constexpr std::uint32_t at_once_max = 16;

    /// `requester` and `directory` must outlive it. `own` is the shard of the manager that tells.
    Announcement(Requester& requester, const DirectoryView& directory, ShardId own,
                 const DirectoryEntry& entry);

    /// Goes on. True when all have been told. To be called after events.
    bool advance(Time now);
    ShardId about() const noexcept { return about_; }
    /// There is something newer to tell: nobody else need be told of this one.
    void cease();

  private:
    void tell(ShardId shard, Time now);

    Requester& requester_;
    const DirectoryView& directory_;
    const ShardId own_;
    const ShardId about_;
    std::vector<std::byte> packed_;
    std::uint32_t next_ = 0;  // shard to be told
    std::vector<Requester::OperationId> under_way_;
};

}  // namespace ddict::manager
