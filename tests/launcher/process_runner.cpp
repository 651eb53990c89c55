// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/launcher/process_runner.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/process_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace ddict::launcher::testing {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::vector<std::string> segments() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator("/dev/shm"))
        names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

std::string read_all(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Takes what there is; closes at the end.
void take(os::FileDescriptor& from, std::string& into) {
    char chunk[4096];
    ssize_t got = 0;
    while ((got = read(from.fd(), chunk, sizeof chunk)) > 0)
        into.append(chunk, static_cast<std::size_t>(got));
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) from.reset();
}

}  // namespace

Program::Program(const std::vector<std::string>& argv, const os::Environment& environment, bool on_terminal) {
    os::SpawnOptions options;
    options.program = argv.at(0);
    options.argv = argv;
    options.environment = environment;
    os::FileDescriptor terminal;
    os::Pipe in, out, err;
    if (on_terminal) {
        int controller = -1;
        int follower = -1;
        if (openpty(&controller, &follower, nullptr, nullptr, nullptr) != 0) std::abort();
        fcntl(controller, F_SETFD, FD_CLOEXEC);
        out_end_ = os::FileDescriptor(controller);
        terminal = os::FileDescriptor(follower);
        options.standard_fds = {follower, follower, follower};
        options.controlling_terminal = true;
    } else {
        in = os::make_pipe().value();
        out = os::make_pipe().value();
        err = os::make_pipe().value();
        options.standard_fds = {in.read_end.fd(), out.write_end.fd(), err.write_end.fd()};
        stdin_ = std::move(in.write_end);
        out_end_ = std::move(out.read_end);
        err_end_ = std::move(err.read_end);
        os::set_non_blocking(err_end_.fd());
    }
    os::set_non_blocking(out_end_.fd());
    options.close_other_fds = true;
    child_ = os::ChildProcess::spawn(options).value();
}

Program::~Program() {
    if (child_.running()) ADD_FAILURE() << "the program was left running: " << out_ << err_;
}

void Program::type(const std::string& keys) const {
    if (!os::write_fully(out_end_.fd(), keys)) ADD_FAILURE() << "the terminal is gone";
}

void Program::pump(milliseconds wait) {
    pollfd fds[3] = {{out_end_.fd(), POLLIN, 0}, {err_end_.fd(), POLLIN, 0}, {child_.pidfd(), POLLIN, 0}};
    if (!child_.running()) fds[2].fd = -1;
    poll(fds, 3, static_cast<int>(wait.count()));
    if (child_.running()) {
        if (const auto status = child_.reap()) status_ = status->for_shell();
    }
    if (out_end_.is_open()) take(out_end_, out_);
    if (err_end_.is_open()) take(err_end_, err_);
}

::testing::AssertionResult Program::wait_until(const std::function<bool()>& done, milliseconds timeout,
                                               const std::string& what) {
    const auto deadline = Clock::now() + timeout;
    while (!done()) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
        const bool over = !child_.running() && !out_end_.is_open() && !err_end_.is_open();
        if (left.count() <= 0 || over)
            return ::testing::AssertionFailure()
                   << what << (over ? " before it ended" : " in time") << "; standard output:\n"
                   << out_ << "\nstandard error:\n"
                   << err_;
        pump(std::min(left, milliseconds(200)));
    }
    return ::testing::AssertionSuccess();
}

::testing::AssertionResult Program::prints(const std::string& text, milliseconds timeout) {
    return wait_until([&] { return out_.find(text) != std::string::npos; }, timeout,
                      "did not print '" + text + "'");
}

::testing::AssertionResult Program::complains(const std::string& text, milliseconds timeout) {
    return wait_until([&] { return err_.find(text) != std::string::npos; }, timeout,
                      "did not say '" + text + "'");
}

::testing::AssertionResult Program::makes(const std::string& path, milliseconds timeout) {
    return wait_until([&] { return fs::exists(path); }, timeout, "did not make " + path);
}

::testing::AssertionResult Program::lets_go(milliseconds timeout) {
    return wait_until([&] { return !out_end_.is_open() && !err_end_.is_open(); }, timeout,
                      "left its output to others");
}

int Program::wait(milliseconds timeout) {
    const auto ended = wait_until([&] { return !child_.running(); }, timeout, "did not end");
    EXPECT_TRUE(ended);
    if (!ended) {
        child_.signal(SIGKILL);
        wait_until([&] { return !child_.running(); }, seconds(5), "could not be killed");
        return -1;
    }
    pump(milliseconds(0));
    return status_;
}

void LauncherTest::SetUp() {
    static int count = 0;
    mark_ = "DDICT_TEST_MARK=" + std::to_string(getpid()) + "." + std::to_string(++count);
    std::string pattern = fs::temp_directory_path().string() + "/ddict-launch-test-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    environment_ = os::environment_of_this_process();
    std::erase_if(environment_, [](const auto& variable) {
        return variable.first.starts_with("SLURM") || variable.first.starts_with("DDICT_");
    });
    environment_[mark_.substr(0, mark_.find('='))] = mark_.substr(mark_.find('=') + 1);
    environment_["DDICT_STATE_DIR"] = folder_ + "/state";
    environment_["DDICT_TOTAL_MEM"] = "8M";
    segments_before_ = segments();
}

void LauncherTest::TearDown() {
    EXPECT_TRUE(nothing_runs());
    EXPECT_TRUE(nothing_in_shared_memory());
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_ + "/state", error))
        ADD_FAILURE() << "left behind: " << entry.path();
    fs::remove_all(folder_);
}

std::vector<std::string> LauncherTest::launch(const std::vector<std::string>& args) const {
    std::vector<std::string> argv{program("ddict-launch")};
    argv.insert(argv.end(), args.begin(), args.end());
    return argv;
}

std::string LauncherTest::odd_program() {
    return (fs::path(os::own_program()).parent_path() / "odd_program").string();
}

std::string LauncherTest::program(const std::string& name) {
    return (fs::path(os::own_program()).parent_path().parent_path() / "bin" / name).string();
}

std::vector<pid_t> LauncherTest::processes(const std::string& argument) const {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const std::string environment = '\0' + read_all(entry.path() / "environ");
        if (environment.find('\0' + mark_ + '\0') == std::string::npos) continue;
        const std::string command = '\0' + read_all(entry.path() / "cmdline");
        if (argument.empty() || command.find('\0' + argument + '\0') != std::string::npos)
            found.push_back(static_cast<pid_t>(std::stol(name)));
    }
    return found;
}

::testing::AssertionResult LauncherTest::nothing_runs(milliseconds timeout) const {
    const auto deadline = Clock::now() + timeout;
    for (;;) {
        const std::vector<pid_t> left = processes("");
        if (left.empty()) return ::testing::AssertionSuccess();
        // Nobody tells a stranger when another's children end: look again when the first of them has, or
        // soon.
        const os::FileDescriptor first = os::open_pidfd(left[0]);
        pollfd waiting{first.fd(), POLLIN, 0};
        const auto remaining = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
        if (remaining <= 0 || (first.is_open() && poll(&waiting, 1, static_cast<int>(remaining)) == 0)) {
            auto failure = ::testing::AssertionFailure() << "still running:";
            for (const pid_t pid : left)
                failure << " " << pid << " (" << read_all("/proc/" + std::to_string(pid) + "/cmdline") << ")";
            return failure;
        }
    }
}

::testing::AssertionResult LauncherTest::nothing_in_shared_memory() const {
    std::vector<std::string> left;
    const std::vector<std::string> now = segments();
    std::set_difference(now.begin(), now.end(), segments_before_.begin(), segments_before_.end(),
                        std::back_inserter(left));
    if (left.empty()) return ::testing::AssertionSuccess();
    auto failure = ::testing::AssertionFailure() << "left in /dev/shm:";
    for (const std::string& name : left)
        failure << " " << name;
    return failure;
}

}  // namespace ddict::launcher::testing
