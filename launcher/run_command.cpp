// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/run_command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "launcher/launch_loop.h"
#include "launcher/persisting.h"
#include "launcher/progress_line.h"
#include "launcher/record_keeper.h"
#include "launcher/save_folders.h"
#include "launcher/saves.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/signals.h"

namespace ddict::launcher {
namespace {

int status_of_exec_error(int error) {
    return error == ENOENT || error == ENOTDIR ? exit_not_found : exit_cannot_execute;
}

class Wrapper {
  public:
    /// `program` is the path of the command's.
    Wrapper(const Options& options, std::string program, SaveFolders& folders,
            const os::Environment& environment, NodeLaunchers& launchers, const os::SignalFd& signals)
        : options_(options),
          program_(std::move(program)),
          folders_(folders),
          environment_(environment),
          launchers_(launchers),
          signals_(signals),
          loop_(launchers, signals),
          record_(options, environment),
          saves_(
              options, environment,
              [this](std::vector<std::string> argv, int input_fd) {
                  return start_save(std::move(argv), input_fd);
              },
              [this] { return launchers_.has_lost_keys(); }),
          persisting_(options, environment, launchers) {}

    int run();

  private:
    os::SpawnOptions spawn_options(const std::string& program, std::vector<std::string> argv) const;
    int run_between();
    RendezvousRecord record() const;
    Result<os::ChildProcess> start_command() const;
    int run_ddict(const std::vector<std::string>& words);
    bool load();
    Result<os::ChildProcess> start_save(std::vector<std::string> argv, int input_fd) const;
    bool save_at_end();
    void end_persisting(bool succeeded);
    LaunchLoop::Turn turn(std::vector<int> fds, int wait_ms);
    os::ExitStatus attend(os::ChildProcess& command, Saves* saves);
    static void pass_on(const os::ChildProcess& command, const std::vector<os::SignalEvent>& signals,
                        bool is_load);

    const Options& options_;
    const std::string program_;
    SaveFolders& folders_;
    const os::Environment& environment_;
    NodeLaunchers& launchers_;
    const os::SignalFd& signals_;
    LaunchLoop loop_;
    RecordKeeper record_;
    std::uint64_t record_version_ = 0;
    Saves saves_;
    Persisting persisting_;
    bool has_run_command_ = false;
};

int Wrapper::run() {
    const LaunchLoop::BringUp up = loop_.bring_up(-1);
    int status = 0;
    if (up.ready) {
        status = run_between();
    } else if (up.signal != 0) {
        status = 128 + up.signal;
    } else {
        say("cannot start the dictionary: " + up.reason);
        status = exit_bring_up_failed;
    }
    loop_.tear_down();
    // Not before: a node that is gone may not have been missed until then.
    if (has_run_command_ && options_.fail_on_loss && launchers_.has_lost_keys() && status == 0)
        status = exit_keys_lost;
    if (has_run_command_ && !options_.quiet) {
        if (const auto summary = end_summary_text(launchers_.end_summary(), launchers_.ending()))
            say(*summary);
    }
    if (has_run_command_ && options_.keep && !launchers_.has_kept()) {
        say("the dictionary is not kept: --resume will not find it" +
            std::string(launchers_.destroyed_by_client() ? "; a client has destroyed it" : ""));
        if (status == 0) status = exit_bring_up_failed;
    }
    return status;
}

/// What there is to do while the dictionary is there. The exit status.
int Wrapper::run_between() {
    // Another one may have begun at the same moment.
    if (const Result<void> own = folders_.check(); !own) {
        say(reason(own.error()));
        return exit_bring_up_failed;
    }
    if (const auto trouble = record_.publish(record()))
        say("status, env and --name will not find this dictionary: its record cannot be written: " +
            *trouble);
    if (!load()) return exit_bring_up_failed;
    const int signal = begin_persisting(
        persisting_, [this](std::vector<int> fds, int wait_ms) { return turn(std::move(fds), wait_ms); });
    if (signal != 0) {
        end_persisting(false);
        return 128 + signal;
    }
    Result<os::ChildProcess> command = start_command();
    if (!command) {
        say(reason(command.error()));
        return exit_cannot_execute;
    }
    has_run_command_ = true;
    if (options_.keep) launchers_.keep();
    const os::ExitStatus ended = attend(*command, &saves_);
    if (ended.exec_error != 0) return say_not_runnable(options_.command[0], ended.exec_error);
    int status = ended.for_shell();
    end_persisting(ended.success());
    if (!save_at_end() && status == 0) status = exit_bring_up_failed;
    return status;
}

RendezvousRecord Wrapper::record() const {
    RendezvousRecord record = record_of(launchers_, environment_);
    record.of_command = true;
    return record;
}

os::SpawnOptions Wrapper::spawn_options(const std::string& program, std::vector<std::string> argv) const {
    os::SpawnOptions spawn;
    spawn.program = program;
    spawn.argv = std::move(argv);
    spawn.environment = environment_;
    for (const auto& [name, value] :
         handle_variables(launchers_.handle(), options_.name, launchers_.plan().in_job()))
        spawn.environment[name] = value;
    // Programs look into the record, too (libclient/seeds.cpp).
    if (const auto folder = state_folder(options_, environment_); folder && !options_.state_dir.empty())
        spawn.environment["DDICT_STATE_DIR"] = *folder;
    spawn.signal_mask = signals_.original_mask();
    spawn.as_inherited = true;
    // When this process is killed, the dictionary goes; a command without its dictionary has nothing to do.
    spawn.parent_death_signal = SIGTERM;
    return spawn;
}

/// The program ddict, whose words go to the standard error output. Its exit status.
int Wrapper::run_ddict(const std::vector<std::string>& words) {
    os::SpawnOptions spawn = spawn_options(ddict_program(), words);
    spawn.standard_fds = {-1, STDERR_FILENO, STDERR_FILENO};
    Result<os::ChildProcess> child = os::ChildProcess::start(spawn);
    if (!child) {
        say(reason(child.error()));
        return exit_cannot_execute;
    }
    const os::ExitStatus ended = attend(*child, nullptr);
    return ended.exec_error != 0 ? say_not_runnable(spawn.program, ended.exec_error) : ended.for_shell();
}

bool Wrapper::load() {
    if (options_.restore_from)
        return run_ddict({"ddict", "restore", "--exclusive", std::to_string(*options_.restore_from)}) == 0;
    if (options_.load.empty()) return true;
    const bool latest = options_.load == load_latest;
    std::vector<std::string> words{"ddict", "load", "--exclusive"};
    if (latest) words.emplace_back("--latest");
    words.insert(words.end(), {"--", latest ? options_.save : options_.load});
    return run_ddict(words) == 0;
}

/// When this process is killed, the other end of its input closes.
Result<os::ChildProcess> Wrapper::start_save(std::vector<std::string> argv, int input_fd) const {
    return os::ChildProcess::start(
        ddict_beside(options_, environment_, launchers_, std::move(argv), input_fd));
}

/// A signal that asks for an end gives it up.
void Wrapper::end_persisting(bool succeeded) {
    persisting_.finish(succeeded);
    bool is_told = false;
    while (!persisting_.is_idle()) {
        const auto began = Persisting::Clock::now();
        for (const os::SignalEvent& signal : turn({persisting_.fd()}, is_told ? 3'600'000 : 2'000).signals)
            if (signal.asks_to_end()) persisting_.give_up();
        persisting_.advance(Persisting::Clock::now());
        if (!is_told && !persisting_.is_idle() &&
            Persisting::Clock::now() - began >= std::chrono::seconds(2)) {
            say("persists to " + options_.persist.path + " before it ends; a signal gives that up");
            is_told = true;
        }
    }
}

/// False if there was to be a save, and there is none. The second signal that asks for an end gives it up; a
/// job's end may send two at once, by Slurm and by the batch script.
bool Wrapper::save_at_end() {
    if (options_.save.empty()) return true;
    constexpr std::chrono::seconds at_once{1};
    std::optional<Saves::Clock::time_point> first;
    saves_.save_at_end();
    for (;;) {
        const auto now = Saves::Clock::now();
        saves_.advance(now);
        if (saves_.is_idle()) return saves_.has_saved();
        for (const os::SignalEvent& signal : turn(saves_.fds(), saves_.wait_ms(now)).signals) {
            if (!signal.asks_to_end()) continue;
            const auto came = Saves::Clock::now();
            if (!first) {
                first = came;
                say("saves to " + options_.save + " before it ends; one more signal gives that up");
            } else if (came > *first + at_once) {
                saves_.give_up(came);
            }
        }
    }
}

/// It may be executed later, when its file system answers.
Result<os::ChildProcess> Wrapper::start_command() const {
    os::SpawnOptions spawn = spawn_options(program_, options_.command);
    // Another ddict-launch in there has a dictionary of its own, which is neither to be saved to the same
    // place nor kept under the same name.
    for (const char* name :
         {"DDICT_LOAD", "DDICT_SAVE", "DDICT_SAVE_BEFORE", "DDICT_SAVE_ON", "DDICT_SAVE_KEEP", "DDICT_KEEP",
          "DDICT_RESUME", "DDICT_ALLOW_EMPTY", "DDICT_PERSIST_PATH", "DDICT_PERSIST_COUNT",
          "DDICT_PERSIST_FREQ", "DDICT_RESTORE_FROM", "DDICT_READ_ONLY"})
        spawn.environment.erase(name);
    return os::ChildProcess::start(spawn);
}

LaunchLoop::Turn Wrapper::turn(std::vector<int> fds, int wait_ms) {
    for (const int fd : folders_.fds())
        fds.push_back(fd);
    LaunchLoop::Turn happened = loop_.turn(fds, wait_ms);
    if (launchers_.record_version() != record_version_) {
        record_version_ = launchers_.record_version();
        record_.update(record());
    }
    for (const std::string& notice : folders_.take_notices())
        say(notice);
    return happened;
}

/// Until it has ended.
os::ExitStatus Wrapper::attend(os::ChildProcess& command, Saves* saves) {
    for (;;) {
        std::vector<int> fds{command.pidfd()};
        int wait_ms = 3'600'000;
        if (saves != nullptr) {
            const auto now = Saves::Clock::now();
            saves->advance(now);
            const std::vector<int> more = saves->fds();
            fds.insert(fds.end(), more.begin(), more.end());
            wait_ms = saves->wait_ms(now);
            persisting_.advance(Persisting::Clock::now());
            fds.push_back(persisting_.fd());
            wait_ms = std::min(wait_ms, persisting_.wait_ms(Persisting::Clock::now()));
        }
        const LaunchLoop::Turn happened = turn(std::move(fds), wait_ms);
        pass_on(command, happened.signals, saves == nullptr);
        for (const os::SignalEvent& signal : happened.signals) {
            if (saves != nullptr) saves->on_signal(signal.number);
        }
        if (!happened.extra) continue;
        if (const auto status = command.reap()) return *status;
    }
}

/// What the terminal sends has reached the command already: it is in the same process group.
/// A load gets those only that ask for an end: others are for the command, which does not run yet.
void Wrapper::pass_on(const os::ChildProcess& command, const std::vector<os::SignalEvent>& signals,
                      bool is_load) {
    for (const os::SignalEvent& signal : signals) {
        if (!signal.from_terminal && (!is_load || signal.asks_to_end())) command.signal(signal.number);
    }
}

void print(const std::string& line) {
    os::write_fully(STDOUT_FILENO, line + "\n");
}

}  // namespace

int say_not_runnable(const std::string& command, int error) {
    const int status = status_of_exec_error(error);
    say(command + ": " + (status == exit_not_found ? "command not found" : std::strerror(error)));
    return status;
}

std::string ddict_program() {
    return (std::filesystem::path(os::own_program()).parent_path() / "ddict").string();
}

int run_command(const Options& options, const os::Environment& environment) {
    // Nothing need be brought up for a command that is not there.
    const os::FoundProgram found = os::find_program(options.command[0], environment);
    if (found.error != 0) return say_not_runnable(options.command[0], found.error);
    if ((!options.load.empty() || !options.save.empty() || options.restore_from ||
         options.persist_freq != 0) &&
        access(ddict_program().c_str(), X_OK) != 0)
        return say_not_runnable(ddict_program(), errno);
    Result<SaveFolders> folders = SaveFolders::take(options, environment);
    if (!folders) {
        say(reason(folders.error()));
        return exit_bring_up_failed;
    }
    const auto plan = prepare(options, environment);
    if (!plan) return say_unprepared(plan.error());
    const auto signals = os::SignalFd::open(os::ending_signals());
    os::ignore_reserved_signals();
    const auto launchers = signals ? NodeLaunchers::start(*plan, environment) : signals.error();
    if (!launchers) {
        say(reason(launchers.error()));
        return exit_bring_up_failed;
    }
    return Wrapper(options, found.path, *folders, environment, **launchers, *signals).run();
}

void say_cannot_serve(Errc code, const std::string& why) {
    std::string line = "error " + std::string(name(code)) + ": " + why;
    std::replace(line.begin(), line.end(), '\n', ' ');
    print(line);
}

int serve(const Options& options, const os::Environment& environment) {
    // Ctrl-C at the terminal is for the program that wants this dictionary; its end closes standard input.
    setpgid(0, 0);
    const auto plan = prepare(options, environment);
    // A job is signalled as a whole, so that its programs save: this end comes with that of standard input.
    const auto signals = os::SignalFd::open(os::outside_signals());
    os::ignore_reserved_signals();
    Result<SaveFolders> folders = !plan ? plan.error() : SaveFolders::take(options, environment);
    const auto launchers = !folders   ? folders.error()
                           : !signals ? signals.error()
                                      : NodeLaunchers::start(*plan, environment);
    if (!launchers) {
        say_cannot_serve(launchers.error().code, reason(launchers.error()));
        const bool wrong_options = !plan && plan.error().code == Errc::invalid_argument;
        return wrong_options ? exit_usage : exit_bring_up_failed;
    }
    LaunchLoop loop(**launchers, *signals);
    const LaunchLoop::BringUp up = loop.bring_up(STDIN_FILENO, LaunchLoop::Signals::do_nothing);
    if (!up.ready) {
        if (!up.reason.empty()) say_cannot_serve(up.code, up.reason);
        loop.tear_down(LaunchLoop::Signals::do_nothing);
        return up.abandoned ? 0 : exit_bring_up_failed;
    }
    // Another one may have begun at the same moment.
    if (const Result<void> own = folders->check(); !own) {
        say_cannot_serve(own.error().code, reason(own.error()));
        loop.tear_down(LaunchLoop::Signals::do_nothing);
        return exit_bring_up_failed;
    }
    Persisting persisting(options, environment, **launchers);
    begin_persisting(persisting, loop);
    print("ready " + (*launchers)->handle());
    // The program that wanted this may leave its folder, and somebody unmount it.
    [[maybe_unused]] const int moved = chdir("/");
    int status = 0;
    bool wanted = true;
    while (wanted && (*launchers)->stage() == NodeLaunchers::Stage::ready) {
        const int fds[]{STDIN_FILENO, persisting.fd()};
        const LaunchLoop::Turn happened = loop.turn(fds, persisting.wait_ms(Persisting::Clock::now()));
        persisting.advance(Persisting::Clock::now());
        wanted = !(happened.extra && at_end(STDIN_FILENO)) && !(*launchers)->all_lost();
    }
    finish(persisting, loop);
    const bool over = (*launchers)->stage() != NodeLaunchers::Stage::ready || (*launchers)->all_lost();
    if (over && !(*launchers)->destroyed_by_client()) status = exit_bring_up_failed;
    loop.tear_down(LaunchLoop::Signals::do_nothing);
    return status;
}

}  // namespace ddict::launcher
