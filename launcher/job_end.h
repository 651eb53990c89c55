// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How a Slurm job ends, as a node launcher sees it: CONT and TERM to every process, KILL after KillWait to
// what is left. In between the job's programs may save, so the dictionary goes on for them. But srun may have
// been killed by then, and that closes nobody's standard input: so the launcher shows each second that it
// is there, and without it the node launcher looks for others of the job on its node.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "os/environment.h"
#include "slurm/allocation.h"

namespace ddict::launcher {

/// How often the launcher shows that it is there.
inline constexpr std::chrono::milliseconds sign_of_life_interval{1'000};

/// Never waits.
class JobEnd {
  public:
    using Clock = std::chrono::steady_clock;

    void on_signal(int number, Clock::time_point now);
    /// CONT and TERM have come together.
    bool has_begun() const { return begun_; }
    void on_sign_of_life(Clock::time_point now);
    /// Whether nobody is left who could need the dictionary: the launcher is silent, and no other process
    /// of the job is here. Requires has_begun(); to be asked each second.
    bool is_abandoned(Clock::time_point now, const std::function<bool()>& others_run_here);

  private:
    std::optional<Clock::time_point> continued_at_;
    std::optional<Clock::time_point> terminated_at_;
    bool begun_ = false;
    Clock::time_point silence_deadline_;
};

/// Whether this user has a process here that is of the job which `environment` names, and not of its step:
/// the batch script, or a task of another step. Reads all of /proc. False outside a job.
bool others_of_job_run_here(const os::Environment& environment);

}  // namespace ddict::launcher
