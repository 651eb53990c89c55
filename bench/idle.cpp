// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <stdexcept>
#include <thread>

#include "bench/bare_wake.h"
#include "bench/contestants.h"
#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/measured_dictionary.h"
#include "os/host_name.h"

namespace ddict::bench {
namespace {

void require_local(const MeasuredDictionary& dictionary) {
    for (const ManagerStats& one : dictionary.managers()) {
        if (one.node != os::host_name()) {
            throw std::runtime_error("manager " + std::to_string(one.manager) + " is on " + one.node +
                                     ": the CPU time of managers can be measured on their own node only");
        }
    }
}

Record measure_one(const Options& options, std::uint32_t managers, Progress& progress) {
    progress.show("creating a dictionary");
    MeasuredDictionary dictionary(options, managers);
    require_local(dictionary);
    const Workload workload(options.workload);
    {  // The client that fills it goes again; the owner stays, attached and silent.
        DictionaryClients(dictionary, workload, 1).fill(options.value_bytes.front());
    }
    dictionary.time_of_request();

    std::vector<pid_t> pids;
    std::set<pid_t> launchers;
    for (const ManagerStats& one : dictionary.managers()) {
        pids.push_back(one.pid);
        launchers.insert(parent_of(one.pid));
    }
    const std::size_t manager_pids = pids.size();
    pids.insert(pids.end(), launchers.begin(), launchers.end());

    progress.show("waking up a thread that does nothing else");
    const BareWake bare = time_of_bare_wake(std::chrono::duration<double>(options.idle));
    dictionary.time_of_request();
    progress.show("watching an idle dictionary");
    std::vector<std::chrono::nanoseconds> before;
    const auto start = std::chrono::steady_clock::now();
    for (const pid_t pid : pids)
        before.push_back(cpu_time(pid));
    std::this_thread::sleep_for(std::chrono::duration<double>(options.idle));
    const std::chrono::duration<double> watched = std::chrono::steady_clock::now() - start;

    Record record;
    record.op = "idle";
    record.bytes = options.value_bytes.front();
    record.key_bytes = options.workload.key_bytes;
    record.clients = 1;
    record.managers = dictionary.manager_count();
    record.transport = dictionary.transport();
    for (std::size_t i = 0; i < pids.size(); ++i) {
        const std::chrono::duration<double> used = cpu_time(pids[i]) - before[i];
        record.add(i < manager_pids ? "manager_percent_of_a_core" : "launcher_percent_of_a_core",
                   100 * used.count() / watched.count());
    }
    record.add("seconds", watched.count());
    record.add("first_request_us", static_cast<double>(dictionary.time_of_request().count()) / 1e3);
    record.add("second_request_us", static_cast<double>(dictionary.time_of_request().count()) / 1e3);
    record.add("bare_wake_us", static_cast<double>(bare.there_and_back.count()) / 1e3);
    record.add("bare_percent_of_a_core", bare.percent_of_a_core);
    if (options.attach) {
        DictionaryClients(dictionary, workload, 1).erase();
    }
    dictionary.destroy();
    return record;
}

}  // namespace

std::vector<Record> measure_idle(const Options& options, Progress& progress) {
    std::vector<Record> records;
    for (const std::uint32_t managers : options.managers)
        records.push_back(measure_one(options, managers, progress));
    return records;
}

}  // namespace ddict::bench
