// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "os/descriptors.h"
#include "os/process_watch.h"
#include "os/signals.h"

namespace ddict::os {
namespace {

// Of a program whose status could not be found out: any but 0.
constexpr int status_not_known = 255;

Error cannot_run(const std::string& program, int error) {
    return Error(Errc::system, "cannot run " + program + ": " + std::strerror(error))
        .set_operation(Operation::launch);
}

/// What the child needs between fork and exec, prepared before: the child may not allocate.
struct Prepared {
    std::vector<std::string> variables;
    std::vector<char*> argv;
    std::vector<char*> envp;
    std::vector<char*> shell_argv;  // for a script without an interpreter line
    sigset_t mask;
    pid_t parent = getpid();

    explicit Prepared(const SpawnOptions& options) {
        for (const std::string& arg : options.argv)
            argv.push_back(const_cast<char*>(arg.c_str()));
        argv.push_back(nullptr);
        for (const auto& [name, value] : options.environment)
            variables.push_back(name + "=" + value);
        for (std::string& variable : variables)
            envp.push_back(variable.data());
        envp.push_back(nullptr);
        shell_argv = {const_cast<char*>("/bin/sh"), const_cast<char*>(options.program.c_str())};
        shell_argv.insert(shell_argv.end(), argv.begin() + 1, argv.end());
        if (options.signal_mask) {
            mask = *options.signal_mask;
        } else {
            sigemptyset(&mask);
        }
    }
};

/// In the child. Only system calls. Returns only if it failed, with errno set.
void become(const SpawnOptions& options, const Prepared& prepared) {
    if (options.own_process_group && setpgid(0, 0) != 0) return;
    if (options.parent_death_signal != 0) {
        // A sandbox may refuse it: then the child only learns later that it is alone.
        [[maybe_unused]] const int refused = prctl(PR_SET_PDEATHSIG, options.parent_death_signal);
        if (getppid() != prepared.parent) raise(SIGKILL);
    }
    for (int target = 0; target < 3; ++target) {
        const int fd = options.standard_fds[static_cast<std::size_t>(target)];
        if (fd >= 0 && dup2(fd, target) < 0) return;
    }
    if (options.controlling_terminal && (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0) != 0)) return;
    if (options.passed_fd == 3) {
        fcntl(3, F_SETFD, 0);
    } else if (options.passed_fd >= 0 && dup2(options.passed_fd, 3) < 0) {
        return;
    }
    if (options.close_other_fds) close_on_exec_from(options.passed_fd >= 0 ? 4 : 3);
    const Inherited& original = inherited();
    signal(SIGPIPE, options.as_inherited && original.pipe_ignored ? SIG_IGN : SIG_DFL);
    signal(SIGCHLD, options.as_inherited && original.children_ignored ? SIG_IGN : SIG_DFL);
    if (options.as_inherited) restore_reserved_signals();
    for (int fd = 0; options.as_inherited && fd < 3; ++fd)
        if (original.standard_fd_closed[fd]) close(fd);
    sigprocmask(SIG_SETMASK, &prepared.mask, nullptr);
    execve(options.program.c_str(), prepared.argv.data(), prepared.envp.data());
    if (errno == ENOEXEC) execve("/bin/sh", prepared.shell_argv.data(), prepared.envp.data());
}

/// Can this path be executed? 0, or why not.
int executable_error(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return errno == ENOTDIR ? ENOENT : errno;
    if (S_ISDIR(status.st_mode)) return EISDIR;
    return access(path.c_str(), X_OK) == 0 ? 0 : EACCES;
}

}  // namespace

std::string ExitStatus::describe() const {
    if (exec_error != 0) return std::string("could not be run: ") + std::strerror(exec_error);
    if (!signalled) return "ended with status " + std::to_string(code);
    const char* const text = sigdescr_np(code);
    return "was killed by signal " + std::to_string(code) +
           (text != nullptr ? " (" + std::string(text) + ")" : "");
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      exec_report_(std::move(other.exec_report_)),
      exec_error_(other.exec_error_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    pidfd_ = std::move(other.pidfd_);
    exec_report_ = std::move(other.exec_report_);
    exec_error_ = other.exec_error_;
    return *this;
}

ChildProcess::~ChildProcess() {
    if (!running()) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

Result<ChildProcess> ChildProcess::start(const SpawnOptions& options) {
    auto report = make_pipe();
    if (!report) return report.error();
    // Out of the way of the descriptors that the child arranges.
    FileDescriptor tell(fcntl(report->write_end.fd(), F_DUPFD_CLOEXEC, 10));
    report->write_end.reset();
    const Prepared prepared(options);

    ChildProcess child;
    child.pid_ = fork();
    if (child.pid_ == 0) {
        become(options, prepared);
        const int error = errno;
        [[maybe_unused]] const ssize_t written = write(tell.fd(), &error, sizeof error);
        _exit(127);
    }
    if (child.pid_ < 0) return cannot_run(options.program, errno);
    // Here too: a signal to the group must not come before it is one.
    if (options.own_process_group) ::setpgid(child.pid_, child.pid_);
    child.pidfd_ = open_pidfd(child.pid_);
    if (!child.pidfd_.is_open())
        return Error(Errc::system, "cannot watch the process of " + options.program +
                                       " (pidfd_open): " + std::strerror(errno) +
                                       "; Linux has it since 5.3, and a sandbox may refuse it")
            .set_operation(Operation::launch);
    child.exec_report_ = std::move(report->read_end);
    set_non_blocking(child.exec_report_.fd());
    return child;
}

Result<ChildProcess> ChildProcess::spawn(const SpawnOptions& options) {
    Result<ChildProcess> child = start(options);
    if (!child) return child;
    for (pollfd report{child->exec_report_.fd(), POLLIN, 0}; child->exec_report_.is_open();) {
        ::poll(&report, 1, -1);
        child->read_exec_report();
    }
    if (child->exec_error_ == 0) return child;
    ::waitpid(child->pid_, nullptr, 0);
    child->pid_ = -1;
    return cannot_run(options.program, child->exec_error_);
}

void ChildProcess::read_exec_report() {
    if (!exec_report_.is_open()) return;
    int error = 0;
    const ssize_t got = ::read(exec_report_.fd(), &error, sizeof error);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got == static_cast<ssize_t>(sizeof error)) exec_error_ = error;
    exec_report_.reset();
}

std::optional<ExitStatus> ChildProcess::reap() {
    if (!running()) return std::nullopt;
    int status = 0;
    const pid_t got = waitpid(pid_, &status, WNOHANG);
    read_exec_report();
    if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
    pid_ = -1;
    if (got < 0) return ExitStatus{.code = status_not_known};  // somebody else has taken it
    if (WIFSIGNALED(status)) return ExitStatus{.signalled = true, .code = WTERMSIG(status)};
    return ExitStatus{.code = WEXITSTATUS(status), .exec_error = exec_error_};
}

void ChildProcess::signal(int number) const {
    if (running()) kill(pid_, number);
}

void ChildProcess::signal_group(int number) const {
    if (running()) kill(-pid_, number);
}

FoundProgram find_program(const std::string& command, const Environment& environment) {
    if (command.find('/') != std::string::npos) return {command, executable_error(command)};
    const auto variable = environment.find("PATH");
    std::string_view path =
        variable != environment.end() ? std::string_view(variable->second) : "/usr/bin:/bin";
    FoundProgram found{command, ENOENT};
    for (bool more = !command.empty(); more;) {
        const std::size_t colon = path.find(':');
        const std::string_view folder = path.substr(0, colon);
        const std::string candidate = (folder.empty() ? "." : std::string(folder)) + "/" + command;
        const int error = executable_error(candidate);
        if (error == 0) return {candidate, 0};
        if (error == EACCES) found = {candidate, EACCES};
        more = colon != std::string_view::npos;
        if (more) path.remove_prefix(colon + 1);
    }
    return found;
}

std::string own_program() {
    std::string path(PATH_MAX, '\0');
    const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
    if (size > 0) return path.substr(0, static_cast<std::size_t>(size));
    // Without /proc: as it was named when it was executed, which may be relative to the folder of then.
    return reinterpret_cast<const char*>(getauxval(AT_EXECFN));
}

Result<Captured> capture_output(const std::vector<std::string>& argv, const Environment& environment,
                                std::chrono::milliseconds timeout, const Conversation& conversation) {
    const FoundProgram found = find_program(argv.at(0), environment);
    if (found.error != 0) return cannot_run(argv[0], found.error);
    auto output = make_pipe();
    auto errors = make_pipe();
    if (!output || !errors) return (output ? errors : output).error();
    const FileDescriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
    SpawnOptions options;
    options.program = found.path;
    options.argv = argv;
    options.environment = environment;
    options.standard_fds = {conversation.input_fd < 0 ? nothing.fd() : conversation.input_fd,
                            output->write_end.fd(), errors->write_end.fd()};
    options.close_other_fds = true;
    options.own_process_group = true;
    auto child = ChildProcess::spawn(options);
    if (!child) return child.error();
    output->write_end.reset();
    errors->write_end.reset();

    // What thousands of nodes say of themselves is less.
    constexpr std::size_t output_bytes_max = std::size_t{64} << 20;
    constexpr std::size_t errors_bytes_max = std::size_t{4} << 20;
    Captured captured;
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::array<std::pair<FileDescriptor*, std::string*>, 2> streams{
        {{&output->read_end, &captured.output}, {&errors->read_end, &captured.errors}}};
    for (;;) {
        std::array<pollfd, 3> fds{
            {{output->read_end.fd(), POLLIN, 0}, {errors->read_end.fd(), POLLIN, 0}, {-1, 0, 0}}};
        const bool streams_open = output->read_end.is_open() || errors->read_end.is_open();
        if (!streams_open) fds[2] = {child->pidfd(), POLLIN, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) {
            child->signal_group(SIGKILL);
            return Error(Errc::timeout, argv[0] + " has not ended in time").set_operation(Operation::launch);
        }
        constexpr std::int64_t conversation_ms = 50;
        poll(fds.data(), fds.size(),
             static_cast<int>(conversation.on_output ? std::min<std::int64_t>(left.count(), conversation_ms)
                                                     : left.count()));
        if (conversation.on_output) conversation.on_output({});
        for (std::size_t i = 0; i < streams.size(); ++i) {
            if (fds[i].fd < 0 || fds[i].revents == 0) continue;
            std::array<char, 4096> chunk;
            const ssize_t got = read(fds[i].fd, chunk.data(), chunk.size());
            if (got > 0) streams[i].second->append(chunk.data(), static_cast<std::size_t>(got));
            // The end of what it complains of says most.
            if (captured.errors.size() > errors_bytes_max) captured.errors.erase(0, errors_bytes_max / 2);
            if (captured.output.size() > output_bytes_max) {
                child->signal_group(SIGKILL);
                return Error(Errc::too_large, argv[0] + " prints without end: ended it after " +
                                                  std::to_string(output_bytes_max >> 20) + " MiB")
                    .set_operation(Operation::launch);
            }
            if (got > 0 && i == 0 && conversation.on_output)
                conversation.on_output({chunk.data(), static_cast<std::size_t>(got)});
            if (got == 0) streams[i].first->reset();
        }
        if (!streams_open) {
            if (const auto status = child->reap()) {
                captured.status = *status;
                return captured;
            }
        }
    }
}

}  // namespace ddict::os
