// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What Slurm says of this user's jobs, asked at the first question, and once for all that follow.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include <ddict/result.h>

#include "os/environment.h"

namespace ddict::launcher {

class OwnJobs {
  public:
    explicit OwnJobs(const os::Environment& environment) : environment_(environment) {}

    /// A step of a job as it was when it had been put back into the queue so many times; `restarts` is a
    /// SLURM_RESTART_COUNT, empty before the first time. Of `cluster`; empty if that is not known. system,
    /// saying why, if it cannot be told.
    struct Step {
        std::string id;
        std::string job;
        std::string restarts;
        std::string cluster;
    };
    Result<bool> has(const Step& step);

  private:
    struct Answer {
        std::set<std::string> steps;
        std::map<std::string, std::string> restarts;  // of each job
    };
    const Result<Answer>& answer();
    const std::string& own_cluster();

    const os::Environment& environment_;
    std::optional<Result<Answer>> answer_;
    std::optional<std::string> own_cluster_;  // empty: Slurm does not say
};

}  // namespace ddict::launcher
