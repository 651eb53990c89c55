// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "bench/raw_ucx.h"

namespace ddict::bench {
namespace {

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("model name", 0) != 0) continue;
        const std::size_t value = line.find_first_not_of(" \t", line.find(':') + 1);
        if (value != std::string::npos) return line.substr(value);
    }
    return "unknown";
}

unsigned usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    return static_cast<unsigned>(CPU_COUNT(&set));
}

double cost_of_clock() {
    using Clock = std::chrono::steady_clock;
    constexpr int readings = 100'000;
    const Clock::time_point start = Clock::now();
    Clock::time_point last = start;
    for (int i = 0; i < readings; ++i)
        last = Clock::now();
    return std::chrono::duration<double, std::nano>(last - start).count() / readings;
}

/// The fields of /proc/PID/stat behind the name, which may hold anything; the first is the state.
std::vector<std::string> stat_fields(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::stringstream all;
    all << file.rdbuf();
    const std::string text = all.str();
    std::vector<std::string> fields;
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return fields;
    std::istringstream rest(text.substr(name_end + 1));
    for (std::string field; rest >> field;)
        fields.push_back(field);
    return fields;
}

}  // namespace

Machine look_at_machine() {
    Machine machine;
    machine.cpu = cpu_model();
    machine.cores = usable_cores();
    utsname names{};
    if (uname(&names) == 0) machine.kernel = std::string(names.sysname) + " " + names.release;
    machine.ucx_version = RawPeer::ucx_version();
    std::ifstream("/proc/loadavg") >> machine.load_average;
    machine.clock_read_ns = cost_of_clock();
    return machine;
}

std::chrono::nanoseconds cpu_time(pid_t pid) {
    // The scheduler's own account, in nanoseconds, where the kernel keeps one; else clock ticks.
    std::chrono::nanoseconds total{0};
    std::error_code error;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
        std::int64_t on_cpu = 0;
        if (std::ifstream(task.path() / "schedstat") >> on_cpu) total += std::chrono::nanoseconds(on_cpu);
    }
    if (total.count() > 0) return total;
    const std::vector<std::string> fields = stat_fields(pid);
    if (fields.size() < 13) return std::chrono::nanoseconds(0);
    const long ticks = std::stol(fields[11]) + std::stol(fields[12]);
    return std::chrono::nanoseconds(std::int64_t{ticks} * 1'000'000'000 / sysconf(_SC_CLK_TCK));
}

void pin(pid_t pid, unsigned slot) {
    cpu_set_t usable;
    CPU_ZERO(&usable);
    bool good = sched_getaffinity(0, sizeof usable, &usable) == 0;
    const int count = CPU_COUNT(&usable);
    int left = count > 0 ? static_cast<int>(slot) % count : 0;
    for (int cpu = 0; good && cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(static_cast<unsigned>(cpu), &usable) || left-- > 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<unsigned>(cpu), &one);
        good = sched_setaffinity(pid, sizeof one, &one) == 0;
        break;
    }
    if (!good) {
        throw std::system_error(errno, std::generic_category(),
                                "to pin process " + std::to_string(pid) + " to a processor");
    }
}

pid_t parent_of(pid_t pid) {
    const std::vector<std::string> fields = stat_fields(pid);
    return fields.size() < 2 ? 0 : static_cast<pid_t>(std::stol(fields[1]));
}

}  // namespace ddict::bench
