// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients that wait until a key is there, or has a value, and those that come too early: of a key that is to
// come, or at a checkpoint to which the oldest one does not let the others move yet. Each is answered: with
// the pair, or when its time is over; who came too early is told when it is worth coming again.
#pragma once

#include <string>

#include "manager/call.h"
#include "manager/replies.h"
#include "manager/waiting_requests.h"
#include "store/store.h"

namespace ddict::manager {

class Waiters {
  public:
    /// All must outlive it.
    Waiters(store::Store& store, Replies& replies) : store_(store), replies_(replies) {}

    /// Answers at once if the pair is what is waited for.
    void add(const Call& call);
    /// Of a get or a pop of a key that is not there.
    void await_key(const Call& call);
    /// Of a change at a checkpoint above Store::newest_permitted().
    void await_checkpoint(const Call& call);
    /// After whatever may have let the checkpoints move on.
    void look_at_held() {
        if (!held_.empty()) wake_held();
    }
    /// For every put that was made.
    void on_put(const store::Change& change) {
        if (!requests_.empty()) wake(change.key(), change.hash());
    }
    /// Ends what has waited for too long. Returns the next deadline; Time::max() if there is none.
    Time tick(Time now);
    void drop_session(std::uint64_t session) {
        requests_.drop_session(session);
        held_.drop_session(session);
    }
    /// Ends a wait as if its time were over. False if the session has none with this number.
    bool cancel(std::uint64_t session, std::uint64_t request);

    bool empty() const noexcept { return requests_.empty() && held_.empty(); }
    /// Those that came too early.
    std::size_t held() const noexcept { return held_.size(); }
    std::size_t size() const noexcept { return requests_.size() + held_.size(); }
    std::string inconsistency() const { return requests_.inconsistency() + held_.inconsistency(); }

  private:
    void wake(KeyBytes key, std::uint64_t hash);
    void wake_held();
    void keep(WaitingRequests& requests, const Call& call, KeyBytes key, const wire::AskAgain& why);
    void end_retired();
    bool ends(const Call& call, const shm::Block& block, Bytes expected);
    void time_out(const Call& call, KeyBytes key, std::uint64_t hash);

    store::Store& store_;
    Replies& replies_;
    WaitingRequests requests_;
    WaitingRequests held_;  // for a checkpoint: all under one key
    std::uint32_t lowest_held_ = 0;
    std::uint32_t oldest_ = 0;  // the oldest checkpoint when it was looked at
};

/// Whether a pair has this value. Plain bytes can be read as any type, and anything as plain bytes.
bool has_value(const shm::Block& block, std::uint16_t value_type, Bytes value) noexcept;

}  // namespace ddict::manager
