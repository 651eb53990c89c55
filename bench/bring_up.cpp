// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <set>
#include <stdexcept>
#include <thread>

#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/measured_dictionary.h"
#include "os/host_name.h"

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds gone_limit{20};

double milliseconds(Nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

/// Processes of others cannot be waited for: asks every half millisecond.
void await_gone(const std::set<pid_t>& pids) {
    const Clock::time_point deadline = Clock::now() + gone_limit;
    for (const pid_t pid : pids) {
        while (kill(pid, 0) == 0) {
            if (Clock::now() > deadline) {
                throw std::runtime_error("process " + std::to_string(pid) +
                                         " of the dictionary is still there after destroy()");
            }
            std::this_thread::sleep_for(std::chrono::microseconds(500));
        }
    }
}

void once(const Options& options, std::uint32_t managers, Record& record) {
    MeasuredDictionary dictionary(options, managers);
    const Nanoseconds first_request = dictionary.time_of_request();
    std::set<pid_t> pids;
    for (const ManagerStats& one : dictionary.managers()) {
        if (one.node != os::host_name())
            throw std::runtime_error("a manager is on another node: " + one.node);
        pids.insert(one.pid);
        pids.insert(parent_of(one.pid));
    }
    const Clock::time_point start = Clock::now();
    dictionary.destroy();
    await_gone(pids);
    const Nanoseconds gone = Clock::now() - start;
    record.managers = dictionary.manager_count();
    record.transport = dictionary.transport();
    record.add("create_ms", milliseconds(dictionary.time_to_open()));
    record.add("first_request_us", 1e3 * milliseconds(first_request));
    record.add("destroy_ms", milliseconds(dictionary.time_to_destroy()));
    record.add("gone_ms", milliseconds(gone));
}

}  // namespace

std::vector<Record> measure_bring_up(const Options& options, Progress& progress) {
    std::vector<Record> records;
    for (const std::uint32_t managers : options.managers) {
        Record& record = records.emplace_back();
        record.op = "bring_up";
        record.clients = 1;
        progress.repeat("bring-up ", options.effort.repetitions,
                        [&](unsigned) { once(options, managers, record); });
    }
    return records;
}

}  // namespace ddict::bench
