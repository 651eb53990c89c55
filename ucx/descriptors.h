// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The descriptors that UCX opens. It opens them without close-on-exec: what a program starts meanwhile, and
// leaves running, would keep its connections, and its managers its session, when the program has died.
//
// UCX tells nobody which they are, but waits for all of them by epoll: sockets and the keep-alive timer in
// the sets below the worker's, listeners and pipes in that of its thread. So they are found there
// (os/epoll_targets), marked when the worker has come up, and again when its connections have changed.
#pragma once

#include <chrono>

#include <ddict/result.h>

namespace ddict::ucx {

/// Threads: those of a worker belong to its thread.
class Descriptors {
  public:
    using Clock = std::chrono::steady_clock;

    /// Looks for nothing, ever, unless `are_marked`.
    explicit Descriptors(bool are_marked) noexcept : wanted_(are_marked) {}

    /// Marks what UCX has opened so far; when the worker is up, with its epoll descriptor. Errors: system, if
    /// descriptors are missing for that.
    Result<void> start(int worker_epoll);
    /// A connection has been begun.
    void begun() noexcept;
    /// One has come about, on which an answer will come, perhaps over a socket that the peer has made.
    void opened() noexcept;

    // When to look; not from inside UCX. Who calls the library gets control back after a message or after a
    // sleep, and before a sleep a look costs no time, since a peer is waited for. Cost of a look: ten
    // microseconds, and 0.6 for each connection. Once looks have taken a quarter of a second they take a
    // quarter of the time at the most, and are late.

    bool wants_look() const noexcept { return changed_ || unanswered_ != 0; }
    /// If wants_look(), and so many messages have come; at least one.
    void after(unsigned messages);
    /// Also for a while after that: a peer that has connected when we did has a socket that no message
    /// comes over.
    void before_sleep() {
        if (changed_ || settled_at_ != Clock::time_point{}) look_before_sleep();
    }

  private:
    void look_before_sleep();
    void mark(Clock::time_point now);

    bool wanted_;
    bool changed_ = false;     // since the last look
    unsigned unanswered_ = 0;  // connections, at the most
    int worker_epoll_ = -1;
    Clock::time_point settled_at_{};  // zero: it is
    Clock::time_point looked_at_{};
    Clock::time_point paid_until_{};  // four times what it has cost
};

}  // namespace ddict::ucx
