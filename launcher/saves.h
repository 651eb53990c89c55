// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The saves of the wrapper (--save and its companions): at signals, before the time limit, at the end. Each
// is a process of "ddict save", so that neither the dictionary nor this process waits for a file system.
//
// Invariants: 1. At most one save runs. 2. What is asked for meanwhile is one more save, after it. 3. Signals
// that are sent to the whole job do not reach it: it ends when it is done, is given up, or its launcher dies.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "launcher/job_clock.h"
#include "launcher/options.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

/// For one thread. Never waits.
class Saves {
  public:
    using Clock = JobClock::Clock;
    /// The program ddict with these arguments and this standard input, beside everything else.
    using Start = std::function<Result<os::ChildProcess>(std::vector<std::string> argv, int input_fd)>;

    /// The options stay while this lives. Once keys were lost, no earlier save is removed.
    Saves(const Options& options, const os::Environment& environment, Start start,
          std::function<bool()> has_lost_keys);

    /// Asks for a save if the signal is one of --save-on.
    void on_signal(int number);
    /// Asks for the last one; the command has ended.
    void save_at_end();
    /// Starts what is to be done, and takes in what has been done.
    void advance(Clock::time_point now);
    bool is_idle() const { return !child_.running() && wanted_.empty(); }
    /// Whether the last one, that of save_at_end(), has saved.
    bool has_saved() const { return has_saved_; }
    /// The save that runs ends without a checkpoint within a few seconds, and none is started any more.
    void give_up(Clock::time_point now);

    /// To be polled for input.
    std::vector<int> fds() const;
    int wait_ms(Clock::time_point now) const;

  private:
    void start();
    void take_end(const os::ExitStatus& status);

    const Options& options_;
    const Start start_;
    const std::function<bool()> has_lost_keys_;
    std::optional<JobClock> clock_;  // for --save-before
    os::ChildProcess child_;
    os::FileDescriptor input_;  // the child ends without saving when it is closed
    std::string running_;       // why there is the save that runs: "USR2"
    std::string wanted_;        // why one more is wanted; empty: none
    bool is_last_ = false;      // the command has ended
    bool runs_last_ = false;    // the save that runs has begun after that
    bool has_saved_ = false;
    bool given_up_ = false;
    Clock::time_point kill_at_{};  // of one that is given up
};

}  // namespace ddict::launcher
