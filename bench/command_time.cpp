// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/command_time.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <stdexcept>

#include "os/child_process.h"

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds timeout{30};

std::string path_of_ddict() {
    std::error_code error;
    const std::filesystem::path here = std::filesystem::path(os::own_program()).parent_path();
    for (const auto& candidate : {here / "ddict", here / ".." / "bin" / "ddict"}) {
        if (std::filesystem::exists(candidate, error)) return candidate.string();
    }
    return os::find_program("ddict", os::environment_of_this_process()).path;
}

}  // namespace

Nanoseconds time_of_ddict(const std::string& handle, const std::vector<std::string>& arguments,
                          unsigned runs) {
    std::vector<std::string> argv{path_of_ddict()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    os::Environment environment = os::environment_of_this_process();
    environment["DDICT_HANDLE"] = handle;
    std::vector<Nanoseconds> times;
    for (unsigned i = 0; i < std::max(runs, 1u); ++i) {
        const auto start = Clock::now();
        const Result<os::Captured> run = os::capture_output(argv, environment, timeout);
        times.push_back(Clock::now() - start);
        if (!run) throw std::runtime_error(argv.front() + ": " + run.error().message());
        if (!run->status.success())
            throw std::runtime_error(argv.front() + " " + run->status.describe() + ": " + run->errors);
    }
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

}  // namespace ddict::bench
