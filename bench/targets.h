// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What ddict means to reach, as ratios to what the machine can do, and whether it does: the targets S1 to
// S11, each measured in one run beside what it is held against.
#pragma once

#include <string>
#include <vector>

#include "bench/options.h"
#include "bench/progress.h"
#include "bench/report.h"

namespace ddict::bench {

struct TargetFigures {
    std::vector<Target> targets;
    std::vector<Record> records;
};

/// Options: effort, workload, large_value_bytes, idle (0: ten seconds). Throws std::runtime_error.
TargetFigures measure_targets(const Options& options, Progress& progress);

std::string table_of_targets(const std::vector<Target>& targets);

}  // namespace ddict::bench
