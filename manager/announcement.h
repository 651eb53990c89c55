// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Brings a newer entry of the directory to all other managers, some at a time. Those that do not answer are
// told again now and then, for a while: where a network was away, nobody behind it has heard of the entry.
#pragma once

#include <cstdint>
#include <optional>
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

    /// Goes on. True when all have been told, or there was time enough. To be called after events.
    bool advance(Time now);
    /// When those that have not answered are told again; before now while it is under way.
    Time next_round() const noexcept { return next_round_; }
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
    std::optional<Time> until_;  // from the first advance() on
    Time next_round_{};
    std::vector<ShardId> to_tell_;  // from the back
    std::vector<ShardId> missed_;   // have not answered in this round
    struct UnderWay {
        Requester::OperationId operation;
        ShardId to;
    };
    std::vector<UnderWay> under_way_;
};

}  // namespace ddict::manager
