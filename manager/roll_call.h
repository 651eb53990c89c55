// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The last step of coming up: the managers form a binary tree, and each says hello to and pings its children
// 2i+1 and 2i+2 over the real network. When all roll calls are complete, every manager has answered somebody:
// only then is the dictionary called ready. Two connections a manager, however many there are. Where very
// many come up on few processors an answer may take seconds: a silent child is asked again until the
// deadline.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/directory.h"
#include "rpc/requester.h"

namespace ddict::manager {

class RollCall {
  public:
    /// Says hello to the children of the manager of `own`. `requester` must outlive the roll call; nobody
    /// else may use it meanwhile.
    RollCall(Requester& requester, const DirectoryView& directory, ShardId own, Time now, Time deadline);

    /// Nothing while answers are missing; then success, or the first error, which says how often a silent
    /// child was asked. To be called after every event and tick.
    std::optional<Result<void>> outcome(Time now);

  private:
    struct Ping {
        ShardId child;
        Requester::OperationId operation;
        // Of the last connection of one that takes long.
        std::string over{};
        std::string back{};
    };
    void look_at_ways(Time now);
    Error error_of(const Ping& ping, Error why, Time now) const;

    Requester& requester_;
    const Time began_;
    Time next_look_;
    std::vector<Ping> pings_;
    Result<void> result_;
};

}  // namespace ddict::manager
