// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/job_end.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace ddict::launcher {
namespace {

// Slurm sends them one after the other.
constexpr std::chrono::seconds both_within{10};
constexpr auto silence_max = 4 * sign_of_life_interval;

/// The value of a variable in a block of NAME=VALUE texts that end with zeros.
std::string_view value_in(std::string_view block, std::string_view name) {
    while (!block.empty()) {
        const std::string_view entry = block.substr(0, block.find('\0'));
        if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
            return entry.substr(name.size() + 1);
        block.remove_prefix(std::min(block.size(), entry.size() + 1));
    }
    return {};
}

}  // namespace

void JobEnd::on_signal(int number, Clock::time_point now) {
    if (number == SIGCONT) continued_at_ = now;
    if (number == SIGTERM) terminated_at_ = now;
    const auto is_recent = [&](const auto& when) { return when && now - *when < both_within; };
    if (begun_ || !is_recent(continued_at_) || !is_recent(terminated_at_)) return;
    begun_ = true;
    silence_deadline_ = now + silence_max;
}

void JobEnd::on_sign_of_life(Clock::time_point now) {
    silence_deadline_ = now + silence_max;
}

bool JobEnd::is_abandoned(Clock::time_point now, const std::function<bool()>& others_run_here) {
    if (now < silence_deadline_) return false;
    silence_deadline_ = now + sign_of_life_interval;
    return !others_run_here();
}

bool others_of_job_run_here(const os::Environment& environment) {
    namespace fs = std::filesystem;
    const std::string_view job = os::value_of(environment, "SLURM_JOB_ID");
    const std::string_view step = os::value_of(environment, "SLURM_STEP_ID");
    if (job.empty()) return false;
    std::error_code error;
    for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        // Of other users, and of processes that have just ended, nothing can be read.
        std::ifstream file(at->path() / "environ", std::ios::binary);
        const std::string block{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        if (value_in(block, "SLURM_JOB_ID") == job && value_in(block, "SLURM_STEP_ID") != step) return true;
    }
    return false;
}

}  // namespace ddict::launcher
