// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "rpc/request.h"

namespace ddict::manager {

/// How a shard asks other managers.
class Relay {
  public:
    /// Sends a request to the manager of request.shard. Its outcome goes to Shard::on_relayed(tag), exactly
    /// once, and never from inside this call; until then key and value must stay. After `timeout` it is
    /// timeout.
    virtual void relay(const Request& request, std::chrono::nanoseconds timeout, std::uint64_t tag) = 0;

  protected:
    ~Relay() = default;
};

}  // namespace ddict::manager
