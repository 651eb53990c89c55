// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One thread's connections to a dictionary: a UCX worker and the client side of the protocol, driven
// together.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/requester.h"
#include "ucx/worker.h"

namespace ddict::client {

class Session {
  public:
    static Result<std::unique_ptr<Session>> open(const Credentials& credentials);
    /// Says goodbye to the managers; takes some milliseconds at the most.
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// What add_manager() was told; null if nothing.
    const DirectoryEntry* known_manager(std::uint32_t manager) const {
        return requester_.known_manager(manager);
    }
    void add_manager(const DirectoryEntry& entry) { requester_.add_manager(entry); }

    /// One request and its reply; `now` is the current time. Returns at the deadline at the latest, and then
    /// nothing of the caller's is in use.
    Result<Reply> call(const Request& request, Time now, Time deadline);

    /// The same request to each of the managers [0, count), many at once; `on_reply` gets each outcome, in
    /// any order. `prepare` is asked for each request just before it starts and may refuse with an error.
    void call_all(std::uint32_t count, Time deadline,
                  const std::function<Result<Request>(std::uint32_t)>& prepare,
                  const std::function<void(std::uint32_t, Result<Reply>)>& on_reply);

    ProcessIdentity identity() const { return worker_->identity(); }
    std::string describe(std::uint32_t manager) const { return requester_.describe(manager); }

  private:
    Session(std::unique_ptr<ucx::Worker> worker, const Credentials& credentials);
    void make_progress(Time deadline);

    std::unique_ptr<ucx::Worker> worker_;
    Requester requester_;
    Time next_tick_ = Time::min();  // when the requester wants to look at the clock again
};

}  // namespace ddict::client
