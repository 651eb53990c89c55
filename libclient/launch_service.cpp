// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/launch_service.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include "os/descriptors.h"

extern "C" char** environ;

namespace ddict::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::hours launch_timeout_max{24};  // that ddict-launch takes
constexpr milliseconds launch_grace{5'000};           // beyond launch_timeout, which the child watches itself
constexpr milliseconds wait_interval{10};
constexpr std::size_t answer_bytes_max = 64 * 1024;

Error create_error(Errc code, std::string_view detail) {
    return Error(code, detail).set_operation(Operation::create);
}

/// "CODE: REASON", as ddict-launch serve says it.
Error told_error(std::string_view text) {
    const std::size_t colon = text.find(": ");
    if (colon == std::string_view::npos) return create_error(Errc::system, text);
    return create_error(errc_named(text.substr(0, colon)), text.substr(colon + 2));
}

std::string system_text(std::string_view what) {
    return std::string(what) + ": " + std::strerror(errno);
}

/// Beside this program, beside the library (or in ../bin of its prefix), or wherever PATH finds it.
std::string launch_program() {
    if (const char* named = std::getenv("DDICT_LAUNCH"); named != nullptr && *named != '\0') return named;
    std::error_code ignored;
    std::vector<std::filesystem::path> folders;
    folders.push_back(std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path());
    Dl_info library{};
    if (dladdr(reinterpret_cast<const void*>(&launch_program), &library) != 0 &&
        library.dli_fname != nullptr) {
        const auto folder = std::filesystem::absolute(library.dli_fname, ignored).parent_path();
        folders.insert(folders.end(), {folder, folder / "../bin", folder / "../../bin"});
    }
    for (const auto& folder : folders) {
        const auto candidate = folder / "ddict-launch";
        if (::access(candidate.c_str(), X_OK) == 0) return candidate.lexically_normal().string();
    }
    return "ddict-launch";
}

std::vector<std::string> launch_arguments(const CreateOptions& options) {
    const auto timeout = std::min<milliseconds>(options.launch_timeout, launch_timeout_max);
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(timeout).count();
    std::vector<std::string> arguments{launch_program(), "serve", "--timeout", std::to_string(seconds)};
    if (options.managers_per_node > 0)
        arguments.insert(arguments.end(), {"--managers-per-node", std::to_string(options.managers_per_node)});
    if (options.nodes > 0) arguments.insert(arguments.end(), {"--nodes", std::to_string(options.nodes)});
    if (!options.nodelist.empty()) arguments.insert(arguments.end(), {"--nodelist", options.nodelist});
    if (options.total_mem > 0)
        arguments.insert(arguments.end(), {"--total-mem", std::to_string(options.total_mem)});
    if (options.working_set > 0)
        arguments.insert(arguments.end(), {"--working-set", std::to_string(options.working_set)});
    if (!options.persist_path.empty())
        arguments.insert(arguments.end(),
                         {"--persist-path", std::filesystem::absolute(options.persist_path)});
    if (options.persist_count > 0)
        arguments.insert(arguments.end(), {"--persist-count", std::to_string(options.persist_count)});
    if (options.persist_freq > 0)
        arguments.insert(arguments.end(), {"--persist-freq", std::to_string(options.persist_freq)});
    if (options.wait_for_keys) arguments.push_back("--wait-for-keys");
    if (options.wait_for_writers) arguments.push_back("--wait-for-writers");
    if (options.read_only) arguments.push_back("--read-only");
    if (!options.restart) arguments.push_back("--no-restart");
    if (options.resume) arguments.push_back("--resume");
    if (options.allow_empty) arguments.push_back("--allow-empty");
    if (!options.name.empty()) arguments.insert(arguments.end(), {"--name", options.name});
    return arguments;
}

// The pipes that say that this process, which created dictionaries, still lives. A child of fork() is not the
// creator: its copies are closed in it, or the dictionaries would outlive the creator. (exec closes them
// anyway.)
constexpr std::size_t lifelines_max = 256;
std::array<std::atomic<int>, lifelines_max> lifelines;  // descriptor + 1; 0: free

// While the library is loaded: at its first use another thread could be in the middle of it at a fork.
[[maybe_unused]] const int forks_are_watched = pthread_atfork(nullptr, nullptr, [] {
    for (std::atomic<int>& slot : lifelines) {
        if (const int kept = slot.exchange(0); kept != 0) ::close(kept - 1);
    }
});

bool keep_lifeline(int fd) {
    for (std::atomic<int>& slot : lifelines) {
        int free = 0;
        if (slot.compare_exchange_strong(free, fd + 1)) return true;
    }
    return false;
}

void close_lifeline(int fd) {
    for (std::atomic<int>& slot : lifelines) {
        int kept = fd + 1;
        if (slot.compare_exchange_strong(kept, 0)) ::close(fd);
    }
}

struct Pipe {
    int read_end = -1;
    int write_end = -1;
    /// Not among the standard descriptors, which the program may have closed: what it prints must not get in
    /// here.
    bool open() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return false;
        read_end = os::above_standard(ends[0]);
        write_end = os::above_standard(ends[1]);
        return read_end >= 0 && write_end >= 0;
    }
    void close_read() {
        if (read_end >= 0) ::close(std::exchange(read_end, -1));
    }
    void close_write() {
        if (write_end >= 0) ::close(std::exchange(write_end, -1));
    }
    ~Pipe() {
        close_read();
        close_write();
    }
};

/// In a process group of its own: Ctrl-C is the program's to handle, and the pipe tells the child when it is
/// over. Nothing else of the program's stays with the child, which may outlive what the program does with it:
/// no descriptor (a pipe that somebody reads to its end, a lock), no blocked or ignored signal.
int spawn(const std::vector<std::string>& arguments, int in, int out, pid_t& pid) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int failure = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

/// False at the deadline. A signal of the program does not end the wait.
bool is_readable(int fd, steady_clock::time_point deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
        pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
        if (ready > 0) return true;
        if (ready < 0 ? errno != EINTR : left <= 60'000) return false;
    }
}

/// The first line from `fd`, without its end; shorter if the other side closes, none at the deadline.
std::optional<std::string> read_line(int fd, steady_clock::time_point deadline) {
    std::string line;
    while (line.size() < answer_bytes_max) {
        if (!is_readable(fd, deadline)) return std::nullopt;
        char c = 0;
        const ssize_t got = ::read(fd, &c, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || c == '\n') return line;
        line += c;
    }
    return line;
}

}  // namespace

Result<std::unique_ptr<LaunchService>> LaunchService::start(const CreateOptions& options) {
    Pipe lifeline;
    Pipe answer;
    if (!lifeline.open() || !answer.open())
        return create_error(Errc::system, system_text("cannot make a pipe"));
    for (const std::string* text : {&options.name, &options.nodelist, &options.persist_path}) {
        if (text->find('\0') != std::string::npos)
            return create_error(Errc::invalid_argument,
                                "a name or a path holds a zero byte, at which it would be cut");
    }
    const std::vector<std::string> arguments = launch_arguments(options);
    pid_t pid = -1;
    if (const int failure = spawn(arguments, lifeline.read_end, answer.write_end, pid); failure != 0) {
        return create_error(Errc::system, "cannot run " + arguments[0] + ": " + std::strerror(failure) +
                                              "; put ddict-launch into PATH, or its path into DDICT_LAUNCH");
    }
    lifeline.close_read();
    answer.close_write();

    std::unique_ptr<LaunchService> service(new LaunchService);
    service->pid_ = pid;
    service->pidfd_ = os::above_standard(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    // Without a place in the list the pipe closes here, the child ends, and says nothing: too many
    // dictionaries.
    if (keep_lifeline(lifeline.write_end)) service->lifeline_ = std::exchange(lifeline.write_end, -1);
    lifeline.close_write();
    const std::optional<std::string> line =
        read_line(answer.read_end, steady_clock::now() + options.launch_timeout + launch_grace);
    if (line && line->starts_with("ready ")) {
        service->handle_ = line->substr(6);
        return service;
    }
    service->finish(milliseconds{0});
    if (line && line->starts_with("error ")) return told_error(line->substr(6));
    return create_error(line ? Errc::system : Errc::timeout,
                        "ddict-launch gave no answer; its messages are on the standard error output");
}

bool LaunchService::wait_for_exit(milliseconds timeout) {
    if (pid_ < 0) return true;
    const auto deadline = steady_clock::now() + timeout;
    if (pidfd_ >= 0 && !is_readable(pidfd_, deadline)) return false;
    // Without a descriptor (Linux before 5.3) there is nothing to wait on with a deadline.
    const auto running = [this] {
        int status = 0;
        const pid_t waited = ::waitpid(pid_, &status, WNOHANG);
        return waited == 0 || (waited < 0 && errno == EINTR);
    };
    while (running()) {
        if (steady_clock::now() >= deadline) return false;
        std::this_thread::sleep_for(wait_interval);
    }
    pid_ = -1;
    if (pidfd_ >= 0) ::close(std::exchange(pidfd_, -1));
    return true;
}

void LaunchService::finish(milliseconds timeout) {
    if (timeout.count() > 0) wait_for_exit(timeout);
    if (lifeline_ >= 0) close_lifeline(std::exchange(lifeline_, -1));
    if (!wait_for_exit(launch_grace)) {
        ::kill(pid_, SIGKILL);  // its own children see the end of their pipes, and end too
        wait_for_exit(launch_grace);
    }
}

}  // namespace ddict::client
