// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/saves.h"

#include <signal.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "launcher/launch_loop.h"
#include "launcher/progress_line.h"
#include "os/signal_names.h"

namespace ddict::launcher {
namespace {

using namespace std::chrono_literals;

constexpr auto give_up_grace = 5s;

}  // namespace

Saves::Saves(const Options& options, const os::Environment& environment, Start start,
             std::function<bool()> has_lost_keys)
    : options_(options), start_(std::move(start)), has_lost_keys_(std::move(has_lost_keys)) {
    if (!options.save_before) return;
    if (os::value_of(environment, "SLURM_JOB_ID").empty()) {
        say("no Slurm job here: there is no time limit to save before");
        return;
    }
    clock_.emplace(environment, *options.save_before);
}

void Saves::on_signal(int number) {
    const auto& numbers = options_.save_on;
    if (is_last_ || std::find(numbers.begin(), numbers.end(), number) == numbers.end()) return;
    wanted_ = "signal " + os::signal_name(number);
}

void Saves::save_at_end() {
    is_last_ = true;
    wanted_ = "the end of the command";
    clock_.reset();
}

void Saves::advance(Clock::time_point now) {
    if (const auto status = child_.reap()) take_end(*status);
    if (given_up_ && child_.running() && now >= kill_at_) {
        child_.signal(SIGKILL);
        // A process that waits for a file system may outlive even that.
        if (now >= kill_at_ + give_up_grace) child_.abandon();
    }
    if (clock_) {
        clock_->advance(now);
        if (clock_->take_due(now)) wanted_ = "the time limit";
    }
    if (!child_.running() && !wanted_.empty()) start();
}

void Saves::start() {
    running_ = std::exchange(wanted_, {});
    runs_last_ = is_last_;
    std::vector<std::string> argv{"ddict", "save", "--until-input-ends"};
    // While the command runs the terminal is the command's.
    if (!is_last_) argv.emplace_back("--no-progress");
    if (options_.compress) argv.emplace_back("--compress");
    // What was saved before has what this save lacks.
    if (options_.save_keep && !has_lost_keys_())
        argv.insert(argv.end(), {"--keep", std::to_string(*options_.save_keep)});
    argv.insert(argv.end(), {"--", options_.save});
    auto pipe = os::make_pipe();
    auto child = pipe ? start_(std::move(argv), pipe->read_end.fd()) : pipe.error();
    if (!child) return say("cannot save (" + running_ + "): " + reason(child.error()));
    child_ = *std::move(child);
    input_ = std::move(pipe->write_end);
}

void Saves::take_end(const os::ExitStatus& status) {
    input_.reset();
    has_saved_ = status.success() && runs_last_;
    if (status.success()) return;
    // One that is killed may have committed just before.
    const char* const outcome =
        status.signalled ? "it is not known whether it has been saved (" : "nothing has been saved (";
    say(outcome + running_ + "): ddict save " + status.describe() +
        (is_last_ ? "" : "; the command goes on"));
}

void Saves::give_up(Clock::time_point now) {
    wanted_.clear();
    if (!child_.running() || std::exchange(given_up_, true)) return;
    kill_at_ = now + give_up_grace;
    input_.reset();
}

std::vector<int> Saves::fds() const {
    return {child_.running() ? child_.pidfd() : -1, clock_ ? clock_->fd() : -1};
}

int Saves::wait_ms(Clock::time_point now) const {
    Clock::duration wait = 1h;
    if (clock_) wait = std::min(wait, clock_->wait(now));
    if (given_up_) wait = std::clamp<Clock::duration>(kill_at_ - now, 100ms, wait);
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

}  // namespace ddict::launcher
