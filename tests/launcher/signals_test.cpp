// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Signals that are sent to all processes of a job, to make its programs save: the dictionary serves on.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "launcher/job_end.h"
#include "launcher/output.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/signals.h"
#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

/// All but those that nobody can do anything about.
std::vector<int> all_signals() {
    std::vector<int> numbers;
    for (int number = 1; number <= SIGRTMAX; ++number) {
        if (number != SIGKILL && number != SIGSTOP) numbers.push_back(number);
    }
    return numbers;
}

/// Also those that glibc keeps to itself.
void send(pid_t pid, int number) {
    ASSERT_EQ(syscall(SYS_kill, pid, number), 0) << "signal " << number;
}

class SignalsTest : public LauncherTest {
  protected:
    /// The handle of the dictionary that this wrapper's command, "report-handle", has printed.
    static std::string handle_of(const Program& program) {
        const std::size_t begin = program.out().find("ddict3.");
        return program.out().substr(begin, program.out().find('\n', begin) - begin);
    }
    ::testing::AssertionResult serves(const std::string& handle, const std::string& value) {
        Program put({program("ddict"), "--handle", handle, "put", "key", value}, environment());
        if (put.wait() != 0) return ::testing::AssertionFailure() << "put: " << put.err();
        Program get({program("ddict"), "--handle", handle, "get", "key"}, environment());
        if (get.wait() != 0 || get.out().substr(0, value.size()) != value)
            return ::testing::AssertionFailure() << "get: " << get.out() << get.err();
        return ::testing::AssertionSuccess();
    }
    std::vector<pid_t> helpers() {
        std::vector<pid_t> pids = processes("--node");
        const std::vector<pid_t> managers = processes("--control-fd");
        pids.insert(pids.end(), managers.begin(), managers.end());
        std::sort(pids.begin(), pids.end());
        return pids;
    }
};

TEST_F(SignalsTest, NodeLauncherAndManagersOutliveEachOfThem) {
    Program wrapper(launch({"--quiet", "--managers-per-node", "2", "--", odd_program(), "report-handle"}),
                    environment());
    ASSERT_TRUE(wrapper.prints("running"));
    const std::string handle = handle_of(wrapper);
    const std::vector<pid_t> before = helpers();
    ASSERT_EQ(before.size(), 3U);
    for (const int number : all_signals()) {
        for (const pid_t pid : before)
            send(pid, number);
        if (number % 8 != 0) continue;
        EXPECT_TRUE(serves(handle, "after " + std::to_string(number)));
    }
    EXPECT_TRUE(serves(handle, "after all"));
    EXPECT_EQ(helpers(), before);
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << "and ends with its command as ever";
    EXPECT_EQ(wrapper.err(), "");
}

/// CONT and TERM to all, as at the end of a job: the names go, for KILL will follow, the dictionary does not.
TEST_F(SignalsTest, AtTheEndOfAJobItServesWithoutNamesInSharedMemory) {
    Program wrapper(launch({"--managers-per-node", "2", "--", odd_program(), "report-handle"}),
                    environment());
    ASSERT_TRUE(wrapper.prints("running"));
    const std::string handle = handle_of(wrapper);
    EXPECT_FALSE(nothing_in_shared_memory());
    for (const int number : {SIGCONT, SIGTERM}) {
        for (const pid_t pid : helpers())
            send(pid, number);
    }
    const auto deadline = std::chrono::steady_clock::now() + test_timeout;
    while (!nothing_in_shared_memory() && std::chrono::steady_clock::now() < deadline)
        sched_yield();
    EXPECT_TRUE(nothing_in_shared_memory());
    EXPECT_TRUE(serves(handle, "a last word"));
    std::vector<pid_t> all = helpers();
    EXPECT_EQ(all.size(), 3U);
    for (const pid_t pid : all)
        send(pid, SIGKILL);
    EXPECT_TRUE(wrapper.complains("was killed by signal 9"));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM);
}

TEST_F(SignalsTest, DuringBringUpTheyCancelOnlyIfTheyAskForAnEnd) {
    set("DDICT_MANAGER_PROGRAM", odd_program());
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    const auto deadline = std::chrono::steady_clock::now() + test_timeout;
    while (processes("--control-fd").empty() && std::chrono::steady_clock::now() < deadline)
        sched_yield();
    const std::vector<pid_t> node = processes("--node");
    ASSERT_EQ(node.size(), 1U);
    for (const int number : {SIGUSR1, SIGUSR2, SIGALRM, SIGPROF})
        send(node[0], number);
    EXPECT_FALSE(wrapper.complains("cannot start", milliseconds(300)));
    send(node[0], SIGTERM);
    EXPECT_EQ(wrapper.wait(), 1);
}

/// Managers that come up when somebody opens the pipe to them.
class HeldBringUpTest : public SignalsTest {
  protected:
    void SetUp() override {
        SignalsTest::SetUp();
        const std::string held = folder() + "/held-manager";
        gate_ = folder() + "/gate";
        ASSERT_EQ(mkfifo(gate_.c_str(), 0600), 0);
        opened_ = os::FileDescriptor(open(gate_.c_str(), O_RDWR | O_CLOEXEC));  // which waits for nobody
        ASSERT_TRUE(opened_.is_open());
        std::ofstream(held) << "#!/bin/sh\nread line < " << gate_ << "\nexec " << program("ddict-manager")
                            << " \"$@\"\n";
        ASSERT_EQ(chmod(held.c_str(), 0700), 0);
        set("DDICT_MANAGER_PROGRAM", held);
    }
    bool manager_is_held() {
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        while (processes("--control-fd").empty() && std::chrono::steady_clock::now() < deadline)
            sched_yield();
        return !processes("--control-fd").empty();
    }
    void let_it_come_up() { ASSERT_TRUE(os::write_fully(opened_.fd(), "now\n")); }

  private:
    std::string gate_;
    os::FileDescriptor opened_;
};

TEST_F(HeldBringUpTest, TheWrapperIsCancelledOnlyByThoseThatAskForAnEnd) {
    Program wrapper(launch({"--", odd_program(), "exit", "7"}), environment());
    ASSERT_TRUE(manager_is_held());
    for (const int number : {SIGUSR1, SIGUSR2, SIGALRM, SIGPROF, SIGXCPU, SIGIO, SIGRTMIN, SIGRTMAX})
        wrapper.signal(number);
    let_it_come_up();
    EXPECT_EQ(wrapper.wait(), 7) << wrapper.err();
}

TEST_F(HeldBringUpTest, TheLauncherInTheBackgroundToo) {
    Program start(launch({"start", "--name", "held"}), environment());
    ASSERT_TRUE(manager_is_held());
    const std::vector<pid_t> launchers = processes("start");
    ASSERT_EQ(launchers.size(), 2U) << "the one that was started, and its own in the background";
    const pid_t background =
        *std::find_if(launchers.begin(), launchers.end(), [&](pid_t pid) { return pid != start.pid(); });
    for (const int number : {SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU, SIGRTMIN})
        send(background, number);
    let_it_come_up();
    EXPECT_EQ(start.wait(), 0) << start.err();
    Program stop(launch({"stop", "--name", "held"}), environment());
    EXPECT_EQ(stop.wait(), 0) << stop.err();
}

TEST_F(HeldBringUpTest, EachOfTheFourCancels) {
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
        Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
        ASSERT_TRUE(manager_is_held());
        wrapper.signal(SIGUSR1);
        wrapper.signal(number);
        EXPECT_EQ(wrapper.wait(), 128 + number) << wrapper.err();
        ASSERT_TRUE(nothing_runs());
    }
}

/// The program that has created the dictionary is signalled with it, and wants to save.
TEST_F(SignalsTest, ServeEndsByItsStandardInputOnly) {
    Program served(launch({"serve"}), environment());
    ASSERT_TRUE(served.prints("\n"));
    const std::string handle = handle_of(served);
    for (const int number : all_signals())
        served.signal(number);
    EXPECT_TRUE(serves(handle, "value"));
    served.close_stdin();
    EXPECT_EQ(served.wait(), 0) << served.err();
}

/// Nobody sends these but by mistake, or to all of a job.
std::vector<int> reserved_signals() {
    std::vector<int> numbers{SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
    for (int number = __SIGRTMIN; number < SIGRTMIN; ++number)
        numbers.push_back(number);
    return numbers;
}

TEST_F(SignalsTest, TheWrapperOutlivesFaultsThatAreNotItsOwn) {
    Program wrapper(launch({"--", odd_program(), "report-handle"}), environment());
    ASSERT_TRUE(wrapper.prints("running"));
    const std::string handle = handle_of(wrapper);
    for (const int number : reserved_signals())
        wrapper.signal(number);
    EXPECT_TRUE(serves(handle, "value"));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << wrapper.err();
    EXPECT_TRUE(wrapper.out().ends_with("running\ngot 15\n")) << wrapper.out();
}

TEST_F(SignalsTest, TheLauncherInTheBackgroundOutlivesFaultsThatAreNotItsOwn) {
    Program start(launch({"start"}), environment());
    ASSERT_EQ(start.wait(), 0) << start.err();
    const std::vector<pid_t> launchers = processes("start");
    ASSERT_EQ(launchers.size(), 1U);
    for (const int number : reserved_signals())
        send(launchers[0], number);
    EXPECT_TRUE(serves(start.out().substr(0, start.out().find('\n')), "value"));
    Program status(launch({"status"}), environment());
    EXPECT_EQ(status.wait(), 0) << status.out();
    Program stop(launch({"stop"}), environment());
    EXPECT_EQ(stop.wait(), 0) << stop.err();
}

TEST(Faults, OfTheProcessItselfEndIt) {
    const auto status_after = [](void (*fault)()) {
        const pid_t pid = fork();
        if (pid == 0) {
            const rlimit no_core{0, 0};
            setrlimit(RLIMIT_CORE, &no_core);
            signal(SIGSEGV, SIG_DFL);  // a sanitizer may have its own
            os::ignore_reserved_signals();
            fault();
            _exit(0);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    };
    EXPECT_EQ(status_after([] { raise(SIGSEGV); }), 0) << "that is sent";
    EXPECT_EQ(status_after([] {
                  void* const page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                  *static_cast<volatile char*>(page) = 1;
              }),
              SIGSEGV);
    EXPECT_EQ(status_after([] { std::abort(); }), SIGABRT);
}

TEST_F(SignalsTest, TheWrapperPassesOnWhateverWouldEndIt) {
    Program wrapper(launch({"--", odd_program(), "report-signals"}), environment());
    ASSERT_TRUE(wrapper.prints("running"));
    for (const int number :
         {SIGALRM, SIGPROF, SIGVTALRM, SIGXCPU, SIGXFSZ, SIGIO, SIGPWR, SIGRTMIN, SIGRTMIN + 7, SIGRTMAX}) {
        wrapper.signal(number);
        EXPECT_TRUE(wrapper.prints("got " + std::to_string(number) + "\n"));
    }
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << wrapper.err();
}

TEST_F(SignalsTest, ASignalThatComesDuringTheEndDoesNotForce) {
    Program wrapper(launch({"--", odd_program(), "report-signals"}), environment());
    ASSERT_TRUE(wrapper.prints("running"));
    const std::vector<pid_t> managers = processes("--control-fd");
    ASSERT_EQ(managers.size(), 1U);
    send(managers[0], SIGSTOP);  // so that the end takes a while
    wrapper.signal(SIGTERM);
    EXPECT_TRUE(wrapper.prints("got 15"));
    wrapper.signal(SIGTERM);
    send(managers[0], SIGCONT);
    EXPECT_EQ(wrapper.wait(), SIGTERM);
    EXPECT_TRUE(nothing_in_shared_memory());
}

TEST_F(SignalsTest, TheCommandIgnoresWhatTheWrapperWasStartedToIgnore) {
    for (const bool ignoring : {false, true}) {
        std::vector<std::string> argv = launch({"--", odd_program(), "print-inherited"});
        if (ignoring) argv.insert(argv.begin(), {odd_program(), "ignoring"});
        Program alone({odd_program(), "print-inherited"}, environment());
        EXPECT_EQ(alone.wait(), 0);
        Program wrapper(argv, environment());
        EXPECT_EQ(wrapper.wait(), 0) << wrapper.err();
        const std::string wanted =
            ignoring ? "ignored: 1 10 11 13 17 34\nblocked: 12 35\nclosed: 0\n" : alone.out();
        EXPECT_EQ(wrapper.out(), wanted);
    }
}

/// A pipe that nobody reads, full to the brim.
os::Pipe full_pipe() {
    os::Pipe pipe = os::make_pipe().value();
    const int flags = fcntl(pipe.write_end.fd(), F_GETFL);
    os::set_non_blocking(pipe.write_end.fd());
    const std::string page(4096, '-');
    while (write(pipe.write_end.fd(), page.data(), page.size()) > 0) {
    }
    while (write(pipe.write_end.fd(), "-", 1) > 0) {
    }
    fcntl(pipe.write_end.fd(), F_SETFL, flags);
    return pipe;
}

TEST_F(SignalsTest, TheWrapperIsNotDeafWhenNobodyReadsWhatItSays) {
    os::Pipe errors = full_pipe();
    os::Pipe words = os::make_pipe().value();
    os::SpawnOptions options;
    options.argv = launch({"--managers-per-node", "2", "--", odd_program(), "report-signals"});
    options.program = options.argv[0];
    options.environment = environment();
    options.standard_fds = {-1, words.write_end.fd(), errors.write_end.fd()};
    options.close_other_fds = true;
    os::ChildProcess wrapper = os::ChildProcess::spawn(options).value();
    words.write_end.reset();
    char running[8] = {};
    ASSERT_EQ(read(words.read_end.fd(), running, sizeof running), 8);
    const std::vector<pid_t> managers = processes("--control-fd");
    ASSERT_EQ(managers.size(), 2U);
    send(managers[0], SIGKILL);  // the wrapper has something to say
    wrapper.signal(SIGUSR1);
    char got[7] = {};
    EXPECT_EQ(read(words.read_end.fd(), got, sizeof got), 7);
    EXPECT_EQ(std::string(got, 7), "got 10\n");
    wrapper.signal(SIGTERM);
    pollfd ended{wrapper.pidfd(), POLLIN, 0};
    ASSERT_EQ(poll(&ended, 1, static_cast<int>(milliseconds(test_timeout).count())), 1) << "it hangs";
    EXPECT_EQ(wrapper.reap()->for_shell(), SIGTERM);
}

TEST_F(SignalsTest, StartIsNotDeafWhenNobodyReadsTheHandle) {
    os::Pipe words = full_pipe();
    os::SpawnOptions options;
    options.argv = launch({"start"});
    options.program = options.argv[0];
    options.environment = environment();
    options.standard_fds = {-1, words.write_end.fd(), -1};
    options.close_other_fds = true;
    os::ChildProcess starting = os::ChildProcess::spawn(options).value();
    const auto alive = [&] {
        Program status(launch({"status"}), environment());
        return status.wait() == 0;
    };
    const auto deadline = std::chrono::steady_clock::now() + test_timeout;
    bool up = false;
    while (!up && std::chrono::steady_clock::now() < deadline)
        up = alive();
    ASSERT_TRUE(up);
    EXPECT_TRUE(starting.running());
    // Until it has come to writing, it passes the signal on, which ends the dictionary.
    pollfd ended{starting.pidfd(), POLLIN, 0};
    starting.signal(SIGTERM);
    EXPECT_EQ(poll(&ended, 1, static_cast<int>(milliseconds(test_timeout).count())), 1) << "it hangs";
    starting.reap();
    Program stop(launch({"stop"}), environment());
    stop.wait();
    EXPECT_TRUE(nothing_runs());
}

TEST(Output, WaitsForNobodyAndLosesNothing) {
    os::Pipe pipe = full_pipe();
    Output output(pipe.write_end.fd());
    output.add("first\n");
    output.add("second\n");
    EXPECT_TRUE(output.is_pending());
    EXPECT_EQ(output.poll_fd(), pipe.write_end.fd());
    EXPECT_FALSE(output.flush_within(milliseconds(10)));
    std::string seen;
    const auto drain = [&] {
        os::set_non_blocking(pipe.read_end.fd());
        std::array<char, 4096> chunk;
        for (ssize_t got = 0; (got = read(pipe.read_end.fd(), chunk.data(), chunk.size())) > 0;)
            seen.append(chunk.data(), static_cast<std::size_t>(got));
    };
    drain();
    EXPECT_TRUE(output.flush_within(milliseconds(0)));
    drain();
    EXPECT_TRUE(seen.ends_with("-first\nsecond\n"));
    EXPECT_EQ(fcntl(pipe.write_end.fd(), F_GETFL) & O_NONBLOCK, 0) << "others write there, too";
}

TEST(Output, SaysHowMuchItHasLeftOut) {
    os::Pipe pipe = full_pipe();
    Output output(pipe.write_end.fd());
    const std::string line(1023, 'x');
    for (int i = 0; i < 300; ++i)
        output.add(line + "\n");
    std::string seen;
    os::set_non_blocking(pipe.read_end.fd());
    std::array<char, 4096> chunk;
    do {
        for (ssize_t got = 0; (got = read(pipe.read_end.fd(), chunk.data(), chunk.size())) > 0;)
            seen.append(chunk.data(), static_cast<std::size_t>(got));
        output.flush();
    } while (output.is_pending());
    while (read(pipe.read_end.fd(), chunk.data(), 1) == 1)
        seen += chunk[0];
    EXPECT_TRUE(seen.ends_with("\nddict-launch: 44 messages were left out, since nobody read them\n"))
        << seen.substr(seen.size() - 100);
}

TEST(Output, NeedsNoReader) {
    os::Pipe pipe = os::make_pipe().value();
    signal(SIGPIPE, SIG_IGN);
    pipe.read_end.reset();
    Output output(pipe.write_end.fd());
    output.add("nobody\n");
    EXPECT_FALSE(output.is_pending());
}

TEST(JobEnd, IsToldFromASignalForSaving) {
    const auto now = JobEnd::Clock::now();
    JobEnd saving;
    for (const int number : {SIGUSR1, SIGTERM, SIGTERM})
        saving.on_signal(number, now);
    EXPECT_FALSE(saving.has_begun());
    saving.on_signal(SIGCONT, now + seconds(60));
    EXPECT_FALSE(saving.has_begun()) << "a job that was suspended goes on";
    saving.on_signal(SIGTERM, now + seconds(61));
    EXPECT_TRUE(saving.has_begun());
}

TEST(JobEnd, IsAbandonedWhenNobodyShowsLife) {
    auto now = JobEnd::Clock::now();
    JobEnd end;
    end.on_signal(SIGTERM, now);
    end.on_signal(SIGCONT, now);
    const auto nobody = [] { return false; };
    EXPECT_FALSE(end.is_abandoned(now + seconds(3), nobody));
    end.on_sign_of_life(now + seconds(3));
    EXPECT_FALSE(end.is_abandoned(now + seconds(6), nobody));
    EXPECT_TRUE(end.is_abandoned(now + seconds(8), nobody));
}

TEST_F(SignalsTest, OthersOfTheJobAreSeen) {
    set("SLURM_JOB_ID", "4711");
    set("SLURM_STEP_ID", "1");
    const os::Environment other_step{{"SLURM_JOB_ID", "4711"}, {"SLURM_STEP_ID", "0"}};
    const os::Environment same_step{{"SLURM_JOB_ID", "4711"}, {"SLURM_STEP_ID", "1"}};
    const os::Environment other_job{{"SLURM_JOB_ID", "4712"}, {"SLURM_STEP_ID", "0"}};
    Program task({odd_program(), "report-signals"}, environment());
    ASSERT_TRUE(task.prints("running"));
    EXPECT_TRUE(others_of_job_run_here(other_step));
    EXPECT_FALSE(others_of_job_run_here(same_step));
    EXPECT_FALSE(others_of_job_run_here(other_job));
    EXPECT_FALSE(others_of_job_run_here({}));
    task.signal(SIGTERM);
    EXPECT_EQ(task.wait(), SIGTERM);
}

}  // namespace
}  // namespace ddict::launcher::testing
