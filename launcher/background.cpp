// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/background.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "cluster/directory.h"
#include "launcher/ending.h"
#include "launcher/find_record.h"
#include "launcher/launch_loop.h"
#include "launcher/rendezvous_file.h"
#include "launcher/sizes.h"
#include "os/child_process.h"
#include "os/descriptors.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/process_watch.h"
#include "os/signals.h"
#include "slurm/hostlist.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

int say_error(const Error& error) {
    say(reason(error));
    return exit_bring_up_failed;
}

/// As one word of a shell, whatever is in it.
std::string quoted(const std::string& text) {
    const auto plain = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
               c == '_' || c == '-';
    };
    if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return text;
    std::string word = "'";
    for (const char c : text)
        word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return word + "'";
}

/// The lines that make a shell find the dictionary.
std::string export_lines(const std::string& handle, const std::string& name, bool in_job) {
    std::string line = "export";
    for (const auto& [variable, value] : handle_variables(handle, name, in_job))
        line += " " + variable + "=" + quoted(value);
    return line;
}

RendezvousRecord record_of(const NodeLaunchers& launchers, const os::Environment& environment) {
    const LaunchPlan& plan = launchers.plan();
    RendezvousRecord record;
    record.name = plan.name;
    record.handle = launchers.handle();
    record.dictionary = hex(plan.identity.dictionary_id);
    record.job = os::value_of(environment, "SLURM_JOB_ID");
    record.job_restart = os::value_of(environment, "SLURM_RESTART_COUNT");
    record.step = launchers.step();
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

/// The launcher in the background. `parent` is the socket to the process that the user waits for: its end
/// before the dictionary is ready means that the user has given up.
class Daemon {
  public:
    Daemon(const os::Environment& environment, const LaunchPlan& plan, std::string path,
           os::FileDescriptor parent)
        : environment_(environment), plan_(plan), path_(std::move(path)), parent_(std::move(parent)) {}

    int run();

  private:
    void detach();
    bool is_order_to_end(const os::SignalEvent& signal) const;
    void watch(NodeLaunchers& launchers, LaunchLoop& loop, const RendezvousFile& file);

    const os::Environment& environment_;
    const LaunchPlan& plan_;
    const std::string path_;
    os::FileDescriptor parent_;
    bool term_ignored_ = false;  // by whoever started this
};

int Daemon::run() {
    setsid();
    // What the caller's shell had open (a lock, the other end of a pipe) is not for a process that stays.
    os::close_all_from(3, parent_.fd());
    // An order to end comes whatever the caller ignores, and so does SIGTERM to what is started here.
    signal(os::order_signal(), SIG_DFL);
    term_ignored_ = signal(SIGTERM, SIG_DFL) == SIG_IGN;
    const auto signals = os::SignalFd::open(os::ending_signals());
    os::ignore_reserved_signals();
    const auto started = signals ? NodeLaunchers::start(plan_, environment_) : signals.error();
    if (!started) return say_error(started.error());
    NodeLaunchers& launchers = **started;
    LaunchLoop loop(launchers, *signals);
    const LaunchLoop::BringUp up = loop.bring_up(parent_.fd());
    if (!up.ready) {
        if (!up.reason.empty()) say("cannot start the dictionary: " + up.reason);
        loop.tear_down();
        return up.signal != 0 ? 128 + up.signal : exit_bring_up_failed;
    }
    const auto file = RendezvousFile::publish(path_, record_of(launchers, environment_), environment_);
    if (!file) {
        say_error(file.error());
        loop.tear_down();
        return exit_bring_up_failed;
    }
    if (!os::write_fully(parent_.fd(), launchers.handle())) {  // killed meanwhile: nobody knows of it
        loop.tear_down();
        return exit_bring_up_failed;
    }
    detach();
    watch(launchers, loop, *file);
    loop.tear_down();
    return 0;
}

/// Lets go of the terminal, of pipes that others read to their end, and of the folder.
void Daemon::detach() {
    parent_.reset();  // whose descriptor may be the only one to be had
    os::FileDescriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    // Where there is none: what can neither be read nor written, so that nothing else gets these numbers.
    if (!nothing.is_open()) nothing = os::FileDescriptor(open("/", O_PATH | O_CLOEXEC));
    for (int fd = 0; fd < 3; ++fd)
        nothing.is_open() ? dup2(nothing.fd(), fd) : close(fd);
    [[maybe_unused]] const int moved = chdir("/");
}

/// Those of a job are signalled all together, so that its programs save: they need the dictionary then. It
/// ends by ddict-launch stop, or with the job.
bool Daemon::is_order_to_end(const os::SignalEvent& signal) const {
    const bool ignored = signal.number == SIGTERM && term_ignored_;
    return signal.ordered || (signal.asks_to_end() && !plan_.allocation && !ignored);
}

void Daemon::watch(NodeLaunchers& launchers, LaunchLoop& loop, const RendezvousFile& file) {
    std::size_t lost = 0;
    while (launchers.stage() == NodeLaunchers::Stage::ready && !launchers.all_lost()) {
        for (const os::SignalEvent& signal : loop.turn(-1, 3'600'000).signals)
            if (is_order_to_end(signal)) return;
        if (launchers.lost().size() != lost) {
            lost = launchers.lost().size();
            RendezvousRecord record = record_of(launchers, environment_);
            if (const auto before = read_record(path_)) record.created = before->created;
            // If the file cannot be written any more, status shows less; the dictionary is none the worse.
            [[maybe_unused]] const auto updated = file.update(record);
        }
    }
}

/// The variable that srun hands on whatever it exports may be of another dictionary, and stay so.
void warn_of_other_handle(const os::Environment& environment, const Options& options, bool in_job,
                          const std::string& handle) {
    const std::string other(os::value_of(environment, "SLURM_DDICT_HANDLE"));
    if (other.empty() || other == handle) return;
    const std::string remedy =
        in_job ? "eval \"$(ddict-launch env --name " + options.name + ")\", which sets it too" : "unset it";
    say("SLURM_DDICT_HANDLE is set, to another dictionary, which 'srun --export=NONE' uses; where this one "
        "is "
        "to be used instead: " +
        remedy);
}

/// In the process that the user waits for: until the launcher says the handle, or ends.
int await_handle(const Options& options, const os::Environment& environment, bool in_job, pid_t launcher,
                 os::FileDescriptor socket) {
    const auto signals = os::SignalFd::open({SIGINT, SIGTERM, SIGHUP, SIGQUIT});
    if (!signals) return say_error(signals.error());
    std::string handle;
    for (;;) {
        std::array<pollfd, 2> fds{{{socket.fd(), POLLIN, 0}, {signals->fd(), POLLIN, 0}}};
        poll(fds.data(), fds.size(), -1);  // bounded by the launcher's own deadlines
        if (fds[1].revents != 0) {
            const auto signal = signals->next();
            if (signal) kill(launcher, signal->number == SIGQUIT ? SIGTERM : signal->number);
        }
        if (fds[0].revents == 0) continue;
        std::array<char, 4096> chunk;
        const ssize_t got = read(socket.fd(), chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        handle.append(chunk.data(), static_cast<std::size_t>(got));
    }
    if (!handle.empty()) {
        // Whoever is to read this may let it wait; signals end this process again then. The dictionary is
        // found by its name.
        sigprocmask(SIG_SETMASK, &signals->original_mask(), nullptr);
        std::cout << (options.export_line ? export_lines(handle, options.name, in_job) : handle) << std::endl;
        if (std::cout) {
            if (!options.export_line || !in_job) warn_of_other_handle(environment, options, in_job, handle);
            return 0;
        }
        os::order_to_end(os::open_pidfd(launcher).fd());  // nobody would know of it
    }
    int status = 0;
    waitpid(launcher, &status, 0);
    if (!std::cout) return say_error(Error(Errc::system, "cannot write the handle to the standard output"));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// The dictionary whose handle this shell still has, if it is of that name and has ended.
bool has_ended_already(const std::string& name, const os::Environment& environment) {
    const auto handle = Handle::parse(os::value_of(environment, "DDICT_HANDLE"));
    return handle && handle->name == name && has_ended_here(*handle);
}

/// The same command again, where the launcher is. False if that is no node of the job.
bool ask_on_its_host(const Found& found, const os::Environment& environment) {
    slurm::Allocation job;
    job.job_id = found.record.job;
    job.nodes.push_back({.name = found.record.launcher.host});
    const std::string folder = found.path.substr(0, found.path.rfind('/'));
    const slurm::SrunCommand srun =
        slurm::srun_on_nodes(job, environment, {found.record.launcher.host}, os::own_program(),
                             {"stop", "--name", found.record.name, "--state-dir", folder});
    const auto asked = os::capture_output(srun.argv, srun.environment, std::chrono::seconds(20));
    return asked && asked->status.success();
}

/// Asks the launcher to end, here or through Slurm. Returns a pidfd if it is here.
Result<os::FileDescriptor> ask_to_end(const Found& found, const os::Environment& environment) {
    os::FileDescriptor here = open_process(found.record.launcher);
    if (here.is_open()) {
        if (const int error = os::order_to_end(here.fd()); error != 0)
            return Error(Errc::system, "cannot signal its launcher, process " +
                                           std::to_string(found.record.launcher.pid) + ": " +
                                           std::strerror(error));
        return here;
    }
    const std::string& host = found.record.launcher.host;
    if (found.record.step.empty())
        return Error(Errc::system,
                     (found.verdict.why.empty() ? "it was started on " + host : found.verdict.why) +
                         ": run ddict-launch stop where it was started");
    if (ask_on_its_host(found, environment)) return os::FileDescriptor();
    // Signals to the step say nothing: they could be meant for all of the job. The launcher clears up.
    const auto cancelled =
        os::capture_output({"scancel", found.record.step}, environment, std::chrono::seconds(10));
    if (!cancelled || !cancelled->status.success())
        return Error(Errc::system, "cannot reach step " + found.record.step +
                                       " (scancel failed): run ddict-launch stop on " + host);
    return os::FileDescriptor();
}

std::string_view word_of(Liveness liveness) {
    switch (liveness) {
        case Liveness::alive:
            return "alive";
        case Liveness::ending:
            return "ending";
        case Liveness::stale:
            return "stale";
        case Liveness::unknown:
            return "unknown";
    }
    return "unknown";
}

std::string local_time(std::int64_t seconds) {
    const std::time_t time = seconds;
    std::tm fields{};
    localtime_r(&time, &fields);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &fields);
    return text.data();
}

nlohmann::json status_object(const RendezvousRecord& record, const Verdict& verdict) {
    return {{"name", record.name},
            {"state", word_of(verdict.liveness)},
            {"dictionary", record.dictionary},
            {"job", record.job},
            {"step", record.step},
            {"launcher_host", record.launcher.host},
            {"launcher_pid", record.launcher.pid},
            {"nodes", record.nodes},
            {"managers", record.managers},
            {"total_bytes", record.total_bytes},
            {"created", record.created},
            {"lost", record.lost}};
}

void print_status(const RendezvousRecord& record, const Verdict& verdict) {
    const auto plural = [](std::size_t count, const std::string& noun) {
        return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
    };
    std::cout << record.name << ": " << word_of(verdict.liveness);
    if (!verdict.why.empty()) std::cout << " (" << verdict.why << ")";
    std::cout << ", " << plural(record.managers, "manager") << " on " << plural(record.nodes.size(), "node")
              << " (" << slurm::compress_hostlist(record.nodes) << "), " << format_size(record.total_bytes)
              << ", since " << local_time(record.created);
    if (!record.job.empty()) std::cout << ", job " << record.job;
    std::cout << "\n";
    for (const std::string& lost : record.lost)
        std::cout << "  lost: " << printable(lost) << "\n";
}

}  // namespace

int start(const Options& options, const os::Environment& environment) {
    const auto folder = state_folder(options, environment);
    if (!folder) return say_error(folder.error());
    const std::string path = record_path(*folder, options.name, environment);
    // One that a client has destroyed a moment ago is waited for.
    if (const auto before = read_record(path);
        before && liveness_of(*before, environment).liveness == Liveness::ending)
        wait_until_gone(path, before->dictionary, open_process(before->launcher), options.timeout);
    if (const auto free = require_free(path, environment); !free) return say_error(free.error());
    const auto plan = prepare(options, environment);
    if (!plan) return say_unprepared(plan.error());

    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return say_error(
            Error(Errc::system, "no socket pair to be had: raise the limit of open files (ulimit -n)"));
    os::FileDescriptor mine(ends[0]);
    os::FileDescriptor theirs(ends[1]);
    const pid_t launcher = fork();
    if (launcher < 0) return say_error(Error(Errc::system, "cannot fork: too many processes (ulimit -u)"));
    if (launcher == 0) {
        mine.reset();
        const int status = Daemon(environment, *plan, path, std::move(theirs)).run();
        std::exit(status);
    }
    theirs.reset();
    return await_handle(options, environment, plan->allocation.has_value(), launcher, std::move(mine));
}

int stop(const Options& options, const os::Environment& environment) {
    const auto found = find_record(options, environment);
    if (!found && found.error().code == Errc::not_found && has_ended_already(options.name, environment)) {
        say("'" + options.name + "' has ended already");
        return 0;
    }
    if (!found) return say_error(found.error());
    if (found->verdict.liveness == Liveness::stale) {
        if (const auto removed = remove_record(found->path, found->record.dictionary); !removed)
            return say_error(removed.error());
        say("'" + options.name + "' had ended already without a word; removed its file");
        return 0;
    }
    const auto asked = ask_to_end(*found, environment);
    const std::string& dictionary = found->record.dictionary;
    if (!asked) {  // since it has just ended, by another stop perhaps?
        constexpr milliseconds last_moments{2'000};
        const os::FileDescriptor nobody;
        if (wait_until_gone(found->path, dictionary, nobody, std::min(options.timeout, last_moments)))
            return 0;
        return say_error(asked.error());
    }
    if (wait_until_gone(found->path, dictionary, *asked, options.timeout)) return 0;
    say("'" + options.name + "' has not ended within " + format_seconds(options.timeout) +
        " s: its launcher is process " + std::to_string(found->record.launcher.pid) + " on " +
        found->record.launcher.host);
    return exit_bring_up_failed;
}

int status(const Options& options, const os::Environment& environment) {
    const auto not_known = [](const Error& why) {
        say_error(why);
        return exit_not_known;
    };
    const auto folder = state_folder(options, environment);
    if (!folder) return not_known(folder.error());
    bool any_alive = false;
    nlohmann::json all = nlohmann::json::array();
    const auto records = list_records(*folder);
    if (!records) return not_known(records.error());
    bool in_doubt = false;
    for (const ListedRecord& listed : *records) {
        if (!listed.record) {
            const bool unread = is_doubtful(listed);
            in_doubt = in_doubt || unread;
            const std::string line = printable(listed.path) + ": " + listed.record.error().detail.data();
            if (!options.json && !options.name_given) {
                std::cout << line << "\n";
            } else if (unread) {
                say(line);
            }
            continue;
        }
        if (options.name_given && listed.record->name != options.name) continue;
        const Verdict verdict = liveness_of(*listed.record, environment);
        any_alive = any_alive || verdict.liveness == Liveness::alive;
        in_doubt = in_doubt || verdict.liveness == Liveness::unknown;
        if (options.json) {
            all.push_back(status_object(*listed.record, verdict));
        } else {
            print_status(*listed.record, verdict);
        }
    }
    if (options.json) {
        std::cout << all.dump(2) << "\n";
    } else if (!any_alive) {
        std::cout << none_running(options.name_given ? options.name : "", in_doubt ? "see above" : "",
                                  environment)
                  << "\n";
    }
    return any_alive ? 0 : in_doubt ? exit_not_known : 1;
}

int print_environment(const Options& options, const os::Environment& environment) {
    const auto found = find_record(options, environment);
    if (!found) return say_error(found.error());
    if (found->verdict.liveness == Liveness::stale) {
        say("'" + options.name + "' has ended without a word; start it again");
        return exit_bring_up_failed;
    }
    if (found->verdict.liveness == Liveness::ending) {
        say("'" + options.name + "' was destroyed by a client; start it again");
        return exit_bring_up_failed;
    }
    std::cout << export_lines(found->record.handle, found->record.name, !found->record.job.empty()) << "\n";
    return 0;
}

}  // namespace ddict::launcher
