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
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/hex.h"
#include "base/shell_words.h"
#include "cluster/directory.h"
#include "launcher/ending.h"
#include "launcher/find_record.h"
#include "launcher/launch_loop.h"
#include "launcher/node_check.h"
#include "launcher/persisting.h"
#include "launcher/record_keeper.h"
#include "launcher/remote_host.h"
#include "launcher/rendezvous_file.h"
#include "launcher/resume.h"
#include "launcher/run_command.h"
#include "launcher/save_folders.h"
#include "launcher/sizes.h"
#include "os/child_process.h"
#include "os/descriptors.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/host_name.h"
#include "os/process_watch.h"
#include "os/signals.h"
#include "shm/kept_dictionary.h"
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

/// The lines that make a shell find the dictionary.
std::string export_lines(const std::string& handle, const std::string& name, bool in_job) {
    std::string line = "export";
    for (const auto& [variable, value] : handle_variables(handle, name, in_job))
        line += " " + variable + "=" + shell_word(value);
    return line;
}

/// The launcher in the background. `parent` is the socket to the process that the user waits for: its end
/// before the dictionary is ready means that the user has given up.
class Daemon {
  public:
    Daemon(const Options& options, const os::Environment& environment, const LaunchPlan& plan,
           std::string path, os::FileDescriptor parent)
        : options_(options),
          environment_(environment),
          plan_(plan),
          path_(std::move(path)),
          parent_(std::move(parent)) {}

    int run();

  private:
    void detach();
    bool is_order_to_end(const os::SignalEvent& signal) const;
    void watch(NodeLaunchers& launchers, LaunchLoop& loop, const RendezvousFile& file,
               Persisting& persisting);

    const Options& options_;
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
    const Result<SaveFolders> folders = SaveFolders::take(options_, environment_);
    if (!folders) return say_error(folders.error());
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
    // Another one may have begun at the same moment.
    if (const Result<void> own = folders->check(); !own) {
        say_error(own.error());
        loop.tear_down();
        return exit_bring_up_failed;
    }
    const auto file = RendezvousFile::publish(path_, record_of(launchers, environment_), environment_);
    if (!file) {
        say_error(file.error());
        loop.tear_down();
        return exit_bring_up_failed;
    }
    // What it says is for nobody: it must not keep the caller's descriptors, and start waits for it.
    const os::FileDescriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    Persisting persisting(options_, environment_, launchers, nothing.fd());
    if (const int signal = begin_persisting(persisting, loop); signal != 0) {
        finish(persisting, loop);
        loop.tear_down();
        return 128 + signal;
    }
    if (!os::write_fully(parent_.fd(), launchers.handle())) {  // killed meanwhile: nobody knows of it
        loop.tear_down();
        return exit_bring_up_failed;
    }
    detach();
    watch(launchers, loop, *file, persisting);
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
    return signal.ordered || (signal.asks_to_end() && !plan_.in_job() && !ignored);
}

void Daemon::watch(NodeLaunchers& launchers, LaunchLoop& loop, const RendezvousFile& file,
                   Persisting& persisting) {
    std::uint64_t version = 0;
    while (launchers.stage() == NodeLaunchers::Stage::ready && !launchers.all_lost()) {
        const auto wait_ms = persisting.wait_ms(Persisting::Clock::now());
        for (const os::SignalEvent& signal : loop.turn(persisting.fd(), wait_ms).signals)
            if (is_order_to_end(signal)) return finish(persisting, loop);
        persisting.advance(Persisting::Clock::now());
        if (launchers.record_version() != version) {
            version = launchers.record_version();
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

/// The same command again, where the launcher is. Errors: why it could not, of a remote shell or of the
/// command there; that host may be no node of the job.
Result<void> ask_on_its_host(const Found& found, const Options& options, const os::Environment& environment) {
    const std::string folder = found.path.substr(0, found.path.rfind('/'));
    const std::vector<std::string> args{"stop",
                                        "--name",
                                        found.record.name,
                                        "--state-dir",
                                        folder,
                                        "--timeout",
                                        format_seconds(options.timeout)};
    const milliseconds limit = options.timeout + milliseconds(10'000);
    const auto verdict_on = [](const Result<os::Captured>& asked) -> Result<void> {
        if (!asked) return asked.error();
        if (asked->status.success()) return {};
        const std::string last = last_line(asked->errors);
        return Error(Errc::system, last.empty() ? "what was to ask it " + asked->status.describe() : last);
    };
    if (found.record.of_hosts)
        return verdict_on(
            os::capture_output(on_host(found.record.launcher.host, args, environment), environment, limit));
    slurm::Allocation job;
    job.job_id = found.record.job;
    job.nodes.push_back({.name = found.record.launcher.host});
    const slurm::SrunCommand srun =
        slurm::srun_on_nodes(job, environment, {found.record.launcher.host}, os::own_program(), args);
    return verdict_on(os::capture_output(srun.argv, srun.environment, limit));
}

/// Asks the launcher to end, here or through Slurm. Returns a pidfd if it is here.
Result<os::FileDescriptor> ask_to_end(const Found& found, const Options& options,
                                      const os::Environment& environment) {
    os::FileDescriptor here = open_process(found.record.launcher);
    if (here.is_open()) {
        if (const int error = os::order_to_end(here.fd()); error != 0)
            return Error(Errc::system, "cannot signal its launcher, process " +
                                           std::to_string(found.record.launcher.pid) + ": " +
                                           std::strerror(error));
        return here;
    }
    const std::string& host = found.record.launcher.host;
    if (found.record.of_hosts) {
        const auto asked = ask_on_its_host(found, options, environment);
        if (asked) return os::FileDescriptor();
        return Error(Errc::system, host + ", where it was started, was asked to end it: " +
                                       reason(asked.error()) + "; ddict-launch stop can be run there, too");
    }
    if (found.record.step.empty())
        return Error(Errc::system,
                     (found.verdict.why.empty() ? "it was started on " + host : found.verdict.why) +
                         ": run ddict-launch stop where it was started");
    if (ask_on_its_host(found, options, environment)) return os::FileDescriptor();
    // Signals to the step say nothing: they could be meant for all of the job. The launcher clears up.
    const auto cancelled =
        os::capture_output({"scancel", found.record.step}, environment, std::chrono::seconds(10));
    if (!cancelled || !cancelled->status.success())
        return Error(Errc::system, "cannot reach step " + found.record.step +
                                       " (scancel failed): run ddict-launch stop on " + host);
    return os::FileDescriptor();
}

/// A client does it, and hears from the managers whether they have. Returns a pidfd of the launcher, if it is
/// here.
Result<os::FileDescriptor> destroy_and_keep(const Found& found, const os::Environment& environment) {
    os::FileDescriptor launcher = open_process(found.record.launcher);
    os::Environment variables = environment;
    variables["DDICT_HANDLE"] = found.record.handle;
    const auto ran =
        os::capture_output({ddict_program(), "destroy", "--keep"}, variables, std::chrono::seconds(60));
    if (!ran) return ran.error();
    if (!ran->status.success()) return Error(Errc::system, last_line(ran->errors));
    return launcher;
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

nlohmann::json status_object(const RendezvousRecord& record, const Verdict& verdict) {
    return {{"name", record.name},
            {"state", word_of(verdict.liveness)},
            {"dictionary", record.dictionary},
            {"job", record.job},
            {"step", record.step},
            {"of_command", record.of_command},
            {"of_hosts", record.of_hosts},
            {"launcher_host", record.launcher.host},
            {"launcher_pid", record.launcher.pid},
            {"nodes", record.nodes},
            {"managers", record.managers},
            {"total_bytes", record.total_bytes},
            {"created", record.created},
            {"lost", record.lost}};
}

void print_status(const RendezvousRecord& record, const Verdict& verdict) {
    std::cout << record.name << ": " << word_of(verdict.liveness);
    if (!verdict.why.empty()) std::cout << " (" << verdict.why << ")";
    std::cout << ", " << counted(record.managers, "manager") << " on " << counted(record.nodes.size(), "node")
              << " (" << slurm::compress_hostlist(record.nodes) << "), " << format_size(record.total_bytes)
              << ", since " << local_time(record.created);
    if (!record.job.empty()) std::cout << ", job " << record.job;
    if (record.of_command)
        std::cout << ", of the command of process " << record.launcher.pid << " on " << record.launcher.host;
    std::cout << "\n";
    for (const std::string& lost : record.lost)
        std::cout << "  lost: " << printable(lost) << "\n";
}

nlohmann::json kept_object(const shm::KeptDictionary& kept) {
    return {{"name", kept.name},
            {"state", "kept"},
            {"dictionary", hex(kept.dictionary_id)},
            {"host", os::host_name()},
            {"nodes_of_all", kept.nodes},
            {"managers", kept.nodes * kept.managers_per_node},
            {"total_bytes", kept.nodes * kept.bytes()},
            {"bytes_here", kept.bytes()},
            {"created", kept.kept_at}};
}

void print_kept(const shm::KeptDictionary& kept) {
    std::cout << printable(kept.name) << ": kept, " << format_size(kept.bytes()) << " of memory here; "
              << counted(std::uint64_t{kept.nodes} * kept.managers_per_node, "manager") << " on "
              << counted(kept.nodes, "node") << ", " << format_size(kept.nodes * kept.bytes()) << ", since "
              << local_time(kept.kept_at) << "\n";
}

/// On this host. Prints it, or adds it to `all`. False, and says why, if it is not known what is kept.
bool show_kept(const Options& options, nlohmann::json& all) {
    const auto all_kept = shm::list_kept();
    if (!all_kept) {
        say_error(all_kept.error());
        return false;
    }
    for (const shm::KeptDictionary& kept : *all_kept) {
        if (options.name_given && kept.name != options.name) continue;
        if (options.json) {
            all.push_back(kept_object(kept));
        } else {
            print_kept(kept);
        }
    }
    return true;
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
        const int status = Daemon(options, environment, *plan, path, std::move(theirs)).run();
        std::exit(status);
    }
    theirs.reset();
    return await_handle(options, environment, plan->in_job(), launcher, std::move(mine));
}

int stop(const Options& options, const os::Environment& environment) {
    const auto found = find_record(options, environment);
    if (!found && found.error().code == Errc::not_found && has_ended_already(options.name, environment)) {
        say("'" + options.name + "' has ended already");
        return 0;
    }
    if (!found) return say_error(found.error());
    if (found->record.of_command) {
        say("'" + found->record.name + "' ends with its command, which ddict-launch, process " +
            std::to_string(found->record.launcher.pid) + " on " + found->record.launcher.host +
            ", runs: end that one; ddict destroy ends the dictionary alone");
        return exit_bring_up_failed;
    }
    if (found->verdict.liveness == Liveness::stale) {
        if (const auto removed = remove_record(found->path, found->record.dictionary); !removed)
            return say_error(removed.error());
        say("'" + found->record.name + "' had ended already without a word; removed its file");
        return 0;
    }
    const auto asked =
        options.keep ? destroy_and_keep(*found, environment) : ask_to_end(*found, options, environment);
    const std::string& dictionary = found->record.dictionary;
    if (!asked) {  // since it has just ended, by another stop perhaps?
        constexpr milliseconds last_moments{2'000};
        const os::FileDescriptor nobody;
        if (wait_until_gone(found->path, dictionary, nobody, std::min(options.timeout, last_moments)))
            return 0;
        return say_error(asked.error());
    }
    if (wait_until_gone(found->path, dictionary, *asked, options.timeout)) return 0;
    say("'" + found->record.name + "' has not ended within " + format_seconds(options.timeout) +
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
    OwnJobs jobs(environment);
    OtherHosts hosts(environment);
    const auto is_asked_for = [&options](const RendezvousRecord& record) {
        return (!options.name_given || record.name == options.name) &&
               (options.job.empty() || record.job == options.job);
    };
    for (const ListedRecord& listed : *records)
        if (listed.record && is_asked_for(*listed.record)) hosts.foresee(*listed.record);
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
        if (!is_asked_for(*listed.record)) continue;
        const Verdict verdict = liveness_of(*listed.record, environment, jobs, hosts);
        // Of a command that was killed with all that it had left, nothing else would take this away.
        if (listed.record->of_command && verdict.liveness == Liveness::stale &&
            remove_record(listed.path, listed.record->dictionary))
            continue;
        any_alive = any_alive || verdict.liveness == Liveness::alive;
        in_doubt = in_doubt || verdict.liveness == Liveness::unknown;
        if (options.json) {
            all.push_back(status_object(*listed.record, verdict));
        } else {
            print_status(*listed.record, verdict);
        }
    }
    in_doubt = !show_kept(options, all) || in_doubt;
    if (options.json) {
        std::cout << all.dump(2) << "\n";
    } else if (!any_alive) {
        std::cout << none_running({.name = options.name_given ? options.name : "", .job = options.job},
                                  in_doubt ? "see above" : "", environment)
                  << "\n";
    }
    return any_alive ? 0 : in_doubt ? exit_not_known : 1;
}

int print_environment(const Options& options, const os::Environment& environment) {
    const auto found = find_running(options, environment);
    if (!found) return say_error(found.error());
    std::cout << export_lines(found->record.handle, found->record.name, !found->record.job.empty()) << "\n";
    return 0;
}

}  // namespace ddict::launcher
