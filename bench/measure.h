// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What ddict-bench can measure. docs/performance.md describes each. All throw std::runtime_error, with a text
// for people, when anything fails.
#pragma once

#include <vector>

#include "bench/options.h"
#include "bench/progress.h"
#include "bench/report.h"

namespace ddict::bench {

/// The headline workload: get and put, and UCX alone, in turns.
std::vector<Record> measure_headline(const Options& options, Progress& progress);
/// The CPU time of a dictionary that nobody uses, and the first request after that.
std::vector<Record> measure_idle(const Options& options, Progress& progress);
/// From nothing to a dictionary, and back.
std::vector<Record> measure_bring_up(const Options& options, Progress& progress);
/// What pairs take, and what of a pool they fill.
std::vector<Record> measure_memory(const Options& options, Progress& progress);
/// What saving and loading take, beside writing and copying.
std::vector<Record> measure_saving(const Options& options, Progress& progress);
/// What it costs to attach, and to speak to every manager.
std::vector<Record> measure_connections(const Options& options, Progress& progress);

}  // namespace ddict::bench
