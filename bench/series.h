// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A phase that is repeated, in turns with the others it is compared with, so that what disturbs the machine
// disturbs all of them. Each repetition is cut into slices of some milliseconds, and all series take turns
// slice by slice: how far two processors are from each other changes within seconds on a virtual machine, so
// only what was measured in the same moment can be compared.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/options.h"
#include "bench/report.h"
#include "bench/team.h"

namespace ddict::bench {

struct Series {
    Team* team = nullptr;
    Phase phase{};
    Record record{};
    const Series* ucx = nullptr;   ///< UCX alone, of the same shape: compared by time; run before this
    const Series* map = nullptr;   ///< the map of one process: compared by rate; run before this
    const Series* peer = nullptr;  ///< the peer: compared by rate; run before this
    std::uint64_t slice_min = 1;   ///< operations that mean something

    /// Searches for the number of operations, once; that is a warm-up as well.
    void choose_operations(const Effort& effort);
    /// The part of a repetition that is due in turn `turn` of `turns`; none, where operations take longer
    /// than a turn. First the rate, of a phase that is timed as a whole; then, in every fourth, the
    /// latencies, of one in which the clock is read at every operation.
    void run_slice(unsigned turn, unsigned turns);
    void end_repetition();
    /// Of the latest repetition. Requires one.
    double latest(std::string_view figure) const;

    // Of the repetition that is under way:
    struct Repetition {
        Nanoseconds elapsed{};
        std::uint64_t operations = 0;
        unsigned slices = 0;
        Histogram latencies;
        std::vector<double> raw_us;  // of `ucx`, beside each slice
        std::vector<double> ratios;
    };

    Repetition now{};
    unsigned slices = 1;      // of each repetition, of phase.operations each
    double slice_us = 0;      // the mean time of an operation of the latest slice
    unsigned slice_turn = 0;  // when that was: with it alone a slice of the same turn is compared
};

/// All of them in turns, so often; `say` is told which.
void run_in_turns(const std::vector<Series*>& all, const Effort& effort,
                  const std::function<void(const Series&, const std::string& what)>& say);

}  // namespace ddict::bench
