// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What ddict means to reach, as ratios to what the machine can do, and whether it does: the targets S1 to
// S10, each measured in one run beside what it is held against.
#pragma once

#include <string>
#include <vector>

#include "bench/options.h"
#include "bench/progress.h"
#include "bench/report.h"

namespace ddict::bench {

/// One line of the table.
struct Target {
    enum class Bound { at_least, at_most };

    std::string id{};      ///< "S1"
    std::string figure{};  ///< what is measured, and against what
    Bound bound = Bound::at_least;
    double limit = 0;
    std::string unit{};            ///< "", "M/s", "us", "%"
    std::vector<double> values{};  ///< of each repetition; empty: it could not be measured
    std::string own{};             ///< the dictionary's own figure, in words; or why there is none
    std::string baseline{};        ///< the other's figure, in words; may be empty

    /// By the median. Requires values.
    bool met() const;
};

struct TargetFigures {
    std::vector<Target> targets;
    std::vector<Record> records;
};

/// Options: effort, workload, large_value_bytes, idle (0: ten seconds). Throws std::runtime_error.
TargetFigures measure_targets(const Options& options, Progress& progress);

std::string table_of_targets(const std::vector<Target>& targets);

}  // namespace ddict::bench
