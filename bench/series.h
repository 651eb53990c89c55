// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A phase that is repeated, in turns with the others it is compared with, so that what disturbs the machine
// disturbs all of them.
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

    /// Searches for the number of operations, once; that is a warm-up as well.
    void choose_operations(const Effort& effort);
    /// The rate, of a phase that is timed as a whole; then the latencies, of a shorter one in which the clock
    /// is read at every operation.
    void run_once();
    /// Of the latest repetition. Requires one.
    double latest(std::string_view figure) const;
};

/// All of them in turns, so often; `say` is told which.
void run_in_turns(const std::vector<Series*>& all, const Effort& effort,
                  const std::function<void(const Series&, const std::string& what)>& say);

}  // namespace ddict::bench
