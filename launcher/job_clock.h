// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// When to save before the time limit of a Slurm job. The limit may be changed while the job runs, so squeue
// is asked again each time when half of what is left has passed.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

/// For one thread. Never waits.
class JobClock {
  public:
    using Clock = std::chrono::steady_clock;

    /// `environment` is the job's.
    JobClock(const os::Environment& environment, std::chrono::milliseconds before);

    /// Asks, and takes in the answer.
    void advance(Clock::time_point now);
    /// True once for each time limit, `before` ahead of it.
    bool take_due(Clock::time_point now);
    /// How long advance() and take_due() have nothing to do, unless fd() can be read.
    Clock::duration wait(Clock::time_point now) const;
    int fd() const { return squeue_.running() ? squeue_.pidfd() : -1; }

  private:
    void ask(Clock::time_point now);
    void take_answer(Clock::time_point now, const std::string& output);
    void fail(Clock::time_point now, const std::string& why);
    void set_end(Clock::time_point now, Clock::time_point end);

    const os::Environment environment_;
    const std::string job_;
    const std::chrono::milliseconds before_;
    os::ChildProcess squeue_;  // running: it has been asked, and has not answered yet
    os::FileDescriptor answer_;
    Clock::time_point asked_at_;
    Clock::time_point next_ask_ = Clock::time_point::min();
    std::optional<Clock::time_point> end_;
    std::optional<Clock::time_point> told_end_;  // for which take_due() has been true
    bool has_told_failure_ = false;
    bool has_told_no_limit_ = false;
};

}  // namespace ddict::launcher
