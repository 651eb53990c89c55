// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/record_keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <utility>

#include "base/hex.h"
#include "launcher/launch_loop.h"
#include "launcher/progress_line.h"
#include "os/environment.h"
#include "os/signals.h"

namespace ddict::launcher {
namespace {

using Clock = NodeLaunchers::Clock;

constexpr std::chrono::milliseconds moment{1'000};

int milliseconds_until(Clock::time_point deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
}

/// Waits for the descriptor; false if nothing comes in time.
bool wait_for(int fd, short events, Clock::time_point deadline) {
    pollfd waiting{fd, events, 0};
    for (;;) {
        const int ready = poll(&waiting, 1, milliseconds_until(deadline));
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

/// Up to the first character of that kind; nothing if it does not come in time, or there is an end before.
std::optional<std::string> read_until(int fd, char end, Clock::time_point deadline) {
    std::string text;
    while (wait_for(fd, POLLIN, deadline)) {
        char next = 0;
        const ssize_t got = read(fd, &next, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return std::nullopt;
        if (next == end) return text;
        text += next;
    }
    return std::nullopt;
}

/// The next record of the standard input; nothing at its end.
std::optional<RendezvousRecord> next_record(std::string& buffer) {
    std::array<char, 4096> chunk;
    for (;;) {
        if (const std::size_t end = buffer.find('\0'); end != std::string::npos) {
            Result<RendezvousRecord> record = parse_record(std::string_view(buffer).substr(0, end));
            buffer.erase(0, end + 1);
            return record ? std::optional(*std::move(record)) : std::nullopt;
        }
        const ssize_t got = read(STDIN_FILENO, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return std::nullopt;
        buffer.append(chunk.data(), static_cast<std::size_t>(got));
    }
}

}  // namespace

RendezvousRecord record_of(const NodeLaunchers& launchers, const os::Environment& environment) {
    const LaunchPlan& plan = launchers.plan();
    RendezvousRecord record;
    record.name = plan.name;
    record.handle = launchers.handle();
    record.dictionary = hex(plan.identity.dictionary_id);
    record.job = os::value_of(environment, "SLURM_JOB_ID");
    record.job_restart = os::value_of(environment, "SLURM_RESTART_COUNT");
    record.cluster = os::value_of(environment, "SLURM_CLUSTER_NAME");
    record.step = launchers.step();
    record.of_hosts = !plan.rsh.empty();
    record.launcher = this_process();
    for (const auto& [id, node] : launchers.nodes())
        record.nodes.push_back(node);
    record.managers = plan.managers();
    record.total_bytes = plan.total_bytes();
    record.created = std::time(nullptr);
    for (const auto& [manager, how] : launchers.lost())
        record.lost.push_back("manager " + std::to_string(number_of(manager)) + " on " + how);
    return record;
}

RecordKeeper::RecordKeeper(const Options& options, const os::Environment& environment) {
    const auto folder = state_folder(options, environment);
    if (!folder) {
        trouble_ = reason(folder.error());
        return;
    }
    Result<os::Pipe> records = os::make_pipe();
    Result<os::Pipe> answers = os::make_pipe();
    if (!records || !answers) {
        trouble_ = reason(records ? answers.error() : records.error());
        return;
    }
    records_ = std::move(records->write_end);
    answers_ = std::move(answers->read_end);
    os::set_non_blocking(records_.fd());
    const os::FileDescriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    os::SpawnOptions spawn;
    spawn.program = os::own_program();
    spawn.argv = {"ddict-launch", "--keep-record", *folder};
    spawn.environment = environment;
    spawn.standard_fds = {records->read_end.fd(), answers->write_end.fd(),
                          nothing.is_open() ? nothing.fd() : answers->write_end.fd()};
    spawn.close_other_fds = true;
    spawn.signal_mask = os::ending_signals();
    Result<os::ChildProcess> started = os::ChildProcess::start(spawn);
    if (started) {
        process_ = *std::move(started);
    } else {
        trouble_ = reason(started.error());
    }
}

RecordKeeper::~RecordKeeper() {
    records_.reset();
    if (!process_.running()) return;
    const auto deadline = Clock::now() + moment;
    while (wait_for(process_.pidfd(), POLLIN, deadline)) {
        if (process_.reap()) return;
    }
    process_.abandon();
}

std::optional<std::string> RecordKeeper::publish(const RendezvousRecord& record) {
    if (!process_.running()) return trouble_;
    const auto deadline = Clock::now() + moment;
    const bool sent = send(record, deadline);
    const std::optional<std::string> answer = sent ? read_until(answers_.fd(), '\n', deadline) : std::nullopt;
    if (answer && answer->empty()) return std::nullopt;
    if (answer) return *answer;
    return Clock::now() < deadline ? "the process that writes it has ended"
                                   : "the file system does not answer";
}

void RecordKeeper::update(const RendezvousRecord& record) {
    // After a part of one nothing can follow.
    if (process_.running() && records_.is_open() && !is_cut_) is_cut_ = !send(record, Clock::now());
}

/// False if it has not been taken in time, all of it.
bool RecordKeeper::send(const RendezvousRecord& record, Clock::time_point deadline) {
    std::string text = format_record(record);
    text += '\0';
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t done = write(records_.fd(), text.data() + sent, text.size() - sent);
        if (done >= 0) {
            sent += static_cast<std::size_t>(done);
        } else if (errno != EINTR && (errno != EAGAIN || !wait_for(records_.fd(), POLLOUT, deadline))) {
            return false;
        }
    }
    return true;
}

int keep_record(const std::vector<std::string>& args, const os::Environment& environment) {
    // Who has waited long enough for the answer may have gone: the file goes too.
    std::signal(SIGPIPE, SIG_IGN);
    std::string buffer;
    if (args.size() != 1) {
        say("--keep-record is for ddict-launch itself, not for people");
        return exit_usage;
    }
    const std::optional<RendezvousRecord> first = next_record(buffer);
    if (!first) return 0;  // the dictionary has not come up
    const std::string path = command_record_path(args[0], *first, environment);
    remove_left_records(args[0], path);
    const auto file = RendezvousFile::publish(path, *first, environment);
    std::string trouble = file ? "" : reason(file.error());
    std::replace(trouble.begin(), trouble.end(), '\n', ' ');
    os::write_fully(STDOUT_FILENO, trouble + "\n");
    if (!file) return exit_bring_up_failed;
    while (std::optional<RendezvousRecord> changed = next_record(buffer)) {
        changed->created = first->created;
        // If it cannot be written, status shows less; the dictionary is none the worse.
        [[maybe_unused]] const auto updated = file->update(*changed);
    }
    return 0;
}

}  // namespace ddict::launcher
