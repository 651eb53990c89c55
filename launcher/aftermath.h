// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// After a step of node launchers that has not ended in good order: Slurm is told to end what lives on of it,
// and then what it has left on its nodes is removed, by a step of its own, while the job lives.
//
// Never waits; belongs to one thread.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "os/child_process.h"
#include "os/environment.h"
#include "slurm/srun.h"

namespace ddict::launcher {

class Aftermath {
  public:
    struct Step {
        std::string step;                // Slurm's "JOB.STEP"; empty if it never said, or is none
        std::vector<std::string> nodes;  // as the allocation names them: those with something left
        slurm::SrunCommand sweep;        // runs sweep.h on these
    };

    void begin(const Step& step, const os::Environment& environment);
    bool is_running() const { return current_ < commands_.size(); }
    /// -1 when it does not run.
    int poll_fd() const { return child_.running() ? child_.pidfd() : -1; }
    void advance();
    /// Ends it now.
    void abandon();
    /// The step is known to have ended: scancel has said so, or that there is none.
    bool step_is_over() const { return current_ > 0; }
    /// Empty, or for the user: where something may have been left, and why.
    const std::string& failure() const { return failure_; }

  private:
    using Clock = std::chrono::steady_clock;
    struct Command {
        std::vector<std::string> argv;
        os::Environment environment;
        std::chrono::milliseconds timeout{0};
        bool must_succeed = false;
    };

    void start_current();
    void finish_current(const std::string& why);

    std::vector<Command> commands_;
    std::size_t current_ = 0;
    os::ChildProcess child_;
    Clock::time_point deadline_;
    bool told_to_end_ = false;
    std::string nodes_;
    std::string failure_;
};

}  // namespace ddict::launcher
