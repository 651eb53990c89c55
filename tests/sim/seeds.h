// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs a test with many seeds. DDICT_SIM_SEEDS=N runs N of them, DDICT_TEST_SEED=S only that one. A failure,
// also one that ends the process, prints the command line that repeats it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace ddict::sim {

/// What the runs add up, for the line at the end.
struct Tally {
    std::uint64_t operations = 0;
    std::uint64_t histories = 0;
    std::uint64_t events = 0;
};

/// Calls `run` with each seed until one fails. `seeds` is the default number.
void for_each_seed(unsigned seeds, const std::function<void(std::uint64_t seed, Tally&)>& run);

/// One seed need not show everything that all of them together must.
bool repeats_one_seed();

}  // namespace ddict::sim
