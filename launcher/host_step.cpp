// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/host_step.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>

#include "base/comma_list.h"
#include "base/limits.h"
#include "launcher/events.h"
#include "launcher/host_file.h"
#include "launcher/launch_loop.h"
#include "launcher/lifeline.h"
#include "launcher/lifeline_environment.h"
#include "launcher/output.h"
#include "os/child_process.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view shell_argument = "--rsh=";
constexpr std::string_view hosts_argument = "--hosts=";
// A host's processes may hold its streams after it has ended.
constexpr milliseconds drain_time{1'000};
constexpr milliseconds flush_time{1'000};
// After the end of their input, which ends node launchers: nobody may be left who would end them later.
constexpr milliseconds terminate_after = limits::manager_stop_grace + milliseconds(4'000);
constexpr milliseconds kill_after = terminate_after + milliseconds(3'000);
// What has no lifeline is a short step, whose starter waits for it no longer than that.
constexpr milliseconds short_step_time{60'000};
constexpr std::size_t output_bytes_max = std::size_t{64} << 20;

/// The process of one host, as this one sees it.
class HostTask {
  public:
    HostTask(std::uint32_t rank, std::string host) : rank_(rank), host_(std::move(host)) {}

    Result<void> start(const std::vector<std::string>& remote_shell, const std::vector<std::string>& args,
                       const os::Environment& environment);
    void add_poll_entries(std::vector<pollfd>& fds) const {
        fds.push_back({out_.fd(), POLLIN, 0});
        fds.push_back({err_.fd(), POLLIN, 0});
        fds.push_back({child_.running() ? child_.pidfd() : -1, POLLIN, 0});
        fds.push_back({input_.poll_fd(), POLLOUT, 0});
    }
    void give(std::string_view bytes) { input_.say(bytes); }
    void end_input() {
        is_input_over_ = true;
        input_over_since_ = Clock::now();
    }
    /// Takes in what has happened.
    void advance(Output& out, Output& err);
    bool is_over() const { return is_over_; }
    bool has_failed() const { return has_failed_; }
    void fail(const std::string& how, Output& out);

  private:
    void read_lines(Output& out, Output& err);
    void press();

    const std::uint32_t rank_;
    const std::string host_;
    const bool is_here_ = is_this_host(host_);
    std::string program_;  // what runs here: "ssh"
    os::ChildProcess child_;
    LifelineWriter input_;
    os::FileDescriptor out_;
    os::FileDescriptor err_;
    LineReader out_lines_;
    LineReader err_lines_;
    ForeignLines foreign_lines_;
    bool says_events_ = false;
    std::string last_error_;
    std::optional<os::ExitStatus> status_;
    Clock::time_point ended_{};
    bool is_input_over_ = false;
    Clock::time_point input_over_since_{};
    int pressure_ = 0;           // 1: SIGTERM sent, 2: SIGKILL sent
    milliseconds more_time_{0};  // besides terminate_after
    bool is_over_ = false;
    bool has_failed_ = false;
};

Result<void> HostTask::start(const std::vector<std::string>& remote_shell,
                             const std::vector<std::string>& args, const os::Environment& environment) {
    auto input = os::make_pipe();
    auto out = os::make_pipe();
    auto err = os::make_pipe();
    if (!input || !out || !err) return (!input ? input : !out ? out : err).error();
    os::SpawnOptions options;
    options.environment = environment;
    if (is_here_) {
        options.program = os::own_program();
        options.argv = {"ddict-launch"};
        options.argv.insert(options.argv.end(), args.begin(), args.end());
        options.environment[rank_variable] = std::to_string(rank_);
    } else {
        os::Environment variables{{rank_variable, std::to_string(rank_)}};
        if (const auto path = environment.find("LD_LIBRARY_PATH"); path != environment.end())
            variables.insert(*path);
        const os::FoundProgram found = os::find_program(remote_shell[0], environment);
        if (found.error != 0)
            return Error(Errc::system, "there is no " + remote_shell[0] +
                                           " here: --rsh names what starts a program on another host");
        options.program = found.path;
        options.argv = remote_shell;
        options.argv.insert(options.argv.end(), {host_, remote_line(variables, args)});
    }
    program_ = options.argv[0].substr(options.argv[0].rfind('/') + 1);
    const bool has_lifeline = std::find(args.begin(), args.end(), environment_on_lifeline) != args.end();
    says_events_ = std::find(args.begin(), args.end(), "--node") != args.end();
    more_time_ = has_lifeline ? milliseconds(0) : short_step_time;
    options.standard_fds = {input->read_end.fd(), out->write_end.fd(), err->write_end.fd()};
    options.close_other_fds = true;
    auto child = os::ChildProcess::start(options);
    if (!child) return child.error();
    child_ = *std::move(child);
    input_.open(std::move(input->write_end));
    out_ = std::move(out->read_end);
    err_ = std::move(err->read_end);
    os::set_non_blocking(out_.fd());
    os::set_non_blocking(err_.fd());
    return {};
}

void HostTask::read_lines(Output& out, Output& err) {
    std::vector<std::string> lines;
    if (out_.is_open() && out_lines_.read_from(out_.fd(), lines) == LineReader::State::ended) out_.reset();
    for (const std::string& line : lines) {
        // What a short step prints is for its starter, whatever it is.
        if (!says_events_ || parse_event(line))
            out.add(line + "\n");
        else if (!line.empty() && foreign_lines_.admits())
            err.add(host_ + ": " + line + "\n");
    }
    lines.clear();
    if (err_.is_open() && err_lines_.read_from(err_.fd(), lines) == LineReader::State::ended) err_.reset();
    for (std::string& line : lines) {
        if (line.ends_with('\r')) line.pop_back();  // of ssh
        if (line.empty()) continue;
        // What managers and node launchers say is no reason for an end.
        if (!line.starts_with("ddict-")) last_error_ = line;
        err.add((is_here_ || line.starts_with("ddict-") ? "" : host_ + ": ") + line + "\n");
    }
}

void HostTask::advance(Output& out, Output& err) {
    if (is_over_) return;
    if (child_.running()) {
        if (const auto status = child_.reap()) {
            status_ = status;
            ended_ = Clock::now();
        }
    }
    read_lines(out, err);
    input_.flush();
    if (is_input_over_ && input_.poll_fd() < 0) input_.end();
    if (!status_) return press();
    input_.end();
    const bool silent = !out_.is_open() && !err_.is_open();
    if (!silent && Clock::now() - ended_ < drain_time) return;
    is_over_ = true;
    if (const auto foreign = foreign_lines_.left_out(); !foreign.empty())
        err.add(host_ + ": " + foreign + "\n");
    if (status_->signalled) last_error_.clear();
    if (!status_->success()) fail(program_ + " " + status_->describe(), out);
}

/// Ends a remote shell, or what it has started, that does not heed the end of its input.
void HostTask::press() {
    if (!is_input_over_ || !child_.running()) return;
    const auto waited = Clock::now() - input_over_since_ - more_time_;
    if (pressure_ < 1 && waited >= terminate_after) {
        pressure_ = 1;
        input_.end();
        child_.signal(SIGTERM);
    }
    if (pressure_ < 2 && waited >= kill_after) {
        pressure_ = 2;
        child_.signal(SIGKILL);
    }
}

void HostTask::fail(const std::string& how, Output& out) {
    is_over_ = has_failed_ = true;
    Event gone;
    gone.kind = Event::Kind::gone;
    gone.node = host_;
    gone.node_id = NodeId{rank_};
    gone.text = how + (last_error_.empty() ? "" : ": " + last_error_);
    out.add(format_event(gone));
}

/// Each host takes four descriptors.
void allow_descriptors() {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/// Gives all what there is to read; false at its end.
bool pass_input(std::vector<std::unique_ptr<HostTask>>& tasks) {
    std::array<char, 64 * 1024> chunk;
    const ssize_t got = read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    for (auto& task : tasks)
        got > 0 ? task->give({chunk.data(), static_cast<std::size_t>(got)}) : task->end_input();
    return got > 0;
}

int run(std::vector<std::unique_ptr<HostTask>>& tasks, Output& out, Output& err) {
    bool is_input_open = true;
    const auto all_over = [&] {
        return std::all_of(tasks.begin(), tasks.end(), [](const auto& task) { return task->is_over(); });
    };
    while (!all_over()) {
        std::vector<pollfd> fds{{is_input_open ? STDIN_FILENO : -1, POLLIN, 0},
                                {out.poll_fd(), POLLOUT, 0},
                                {err.poll_fd(), POLLOUT, 0}};
        for (const auto& task : tasks)
            if (!task->is_over()) task->add_poll_entries(fds);
        poll(fds.data(), fds.size(), static_cast<int>(drain_time.count()));
        if (fds[0].revents != 0) is_input_open = pass_input(tasks);
        out.flush();
        err.flush();
        for (auto& task : tasks)
            task->advance(out, err);
    }
    out.flush_within(flush_time);
    err.flush_within(flush_time);
    return std::any_of(tasks.begin(), tasks.end(), [](const auto& task) { return task->has_failed(); }) ? 1
                                                                                                        : 0;
}

}  // namespace

std::vector<std::string> host_step_arguments(const std::vector<std::string>& remote_shell,
                                             const std::vector<std::string>& hosts,
                                             const std::vector<std::string>& args) {
    std::vector<std::string> all{"--on-hosts", std::string(hosts_argument) + join_list(hosts)};
    for (const std::string& word : remote_shell)
        all.push_back(std::string(shell_argument) + word);
    all.emplace_back("--");
    all.insert(all.end(), args.begin(), args.end());
    return all;
}

int run_on_hosts(const std::vector<std::string>& args, const os::Environment& environment) {
    const auto dashes = std::find(args.begin(), args.end(), "--");
    std::vector<std::string> shell;
    std::vector<std::string> hosts;
    for (auto arg = args.begin(); arg != dashes; ++arg) {
        if (arg->starts_with(shell_argument)) shell.push_back(arg->substr(shell_argument.size()));
        if (arg->starts_with(hosts_argument)) hosts = split_list(arg->substr(hosts_argument.size()));
    }
    if (dashes == args.end() || shell.empty() || hosts.empty()) {
        say("--on-hosts is for ddict-launch itself, not for people");
        return exit_usage;
    }
    allow_descriptors();
    std::signal(SIGPIPE, SIG_IGN);  // of one that has ended before it has read all
    os::set_non_blocking(STDOUT_FILENO);
    Output out(STDOUT_FILENO, output_bytes_max);
    Output err(STDERR_FILENO);
    std::vector<std::unique_ptr<HostTask>> tasks;
    for (std::uint32_t rank = 0; rank < hosts.size(); ++rank) {
        auto& task = tasks.emplace_back(std::make_unique<HostTask>(rank, hosts[rank]));
        if (const auto started = task->start(shell, {dashes + 1, args.end()}, environment); !started)
            task->fail(reason(started.error()), out);
    }
    return run(tasks, out, err);
}

}  // namespace ddict::launcher
