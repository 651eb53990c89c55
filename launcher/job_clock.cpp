// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/job_clock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <string_view>
#include <utility>

#include "launcher/launch_loop.h"
#include "launcher/progress_line.h"
#include "slurm/time_left.h"

namespace ddict::launcher {
namespace {

using namespace std::chrono_literals;

constexpr auto answer_timeout = 10s;
constexpr auto after_failure = 30s;
constexpr auto without_limit = 10min;
constexpr auto last_question = 20s;  // so close to the moment of the save, nothing is asked any more
// Limits are in minutes: a smaller difference is that of two answers about the same one.
constexpr auto same_limit = 30s;

/// What newer versions of Slurm set; none otherwise.
std::optional<JobClock::Clock::time_point> end_in(const os::Environment& environment,
                                                  JobClock::Clock::time_point now) {
    const std::string_view text = os::value_of(environment, "SLURM_JOB_END_TIME");
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return now + std::chrono::seconds(seconds - std::time(nullptr));
}

std::string text_in(const os::FileDescriptor& file) {
    std::string text;
    std::array<char, 65536> piece;
    for (ssize_t got = 0;
         (got = pread(file.fd(), piece.data(), piece.size(), static_cast<off_t>(text.size()))) > 0;)
        text.append(piece.data(), static_cast<std::size_t>(got));
    return text;
}

}  // namespace

JobClock::JobClock(const os::Environment& environment, std::chrono::milliseconds before)
    : environment_(environment), job_(os::value_of(environment, "SLURM_JOB_ID")), before_(before) {}

void JobClock::advance(Clock::time_point now) {
    if (!squeue_.running()) {
        if (now >= next_ask_) ask(now);
        return;
    }
    if (const auto status = squeue_.reap()) {
        const std::string output = text_in(std::exchange(answer_, {}));
        return status->success() ? take_answer(now, output) : fail(now, "squeue " + status->describe());
    }
    if (now >= asked_at_ + answer_timeout) squeue_.signal_group(SIGKILL);
}

void JobClock::ask(Clock::time_point now) {
    asked_at_ = now;
    const slurm::SrunCommand command = slurm::ask_for_time_left(job_, environment_);
    const os::FoundProgram found = os::find_program(command.argv[0], command.environment);
    if (found.error != 0) return fail(now, "there is no squeue");
    // Of a large job it may say more than fits into a pipe, which nobody reads before it has ended.
    os::FileDescriptor answer(memfd_create("squeue", MFD_CLOEXEC));
    if (!answer.is_open()) return fail(now, std::string("no memory file: ") + std::strerror(errno));
    const os::FileDescriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    os::SpawnOptions options;
    options.program = found.path;
    options.argv = command.argv;
    options.environment = command.environment;
    options.standard_fds = {nothing.fd(), answer.fd(), nothing.fd()};
    options.close_other_fds = true;
    options.own_process_group = true;
    options.parent_death_signal = SIGKILL;
    auto child = os::ChildProcess::start(options);
    if (!child) return fail(now, reason(child.error()));
    squeue_ = *std::move(child);
    answer_ = std::move(answer);
}

void JobClock::take_answer(Clock::time_point now, const std::string& output) {
    const auto left = slurm::time_left(output, job_);
    if (!left.has_value()) return fail(now, reason(left.error()));
    if (*left) return set_end(now, asked_at_ + **left);
    end_.reset();
    next_ask_ = now + without_limit;
    if (!std::exchange(has_told_no_limit_, true))
        say("the job has no time limit: nothing is saved before it, unless it gets one");
}

void JobClock::fail(Clock::time_point now, const std::string& why) {
    next_ask_ = now + after_failure;
    if (!end_) {
        if (const auto end = end_in(environment_, now)) return set_end(now, *end);
    }
    if (!std::exchange(has_told_failure_, true))
        say("cannot find out when the job ends (" + why + "), which is tried again: " +
            (end_ ? "until then the time limit of before counts" : "nothing is saved before it until then"));
}

void JobClock::set_end(Clock::time_point now, Clock::time_point end) {
    // Over time: Slurm lets the job go on for a while, and no save is due again.
    const bool is_over = told_end_ && end <= asked_at_;
    end_ = end;
    if (is_over || (told_end_ && end <= *told_end_ + same_limit)) {
        // If the job is still there at its end, then somebody has given it more time.
        next_ask_ = std::max(end, now + after_failure);
        return;
    }
    told_end_.reset();
    const auto due_in = end - before_ - now;
    next_ask_ = now + std::min<Clock::duration>(due_in > last_question ? due_in / 2 : due_in + before_,
                                                without_limit);
}

bool JobClock::take_due(Clock::time_point now) {
    if (!end_ || told_end_ || now < *end_ - before_) return false;
    told_end_ = end_;
    next_ask_ = std::max(*end_, now + after_failure);
    return true;
}

JobClock::Clock::duration JobClock::wait(Clock::time_point now) const {
    Clock::time_point next = squeue_.running() ? asked_at_ + answer_timeout : next_ask_;
    if (end_ && !told_end_) next = std::min(next, *end_ - before_);
    // A process that has been killed takes its time.
    return std::max<Clock::duration>(next - now, squeue_.running() ? 100ms : 0ms);
}

}  // namespace ddict::launcher
