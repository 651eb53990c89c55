// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Starting programs, and learning how they end.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::os {

struct ExitStatus {
    bool signalled = false;
    int code = 0;        // signal number, or what the program returned
    int exec_error = 0;  // the program could not be executed: ENOENT, EACCES, …

    bool success() const { return !signalled && code == 0; }
    /// As shells show it: 128+N for signal N.
    int for_shell() const { return signalled ? 128 + code : code; }
    /// "was killed by signal 9 (Killed)", "ended with status 3", "could not be run: Permission denied".
    std::string describe() const;
};

struct SpawnOptions {
    std::string program;  // a path: see find_program()
    std::vector<std::string> argv;
    Environment environment;                      // all of it
    std::array<int, 3> standard_fds{-1, -1, -1};  // -1: as this process's
    int passed_fd = -1;                           // becomes descriptor 3
    bool close_other_fds = false;                 // what this process got from its parent is not passed on
    bool own_process_group = false;
    bool controlling_terminal = false;    // its standard input becomes that, of a session of its own
    int parent_death_signal = 0;          // 0: none
    std::optional<sigset_t> signal_mask;  // none: nothing blocked
    // Ignored signals and closed standard descriptors as this process was started with them; otherwise
    // SIGPIPE and SIGCHLD have their defaults.
    bool as_inherited = false;
};

/// A child of this process. Owned by one thread.
class ChildProcess {
  public:
    ChildProcess() = default;
    ChildProcess(ChildProcess&&) noexcept;
    ChildProcess& operator=(ChildProcess&&) noexcept;
    /// Kills the child if it still runs.
    ~ChildProcess();

    /// Does not wait until the program has been executed, which takes as long as its file system does. If it
    /// cannot be, the child ends, and reap() says so.
    static Result<ChildProcess> start(const SpawnOptions& options);
    /// start(), and waits until the program has been executed or could not be: that is an error.
    static Result<ChildProcess> spawn(const SpawnOptions& options);

    pid_t pid() const noexcept { return pid_; }
    /// Readable when the child has ended.
    int pidfd() const noexcept { return pidfd_.fd(); }
    bool running() const noexcept { return pid_ > 0; }
    /// The status, once, if it has ended; does not wait.
    std::optional<ExitStatus> reap();
    /// From now on it is none of ours.
    void abandon() { pid_ = -1; }
    void signal(int number) const;
    /// To all of its process group; requires own_process_group.
    void signal_group(int number) const;

  private:
    /// Takes in what exec_report_ says, if it says anything yet.
    void read_exec_report();

    pid_t pid_ = -1;  // -1: none, or reaped
    FileDescriptor pidfd_;
    FileDescriptor exec_report_;  // ends when the program is executed, or says why it is not; then closed
    int exec_error_ = 0;
};

/// Looks a command up as a shell does: in PATH, unless it has a slash. error: 0, or what to report (ENOENT,
/// EACCES).
struct FoundProgram {
    std::string path;
    int error = 0;
};
FoundProgram find_program(const std::string& command, const Environment& environment);

/// The path of this very program.
std::string own_program();

/// With a program while it is captured.
struct Conversation {
    int input_fd = -1;  // its standard input; -1: empty
    /// What it has printed, as it comes; with nothing now and then.
    std::function<void(std::string_view output)> on_output = {};
};

/// Runs a program to its end and returns what it printed: of errors the last 2 to 4 MiB. Kills it at the
/// timeout (timeout), and when it has printed 64 MiB (too_large).
struct Captured {
    std::string output;
    std::string errors;
    ExitStatus status;
};
Result<Captured> capture_output(const std::vector<std::string>& argv, const Environment& environment,
                                std::chrono::milliseconds timeout, const Conversation& conversation = {});

}  // namespace ddict::os
