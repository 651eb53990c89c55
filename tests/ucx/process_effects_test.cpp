// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a worker does to the process that it lives in: nothing to its signals, its standard output and what it
// hands on to others, and no abort where descriptors or threads are missing. Most of it is tried in another
// process, which is this binary again.
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/process_identity.h"
#include "os/file_descriptor.h"
#include "os/process_stat.h"
#include "os/process_watch.h"
#include "samehost/host_identity.h"
#include "tests/own_host/run_tests.h"
#include "tests/transport/peers.h"

namespace ddict::transport::testing {
namespace {

/// The signals that a handler of UCX is set for.
std::string signals_of_ucx() {
    std::string found;
    for (int number = 1; number <= SIGRTMAX; ++number) {
        struct sigaction action {};
        Dl_info owner{};
        if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_DFL ||
            action.sa_handler == SIG_IGN)
            continue;
        if (::dladdr(reinterpret_cast<void*>(action.sa_sigaction), &owner) == 0) continue;
        if (std::string(owner.dli_fname).find("libuc") != std::string::npos)
            found += ' ' + std::to_string(number) + ' ';
    }
    return found;
}

struct Child {
    int status = -1;
    std::string output;  // on its standard output
    std::string errors;
};

std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> buffer;
    for (ssize_t got; (got = ::read(fd, buffer.data(), buffer.size())) > 0;)
        text.append(buffer.data(), static_cast<std::size_t>(got));
    ::close(fd);
    return text;
}

/// Runs this binary with the argument, and more in its environment.
Child run(const std::string& what, const std::map<std::string, std::string>& environment = {}) {
    std::array<int, 2> out{};
    const std::string errors = ::testing::TempDir() + "process_effects." + std::to_string(::getpid());
    EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        for (const auto& [name, value] : environment)
            ::setenv(name.c_str(), value.c_str(), 1);
        ::dup2(out[1], STDOUT_FILENO);
        const int file = ::open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ::dup2(file, STDERR_FILENO);
        ::alarm(60);  // however it hangs
        ::execl("/proc/self/exe", "process_effects_test", what.c_str(), nullptr);
        _exit(127);
    }
    ::close(out[1]);
    Child child;
    child.output = read_all(out[0]);
    ::waitpid(pid, &child.status, 0);
    child.errors = read_all(::open(errors.c_str(), O_RDONLY | O_CLOEXEC));
    ::unlink(errors.c_str());
    return child;
}

bool exited_well(const Child& child) {
    return WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0;
}

TEST(Signals, AreTheProgramsAfterLoading) {
    EXPECT_EQ(signals_of_ucx(), "");
}

TEST(Signals, AreTheProgramsWhileAWorkerLives) {
    {
        const auto worker = make_worker(tcp_between_hosts);
        EXPECT_EQ(signals_of_ucx(), "");
    }
    EXPECT_EQ(signals_of_ucx(), "");
}

TEST(Signals, HangUpEndsTheProgram) {
    const Child child = run("hang-up");
    EXPECT_TRUE(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGHUP)
        << child.status << child.errors;
    EXPECT_EQ(child.output, "");
}

TEST(Signals, AreUcxsWhereTheUserAsks) {
    const Child debug = run("signals", {{"UCX_DEBUG_SIGNO", "SIGUSR2"}});
    EXPECT_EQ(debug.errors, ' ' + std::to_string(SIGUSR2) + ' ');
    const Child faults = run("signals", {{"UCX_HANDLE_ERRORS", "bt"}});
    EXPECT_NE(faults.errors.find(' ' + std::to_string(SIGSEGV) + ' '), std::string::npos) << faults.errors;
    EXPECT_EQ(faults.errors.find(' ' + std::to_string(SIGHUP) + ' '), std::string::npos) << faults.errors;
}

TEST(Signals, AreNotHandledByThreadsOfUcx) {
    const auto worker = make_worker(tcp_between_hosts);
    unsigned others = 0;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        if (thread.path().filename() == std::to_string(::gettid())) continue;
        std::ifstream status(thread.path() / "status");
        for (std::string line; std::getline(status, line);) {
            if (!line.starts_with("SigBlk:")) continue;
            ++others;
            const std::uint64_t blocked = std::stoull(line.substr(7), nullptr, 16);
            for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD})
                EXPECT_NE(blocked >> (number - 1) & 1, 0u) << "signal " << number;
        }
    }
    EXPECT_GT(others, 0u) << "UCX has no thread any more: this test proves nothing";
    sigset_t own;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &own);
    EXPECT_EQ(::sigismember(&own, SIGTERM), 0);
}

TEST(Log, LeavesStandardOutputToTheProgram) {
    const Child quiet = run("work");
    EXPECT_TRUE(exited_well(quiet)) << quiet.errors;
    EXPECT_EQ(quiet.output + quiet.errors, "");
    for (const char* level : {"warn", "info"}) {
        const Child child = run("work", {{"UCX_LOG_LEVEL", level}, {"UCX_NO_SUCH_OPTION", "1"}});
        EXPECT_TRUE(exited_well(child));
        EXPECT_EQ(child.output, "") << level;
        EXPECT_NE(child.errors.find("UCX_NO_SUCH_OPTION"), std::string::npos) << level << child.errors;
    }
}

TEST(Log, GoesWhereTheUserWantsIt) {
    const Child child =
        run("work", {{"UCX_LOG_LEVEL", "warn"}, {"UCX_NO_SUCH_OPTION", "1"}, {"UCX_LOG_FILE", "stdout"}});
    EXPECT_NE(child.output.find("UCX_NO_SUCH_OPTION"), std::string::npos) << child.output;
    EXPECT_EQ(child.errors, "");
}

TEST(Log, HearsTheLevelThatIsForDdictAlone) {
    const std::map<std::string, std::string> unknown{{"UCX_NO_SUCH_OPTION", "1"}};
    auto quiet = unknown;
    quiet.insert({{"UCX_LOG_LEVEL", "warn"}, {"DDICT_UCX_LOG_LEVEL", "fatal"}});
    EXPECT_EQ(run("work", quiet).errors, "");
    auto loud = unknown;
    loud.insert({{"UCX_LOG_LEVEL", "fatal"}, {"DDICT_UCX_LOG_LEVEL", "warn"}});
    EXPECT_NE(run("work", loud).errors.find("UCX_NO_SUCH_OPTION"), std::string::npos);
    const Child wrong = run("work", {{"DDICT_UCX_LOG_LEVEL", "whisper"}});
    EXPECT_FALSE(exited_well(wrong));
    EXPECT_EQ(wrong.output, "");
}

/// Uses up the descriptors of this process but `left`, as long as it lives.
class FewDescriptors {
  public:
    explicit FewDescriptors(unsigned left) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit low = before_;
        low.rlim_cur = 128;
        ::setrlimit(RLIMIT_NOFILE, &low);
        for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;)
            used_.push_back(fd);
        for (; left > 0 && !used_.empty(); --left) {
            ::close(used_.back());
            used_.pop_back();
        }
    }
    ~FewDescriptors() {
        for (const int fd : used_)
            ::close(fd);
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;

  private:
    rlimit before_{};
    std::vector<int> used_;
};

/// As a client starts UCX.
StartNetwork over_ucx_closed_on_exec() {
    return [](os::Poller& poller, os::WaitPolicy& waiting) {
        return ucx::Worker::create({.in_users_program = true}, poller, waiting);
    };
}

void expect_descriptors_named(const Error& error) {
    EXPECT_EQ(error.code, Errc::system) << error.message();
    EXPECT_NE(error.message().find("ulimit -n"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find("this process"), std::string::npos) << error.message();
}

TEST(Descriptors, ThatAreMissingAreNamedAndNothingAborts) {
    for (const StartNetwork& start : {over_ucx(), over_ucx_closed_on_exec()}) {
        bool came_up = false;
        unsigned refused = 0;
        for (unsigned left = 0; left < 80 && !came_up; ++left) {
            const FewDescriptors few(left);
            const auto worker = Worker::create({.start_network = start, .on_network = true});
            came_up = bool(worker);
            if (came_up) continue;
            ++refused;
            expect_descriptors_named(worker.error());
        }
        EXPECT_TRUE(came_up);
        EXPECT_GT(refused, 8u);
    }
}

TEST(Descriptors, ThatAreMissingAreNoDeath) {
    ProcessIdentity process;
    process.pid = ::getpid();
    process.start_time = os::process_stat(process.pid).value().start_time;
    for (unsigned left = 0; left < 2; ++left) {
        const FewDescriptors few(left);
        const auto watch = os::ProcessWatch::open(process);
        ASSERT_FALSE(watch);
        expect_descriptors_named(watch.error());
    }
    const FewDescriptors few(2);
    EXPECT_TRUE(os::ProcessWatch::open(process));
}

TEST(Descriptors, ThatAreMissingMakeNobodyAlone) {
    const std::uint64_t before = samehost::own_identity().value().host_key;
    {
        const FewDescriptors few(0);
        const auto identity = samehost::own_identity();
        ASSERT_FALSE(identity);
        expect_descriptors_named(identity.error());
    }
    // What could not be found out once is not taken for the answer later.
    EXPECT_EQ(samehost::own_identity().value().host_key, before);
}

TEST(Descriptors, ThatAreMissingStopAConnection) {
    for (const Way& way : {same_host, tcp_between_hosts}) {
        const unsigned needed = way.other_host ? 3 : 2;
        const auto worker = make_worker(way);
        Partner partner(way, *worker);
        for (unsigned left = 0; left < needed; ++left) {
            const FewDescriptors few(left);
            const auto peer = partner.connect(*worker);
            ASSERT_FALSE(peer);
            expect_descriptors_named(peer.error());
        }
        const auto peer = partner.connect(*worker);
        ASSERT_TRUE(peer) << peer.error().message();
        Observer observer;
        worker->send(*peer, order(Order::echo));
        EXPECT_TRUE(run_until(*worker, observer, [&] { return observer.messages.size() == 1; })) << way.name;
    }
}

/// The descriptors above 2 that a process gets which is started now: a line for each.
std::string inherited() {
    const Child child = run("list descriptors");
    EXPECT_TRUE(exited_well(child)) << child.errors;
    return child.output;
}

/// What a program may have open, none of it closed on exec: some of it is in an epoll set of its own.
std::vector<os::FileDescriptor> descriptors_of_a_program() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    std::vector<os::FileDescriptor> own;
    for (const int fd :
         {ends[0], ends[1], ::eventfd(0, 0), ::socket(AF_INET, SOCK_STREAM, 0), ::epoll_create(1)})
        own.emplace_back(fd);
    for (std::size_t i = 0; i < own.size() - 1; i += 2) {
        epoll_event event{};
        EXPECT_EQ(::epoll_ctl(own.back().fd(), EPOLL_CTL_ADD, own[i].fd(), &event), 0);
    }
    return own;
}

/// The partner connects to the worker too, which may come to that after the first messages.
void expect_inherited(const std::string& expected, Worker& worker, Observer& observer) {
    const auto deadline = Clock::now() + test_timeout();
    std::string last;
    while ((last = inherited()) != expected && Clock::now() < deadline)
        worker.progress(observer, Clock::now() + std::chrono::milliseconds(20));
    EXPECT_EQ(last, expected);
}

TEST(Descriptors, OfUcxAreNotInherited) {
    const std::string at_first = inherited();
    const auto own = descriptors_of_a_program();
    const std::string before = inherited();
    EXPECT_NE(before, at_first);
    {
        const auto open_to_all = make_worker(tcp_between_hosts);
        EXPECT_NE(inherited(), before)
            << "UCX closes its descriptors on exec itself: this test proves nothing";
    }
    EXPECT_EQ(inherited(), before);
    for (int round = 0; round < 2; ++round) {  // UCX's thread ends with the first worker
        const auto worker =
            Worker::create({.start_network = over_ucx_closed_on_exec(), .on_network = true}).value();
        EXPECT_EQ(inherited(), before) << "without a connection";
        std::vector<std::unique_ptr<Partner>> partners;
        Observer observer;
        for (std::size_t count = 1; count <= 3; ++count) {
            partners.push_back(std::make_unique<Partner>(tcp_between_hosts, *worker));
            const auto peer = partners.back()->connect(*worker);
            ASSERT_TRUE(peer) << peer.error().message();
            worker->send(*peer, order(Order::echo));
            ASSERT_TRUE(run_until(*worker, observer, [&] { return observer.messages.size() == count; }));
            expect_inherited(before, *worker, observer);
        }
        const auto another =
            Worker::create({.start_network = over_ucx_closed_on_exec(), .on_network = true}).value();
        expect_inherited(before, *worker, observer);
    }
    EXPECT_EQ(inherited(), before);
}

std::uint64_t seed() {
    const char* given = std::getenv("DDICT_TEST_SEED");
    const std::uint64_t chosen =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("DDICT_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
}

/// Opens and closes descriptors until told to stop; counts those that did not stay as they were opened.
void open_and_close(std::uint64_t seed, const std::atomic<bool>& stop, std::atomic<unsigned>& opened,
                    std::atomic<unsigned>& changed) {
    std::mt19937_64 random(seed);
    while (!stop) {
        std::vector<os::FileDescriptor> own;
        for (std::uint64_t sets = 1 + random() % 3; sets > 0; --sets) {
            for (os::FileDescriptor& fd : descriptors_of_a_program())
                own.push_back(std::move(fd));
        }
        for (std::uint64_t turns = random() % 50; turns > 0; --turns)
            std::this_thread::yield();
        std::shuffle(own.begin(), own.end(), random);
        for (os::FileDescriptor& fd : own) {
            ++opened;
            if (::fcntl(fd.fd(), F_GETFD) != 0) ++changed;
            fd.reset();
        }
    }
}

TEST(Descriptors, OfTheProgramStayAsTheyAre) {
    constexpr unsigned opened_min = 1000;
    std::atomic<bool> stop{false};
    std::atomic<unsigned> opened{0};
    std::atomic<unsigned> changed{0};
    std::vector<std::thread> threads;
    const std::uint64_t first_seed = seed();
    for (std::uint64_t i = 0; i < 2; ++i)
        threads.emplace_back([&, i] { open_and_close(first_seed + i, stop, opened, changed); });
    const auto deadline = Clock::now() + test_timeout();
    for (int round = 0; round < 10 || (opened < opened_min && Clock::now() < deadline); ++round) {
        const auto worker =
            Worker::create({.start_network = over_ucx_closed_on_exec(), .on_network = true}).value();
        Observer observer;
        for (std::size_t count = 1; count <= 3; ++count) {
            const Partner partner(tcp_between_hosts, *worker);
            const auto peer = partner.connect(*worker);
            ASSERT_TRUE(peer) << peer.error().message();
            worker->send(*peer, order(Order::echo));
            EXPECT_TRUE(run_until(*worker, observer, [&] { return observer.messages.size() == count; }));
        }
    }
    stop = true;
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_GE(opened, opened_min);
    EXPECT_EQ(changed, 0u) << "of " << opened;
}

/// UCX has a thread of its own, and aborts the process if it cannot start it.
TEST(Threads, ThatCannotBeStartedAreNamedAndNothingAborts) {
    const Child child = run("without threads");
    EXPECT_TRUE(WIFEXITED(child.status)) << "signal " << WTERMSIG(child.status) << ": " << child.errors;
    EXPECT_EQ(child.output, "");
    for (const char* word : {"system", "starting UCX", "thread", "ulimit -u", "pids.max"})
        EXPECT_NE(child.errors.find(word), std::string::npos) << word << " is not in: " << child.errors;
}

/// Where UCX runs, another thread of the program can still come to use it.
TEST(Threads, AreNotNeededByAnotherWorker) {
    const Child child = run("without more threads");
    EXPECT_TRUE(exited_well(child)) << child.errors;
}

/// The stack of a thread has no place in what is left, everything else has.
void permit_no_thread() {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, std::size_t{1} << 40);
    ::pthread_setattr_default_np(&attributes);
    ::pthread_attr_destroy(&attributes);
    const rlimit memory{.rlim_cur = rlim_t{1} << 37, .rlim_max = rlim_t{1} << 37};
    ::setrlimit(RLIMIT_AS, &memory);
}

int list_descriptors() {
    std::map<int, std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const std::string file = std::filesystem::read_symlink(entry.path(), gone).string();
        const int fd = std::stoi(entry.path().filename());
        if (fd > STDERR_FILENO && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) found[fd] = file;
    }
    for (const auto& [fd, file] : found)
        std::printf("%d %s\n", fd, file.c_str());
    return 0;
}

/// What run() starts. Its standard error is for the test alone.
int run_as_child(const std::string& what) {
    if (what == "list descriptors") return list_descriptors();
    if (what == "signals") {
        const std::string found = signals_of_ucx();
        return ::write(STDERR_FILENO, found.data(), found.size()) < 0 ? 1 : 0;
    }
    if (what == "without threads") permit_no_thread();
    const auto worker = Worker::create({.start_network = over_ucx(), .on_network = true});
    if (!worker) {
        const std::string why = worker.error().message();
        return ::write(STDERR_FILENO, why.data(), why.size()) < 0 ? 2 : 1;
    }
    if (what == "work") return 0;
    if (what == "without more threads") {
        permit_no_thread();
        return Worker::create({.start_network = over_ucx(), .on_network = true}) ? 0 : 1;
    }
    ::raise(SIGHUP);
    return 2;
}

}  // namespace
}  // namespace ddict::transport::testing

int main(int argc, char** argv) {
    ddict::transport::testing::run_as_partner(argc, argv);
    if (argc == 2 && argv[1][0] != '-') return ddict::transport::testing::run_as_child(argv[1]);
    return ddict::testing::run_all_tests(argc, argv);
}
