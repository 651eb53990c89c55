// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/aftermath.h"

#include <fcntl.h>

#include <csignal>

#include "os/environment.h"
#include "os/file_descriptor.h"
#include "slurm/hostlist.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds cancel_timeout{5'000};
constexpr milliseconds sweep_timeout{5'000};
// Told to end, srun takes its step with it.
constexpr milliseconds end_grace{1'000};

}  // namespace

void Aftermath::begin(const Step& step, const os::Environment& environment) {
    if (is_running()) return;
    current_ = 0;
    commands_.clear();
    nodes_ = slurm::compress_hostlist(step.nodes);
    // If it has ended, scancel fails, and that is well.
    if (!step.step.empty()) commands_.push_back({{"scancel", step.step}, environment, cancel_timeout, false});
    if (!step.nodes.empty()) {
        commands_.push_back({step.sweep.argv, step.sweep.environment, sweep_timeout, true});
    }
    if (is_running()) start_current();
}

void Aftermath::start_current() {
    const Command& command = commands_[current_];
    deadline_ = Clock::now() + command.timeout;
    told_to_end_ = false;
    const os::FoundProgram found = os::find_program(command.argv[0], command.environment);
    const os::FileDescriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    os::SpawnOptions options;
    options.program = found.path;
    options.argv = command.argv;
    options.environment = command.environment;
    options.standard_fds = {nothing.fd(), nothing.fd(), nothing.fd()};
    options.close_other_fds = true;
    options.own_process_group = true;
    auto child = os::ChildProcess::start(options);
    if (!child) return finish_current(child.error().detail.data());
    child_ = *std::move(child);
}

void Aftermath::advance() {
    if (!is_running()) return;
    const std::string name = commands_[current_].argv[0];
    if (const auto status = child_.reap())
        return finish_current(status->success() ? "" : name + " " + status->describe());
    const auto now = Clock::now();
    if (now < deadline_) return;
    child_.signal_group(told_to_end_ ? SIGKILL : SIGTERM);
    if (!told_to_end_) {
        told_to_end_ = true;
        deadline_ = now + end_grace;
        return;
    }
    child_ = os::ChildProcess();
    finish_current(name + " did not end in time");
}

void Aftermath::finish_current(const std::string& why) {
    if (!why.empty() && commands_[current_].must_succeed)
        failure_ = "what the managers had in /dev/shm on " + nodes_ + " could not be removed (" + why +
                   "): the next ddict-launch there does it";
    ++current_;
    if (is_running()) start_current();
}

void Aftermath::abandon() {
    if (child_.running()) child_.signal_group(SIGKILL);
    child_ = os::ChildProcess();
    current_ = commands_.size();
}

}  // namespace ddict::launcher
