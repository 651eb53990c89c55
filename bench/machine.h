// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a figure was measured on.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace ddict::bench {

struct Machine {
    std::string cpu;
    unsigned cores = 0;  ///< that this process may use
    std::string kernel;
    std::string ucx_version;
    double load_average = 0;   ///< of the last minute, before the run: others at work spoil figures
    double clock_read_ns = 0;  ///< what reading the clock costs: part of every latency
};

Machine look_at_machine();

/// The CPU time that a process and all its threads have used; 0 when there is no such process.
std::chrono::nanoseconds cpu_time(pid_t pid);
/// Keeps a process, and the threads it starts from then on, on one processor: the one with number `slot` of
/// those that this process may use, beginning again where they end. Throws std::system_error.
void pin(pid_t pid, unsigned slot);
/// 0 when there is no such process.
pid_t parent_of(pid_t pid);

}  // namespace ddict::bench
