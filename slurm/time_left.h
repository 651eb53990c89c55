// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How long a job still has, as squeue tells it: Slurm up to 22.05 sets no SLURM_JOB_END_TIME, and a time
// limit may be changed while the job runs.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "os/environment.h"
#include "slurm/srun.h"

namespace ddict::slurm {

/// The command whose output time_left() understands. `environment` is the job's.
SrunCommand ask_for_time_left(std::string_view job_id, const os::Environment& environment);

/// Without what a user has set to have squeue tell of other jobs, or in another form.
os::Environment without_squeue_settings(os::Environment environment);

/// None: the job has no time limit. Zero: its time is over. system if the output does not say.
Result<std::optional<std::chrono::seconds>> time_left(std::string_view output, std::string_view job_id);

}  // namespace ddict::slurm
