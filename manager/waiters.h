// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients that wait until a key is there, or has a value. Each is answered: with the pair, or when its time
// is over.
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
    /// For every put that was made.
    void on_put(const store::Change& change) {
        if (!requests_.empty()) wake(change.key(), change.hash());
    }
    /// Ends what has waited for too long. Returns the next deadline; Time::max() if there is none.
    Time tick(Time now);
    void drop_session(std::uint64_t session) { requests_.drop_session(session); }
    /// Ends a wait as if its time were over. False if the session has none with this number.
    bool cancel(std::uint64_t session, std::uint64_t request);

    bool empty() const noexcept { return requests_.empty(); }
    std::size_t size() const noexcept { return requests_.size(); }
    std::string inconsistency() const { return requests_.inconsistency(); }

  private:
    void wake(KeyBytes key, std::uint64_t hash);
    bool ends(const Call& call, const shm::Block& block, Bytes expected);
    void time_out(const Call& call, KeyBytes key, std::uint64_t hash);

    store::Store& store_;
    Replies& replies_;
    WaitingRequests requests_;
};

/// Whether a pair has this value. Plain bytes can be read as any type, and anything as plain bytes.
bool has_value(const shm::Block& block, std::uint16_t value_type, Bytes value) noexcept;

}  // namespace ddict::manager
