// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// --persist-freq: a process of "ddict persist --every" beside the dictionary, so that neither the dictionary
// nor this process waits for a file system.
#pragma once

#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/launch_loop.h"
#include "launcher/node_launchers.h"
#include "launcher/options.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

/// The program ddict with these arguments and this standard input, which finds the dictionary. It outlives
/// signals that are sent to the whole job, and this process.
os::SpawnOptions ddict_beside(const Options& options, const os::Environment& environment,
                              const NodeLaunchers& launchers, std::vector<std::string> argv, int input_fd);

/// For one thread. Never waits, but for begin_persisting(). One that dies is started again after a second.
class Persisting {
  public:
    using Clock = std::chrono::steady_clock;

    /// All must outlive it. `words`: where the child's go, a descriptor that stays the caller's.
    Persisting(const Options& options, const os::Environment& environment, const NodeLaunchers& launchers,
               int words = STDERR_FILENO)
        : options_(options), environment_(environment), launchers_(launchers), words_(words) {}

    /// From now on, if --persist-freq says so.
    void begin();
    void advance(Clock::time_point now);
    /// Nobody starts anything any more: what is retired is persisted, or, if the program has `succeeded`, all
    /// that is due.
    void finish(bool succeeded);
    void give_up();
    bool is_idle() const { return !child_.running(); }

    /// Whether checkpoints are to be persisted, and the child has not said yet that it holds them.
    bool is_awaited() const { return wanted_ && !holds_; }

    /// To be polled for input.
    int fd() const { return child_.running() ? child_.pidfd() : -1; }
    int said_fd() const { return said_.is_open() ? said_.fd() : -1; }
    int wait_ms(Clock::time_point now) const;

  private:
    void start();
    void listen();

    const Options& options_;
    const os::Environment& environment_;
    const NodeLaunchers& launchers_;
    os::ChildProcess child_;
    os::FileDescriptor input_;  // the child ends when it is closed
    os::FileDescriptor said_;   // its standard output, until it has said that it holds checkpoints
    const int words_;
    bool wanted_ = false;
    bool holds_ = false;
    Clock::time_point start_at_{};
};

/// Begins, and waits until no step is missed any more; not for long: what is missed is said then, and all
/// goes on. A signal that asks for an end ends the wait: its number, or 0.
int begin_persisting(Persisting& persisting,
                     const std::function<LaunchLoop::Turn(std::vector<int> fds, int wait_ms)>& turn);
inline int begin_persisting(Persisting& persisting, LaunchLoop& loop) {
    return begin_persisting(
        persisting, [&loop](const std::vector<int>& fds, int wait_ms) { return loop.turn(fds, wait_ms); });
}

/// Of a dictionary whose program has ended, or has ended it: in bounded time.
void finish(Persisting& persisting, LaunchLoop& loop);

}  // namespace ddict::launcher
