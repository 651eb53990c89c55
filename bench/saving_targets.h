// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What ddict means to reach while it saves, restores, and goes from checkpoint to checkpoint, beside what
// each is held against: the targets C1 to C4. docs/performance.md describes them.
#pragma once

#include "bench/options.h"
#include "bench/progress.h"
#include "bench/targets.h"

namespace ddict::bench {

/// Options: effort, workload, save, saved_bytes, step_pairs. Throws std::runtime_error.
TargetFigures measure_saving_targets(const Options& options, Progress& progress);

}  // namespace ddict::bench
