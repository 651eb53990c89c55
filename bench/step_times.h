// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "bench/shared_memory.h"

namespace ddict::bench {

/// Of this thread: what others do on the machine does not count.
inline double processor_us() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

/// How long each of many steps takes, of several runs that all take the same: in whichever process.
class StepTimes {
  public:
    explicit StepTimes(std::uint64_t steps_max) : steps_max_(steps_max + 2), best_us_(steps_max_), run_(1) {}
    void begin() {
        const std::uint64_t runs = run_[0].runs + 1;
        run_[0] = {.runs = runs};
    }
    template <class Step>
    void time(const Step& step) {
        const double start = processor_us();
        step();
        const double took = processor_us() - start;
        Run& run = run_[0];
        if (run.steps == steps_max_) throw std::runtime_error("more steps than there are pairs");
        double& best = best_us_[run.steps++];
        best = run.runs == 1 ? took : std::min(best, took);
        run.longest_us = std::max(run.longest_us, took);
    }
    /// Of the run that was begun last.
    double longest_once_us() const { return run_[0].longest_us; }
    /// Of each step the shortest of all runs.
    double longest_us() const {
        double longest = 0;
        for (std::uint64_t i = 0; i < run_[0].steps; ++i)
            longest = std::max(longest, best_us_[i]);
        return longest;
    }

  private:
    struct Run {
        std::uint64_t runs = 0;
        std::uint64_t steps = 0;
        double longest_us = 0;
    };

    const std::uint64_t steps_max_;
    SharedArray<double> best_us_;
    SharedArray<Run> run_;
};

}  // namespace ddict::bench
