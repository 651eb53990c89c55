// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Large puts that wait for space: for longer than one event may take, pairs must be moved for them, or memory
// of a pool that is not all there must be had from the system, or what is retired is to be taken out. They
// are served first in, first out, a step at each tick, and everybody else in between. Each ends: with its
// block, or when the pool has been gone through without success.
#pragma once

#include <cstdint>
#include <deque>

#include "base/owned_key.h"
#include "manager/call.h"
#include "manager/replies.h"
#include "store/store.h"

namespace ddict::manager {

class DeferredPuts {
  public:
    /// Both must outlive it.
    DeferredPuts(store::Store& store, Replies& replies) : store_(store), replies_(replies) {}

    /// False if none of these can help, or the queue is full.
    bool add(const Call& call);
    /// One step for the first of them. Requires that there is one.
    void step();
    /// Its client has gone, or will ask again.
    void drop_session(std::uint64_t session);
    bool empty() const noexcept { return puts_.empty(); }

  private:
    struct Put {
        wire::RequestHeader request;
        OwnedKey key;
        std::uint64_t placement = 0;  // as in Call
        std::uint64_t until = 0;      // as in Call
        std::uint64_t payload_token = 0;
    };

    store::Store& store_;
    Replies& replies_;
    std::deque<Put> puts_;
};

}  // namespace ddict::manager
