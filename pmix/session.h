// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// This process as one of the processes that a PMIx launcher (srun --mpi=pmix, or any other) has started
// together: the rendezvous of the node launchers.
//
// Threads: a Session belongs to one thread. PMIx runs a thread of its own; nothing of it is seen outside.
// One Session in a process, and one in its life: PMIx can not be started again in every version.
#pragma once

#include <chrono>
#include <memory>

#include "base/limits.h"
#include "cluster/rendezvous.h"

namespace ddict::pmix {

class Session final : public Rendezvous {
  public:
    /// Meets the PMIx server that started this process. Fails within the timeout: with timeout if the
    /// server does not answer, with system if no PMIx launcher started this process or PMIx refuses.
    static Result<std::unique_ptr<Session>> open(
        std::chrono::milliseconds timeout = limits::pmix_open_timeout);

    /// Leaves if leave() was not called. Waits limits::pmix_leave_timeout at the most.
    ~Session() override;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    std::uint32_t index() const override;
    std::uint32_t count() const override;

    /// See Rendezvous. Refused without a trace: a key that is empty, too long or used before, a contribution
    /// that with the earlier ones of this process exceeds limits::pmix_contribution_bytes_max (too_large).
    /// Fails with timeout when cancelled or when the PMIx server gave up waiting for a peer, with system when
    /// a peer died; after such a failure the only sensible call is leave().
    Result<std::vector<std::string>> exchange(std::string_view key, std::string_view mine,
                                              const std::function<bool()>& cancelled) override;
    /// Ends this process's membership. Does not wait for the peers; those that are still in an exchange with
    /// this process may see it fail. Waits limits::pmix_leave_timeout at the most.
    Result<void> leave() override;

  private:
    struct State;
    explicit Session(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace ddict::pmix
