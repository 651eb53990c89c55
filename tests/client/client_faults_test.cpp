// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Bad handles, and processes that die, against real managers on this machine.
#include <ddict/dictionary.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/segments.h"
#include "tests/client/without_restarts.h"
#include "tests/own_host/run_tests.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// What child processes do. UCX does not survive fork(), so a child starts this program again with the name of
// its role.
const std::map<std::string, std::function<int(const std::string& handle)>> roles{
    {"attach",
     [](const std::string& handle) {
         Dictionary dict = Dictionary::attach(handle);
         return 0;
     }},
    {"attach, detach, fork and attach",
     [](const std::string& handle) {
         Dictionary dict = Dictionary::attach(handle);
         dict.put("key", 1);
         std::thread([&] { dict.put("key", 2); }).join();
         dict.detach();
         const pid_t child = fork();
         if (child == 0) {
             alarm(10);
             const auto again = Dictionary::try_attach(handle);
             _exit(again && again->get<int>("key") == 2 ? 0 : 1);
         }
         int status = 0;
         return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
     }},
    {"create and wait",
     [](const std::string&) {
         Dictionary dict = Dictionary::create({.total_mem = 8 << 20});
         std::cout << dict.serialize() << std::endl;
         for (;;)
             pause();
         return 0;
     }},
    {"create, fork and wait",
     [](const std::string&) {
         const pid_t creator = getpid();
         Dictionary dict = Dictionary::create({.total_mem = 8 << 20});
         if (fork() == 0) {
             while (getppid() == creator)
                 std::this_thread::sleep_for(10ms);
             std::this_thread::sleep_for(10s);  // longer than the test waits
             _exit(0);
         }
         std::cout << "!" << std::flush;
         for (;;)
             pause();
         return 0;
     }},
    {"put large values for ever",
     [](const std::string& handle) {
         Dictionary dict = Dictionary::attach(handle);
         const std::vector<std::byte> value(16 << 20);
         for (int i = 0;; ++i)
             dict.put("victim " + std::to_string(i % 4), value);
         return 0;
     }},
    {"put and get values of all sizes for ever",
     [](const std::string& handle) {
         const Dictionary dict = Dictionary::attach(handle, {.local_reads = false});
         const std::string own = "stopped " + std::to_string(getpid()) + " ";
         for (int i = 0;; ++i) {
             const std::string value(i % 5 == 4 ? 300'000 : 50 * static_cast<std::size_t>(i % 100), 'v');
             dict.put(own + std::to_string(i % 4), value);
             if (dict.get<std::string>(own + std::to_string(i % 4)) != value) return 1;
         }
     }},
    {"speak to managers without descriptors",
     [](const std::string& handle) {
         const rlimit few{128, 128};
         setrlimit(RLIMIT_NOFILE, &few);
         int refused = 0;
         for (std::size_t left = 0; left < 16; ++left) {
             const Dictionary dict = Dictionary::attach(handle);  // has spoken to one manager
             std::vector<int> used;
             for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;)
                 used.push_back(fd);
             for (std::size_t i = 0; i < left; ++i) {
                 close(used.back());
                 used.pop_back();
             }
             for (std::uint32_t manager = 0; manager < dict.manager_count(); ++manager) {
                 const auto put = dict.manager(manager).try_put("key", "value");
                 if (put) continue;
                 ++refused;
                 const std::string why = put.error().message();
                 const bool is_told = put.error().code == Errc::system && why.find("ulimit -n") != why.npos;
                 std::cout << left << " descriptors left: " << why << std::endl;
                 if (!is_told || left == 15) return 1;
             }
             for (const int fd : used)
                 close(fd);
         }
         return refused > 0 ? 0 : 2;
     }},
    {"read what manager 1 does not own",
     [](const std::string& handle) {
         Dictionary dict = Dictionary::attach(handle);
         int found = 0;
         for (int i = 0; i < 300; ++i) {
             if (dict.which_manager(i) != 1 && dict.get<int>(i) == i) ++found;
         }
         return found > 100 ? 0 : 1;
     }},
};

pid_t start_role(const std::string& role, const std::string& handle, int standard_output = STDOUT_FILENO) {
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(standard_output, STDOUT_FILENO);
        execl("/proc/self/exe", "client_faults_test", "--role", role.c_str(), handle.c_str(), nullptr);
        _exit(98);
    }
    return pid;
}

int exit_status(pid_t pid) {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Asks until the answer is yes, for at most `timeout`.
bool eventually(std::chrono::milliseconds timeout, const std::function<bool()>& question) {
    for (const auto deadline = steady_clock::now() + timeout; steady_clock::now() < deadline;) {
        if (question()) return true;
    }
    return question();
}

Errc code_of_attach(const std::string& handle) {
    const auto attached = Dictionary::try_attach(handle);
    return attached ? Errc{} : attached.error().code;
}

TEST(Attach, WithoutADictionaryInTheEnvironment) {
    unsetenv("DDICT_HANDLE");
    const auto attached = Dictionary::try_attach();
    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code, Errc::not_attached);
    EXPECT_NE(attached.error().message().find("ddict-launch"), std::string::npos);
}

TEST(Attach, BadHandlesAreRefused) {
    Dictionary dict = Dictionary::create({.total_mem = 8 << 20});
    const std::string good = dict.serialize();
    EXPECT_EQ(code_of_attach(good), Errc{});
    EXPECT_EQ(code_of_attach(good + "\n"), Errc{});
    EXPECT_EQ(code_of_attach("garbage"), Errc::bad_handle);
    EXPECT_EQ(code_of_attach(" "), Errc::bad_handle);
    EXPECT_EQ(code_of_attach("ddict99" + good.substr(6)), Errc::incompatible);
    for (std::size_t length = 7; length < good.size(); length += 13) {
        EXPECT_EQ(code_of_attach(good.substr(0, length)), Errc::bad_handle) << length;
    }
    dict.destroy();
    const auto start = steady_clock::now();
    EXPECT_EQ(code_of_attach(good), Errc::dictionary_gone);
    EXPECT_LT(steady_clock::now() - start, 1s)
        << "a dictionary that has gone is to be detected, not waited for";
}

TEST(Attach, AForkedChildCannotUseItsParentsDictionary) {
    Dictionary dict = Dictionary::create({.total_mem = 8 << 20});
    dict.put("key", "value");
    const std::string handle = dict.serialize();
    const pid_t child = fork();
    if (child == 0) {
        const auto got = dict.try_get("key");
        const auto there = dict.try_contains("key");
        const auto view = dict.try_view_frozen("key");
        const bool all_refused = !got && got.error().code == Errc::not_attached && !there.has_value() &&
                                 there.error().code == Errc::not_attached && !view &&
                                 view.error().code == Errc::not_attached;
        _exit(all_refused ? 0 : 1);
    }
    EXPECT_EQ(exit_status(child), 0);
    EXPECT_EQ(dict.get("key"), "value");
    dict.destroy();
}

/// Also while threads of the parent are in the middle of connecting or ending.
TEST(Attach, AForkedChildAttachesAnew) {
    Dictionary dict = Dictionary::create({.total_mem = 8 << 20});
    const std::string handle = dict.serialize();
    std::atomic<bool> stop{false};
    // Makes sessions, and ends them, so that forks hit it in the middle of either.
    std::thread busy([&] {
        while (!stop)
            std::thread([&] { dict.put("key", 1); }).join();
    });
    for (int i = 0; i < 20; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(700 * i));
        const pid_t child = fork();
        if (child == 0) {
            alarm(10);
            const auto again = Dictionary::try_attach(handle);
            if (!again) _exit(2);
            const std::string key = "child " + std::to_string(i);
            _exit(again->try_put(key, i) && again->get<int>(key) == i ? 0 : 1);
        }
        EXPECT_EQ(exit_status(child), 0);
    }
    stop = true;
    busy.join();
    EXPECT_EQ(dict.get<int>("key"), 1);
    dict.destroy();
}

TEST(Attach, AChildThatWasForkedWhileNothingWasAttachedMay) {
    Dictionary dict = Dictionary::create({.total_mem = 8 << 20});
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(exit_status(start_role("attach, detach, fork and attach", dict.serialize())), 0);
    dict.destroy();
}

TEST(Create, SaysWhyItCannot) {
    const auto before = segments();
    const auto too_much = Dictionary::try_create({.total_mem = std::uint64_t{1} << 60});
    ASSERT_FALSE(too_much);
    EXPECT_EQ(too_much.error().code, Errc::no_space);
    EXPECT_NE(too_much.error().message().find("/dev/shm"), std::string::npos) << too_much.error().message();
    EXPECT_EQ(segments(), before);
    const auto cut_name = Dictionary::try_create({.name = std::string("a\0b", 3)});
    ASSERT_FALSE(cut_name);
    EXPECT_EQ(cut_name.error().code, Errc::invalid_argument) << cut_name.error().message();
    const auto bad_name = Dictionary::try_create({.name = "no good name"});
    ASSERT_FALSE(bad_name);
    EXPECT_EQ(bad_name.error().code, Errc::invalid_argument);
    EXPECT_NE(bad_name.error().message().find("no good name"), std::string::npos)
        << bad_name.error().message();

    setenv("DDICT_UCX_TLS", "none_that_there_is", 1);
    const auto no_network = Dictionary::try_create();
    unsetenv("DDICT_UCX_TLS");
    ASSERT_FALSE(no_network);
    EXPECT_EQ(no_network.error().code, Errc::system) << "no keys were lost";
    EXPECT_NE(no_network.error().message().find("manager 0 did not start"), std::string::npos)
        << no_network.error().message();
    EXPECT_EQ(segments(), before);

    const char* launch = std::getenv("DDICT_LAUNCH");
    const std::string saved = launch == nullptr ? "" : launch;
    setenv("DDICT_LAUNCH", "/nowhere/ddict-launch", 1);
    const auto no_program = Dictionary::try_create();
    ASSERT_FALSE(no_program);
    EXPECT_NE(no_program.error().message().find("/nowhere/ddict-launch"), std::string::npos);
    setenv("DDICT_LAUNCH", saved.c_str(), 1);
}

/// As in a program with a profiler: a signal every millisecond must not cut a wait short.
TEST(Create, AndDestroyAmongManySignals) {
    const auto before = segments();
    struct sigaction counting {};
    counting.sa_handler = [](int) {};
    struct sigaction old {};
    ASSERT_EQ(sigaction(SIGALRM, &counting, &old), 0);
    const itimerval often{{0, 1000}, {0, 1000}};
    const itimerval never{};
    ASSERT_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
    {
        auto dict = Dictionary::create({.managers_per_node = 2, .total_mem = 64 << 20});
        dict.put("key", "value");
        EXPECT_EQ(dict.get("key"), "value");
        dict.destroy();
    }
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &old, nullptr);
    EXPECT_EQ(segments(), before);
}

TEST(Death, OfTheCreatorEndsTheDictionary) {
    const auto before = segments();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t creator = start_role("create and wait", "", ends[1]);
    std::string handle(32768, '\0');
    const ssize_t got = read(ends[0], handle.data(), handle.size());
    ASSERT_GT(got, 0);
    handle.resize(static_cast<std::size_t>(got));
    EXPECT_EQ(exit_status(start_role("attach", handle)), 0);
    kill(creator, SIGKILL);
    EXPECT_EQ(exit_status(creator), 128 + SIGKILL);
    EXPECT_TRUE(eventually(5s, [&] { return segments() == before; }));
    EXPECT_EQ(code_of_attach(handle), Errc::dictionary_gone);
}

TEST(Death, OfTheCreatorEndsTheDictionaryAlsoWhenItsForkedChildLives) {
    const auto before = segments();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t creator = start_role("create, fork and wait", "", ends[1]);
    char ready = 0;
    ASSERT_EQ(read(ends[0], &ready, 1), 1);
    kill(creator, SIGKILL);
    EXPECT_EQ(exit_status(creator), 128 + SIGKILL);
    EXPECT_TRUE(eventually(5s, [&] { return segments() == before; }));
    close(ends[0]);
    close(ends[1]);
}

TEST(Death, OfAClientInTheMiddleOfAPutIsNoticedByNobody) {
    const auto before = segments();
    Dictionary dict = Dictionary::create({.managers_per_node = 2, .total_mem = 256 << 20});
    const std::string handle = dict.serialize();
    dict.put("steady", 1);
    const auto usage = [&] {
        std::uint64_t sessions = 0, used = 0;
        for (const ManagerStats& stats : dict.stats()) {
            sessions += stats.sessions;
            used += stats.used_bytes;
        }
        return std::pair(sessions, used);
    };
    const auto baseline = usage();
    for (int round = 0; round < 12; ++round) {
        const pid_t victim = start_role("put large values for ever", handle);
        // Its first large value shows that it is in the middle of its work.
        EXPECT_TRUE(eventually(10s, [&] { return dict.contains("victim 0"); }));
        for (int i = 0; i < 20 * round; ++i)
            dict.put("steady", i);
        kill(victim, SIGKILL);
        EXPECT_EQ(exit_status(victim), 128 + SIGKILL);
        const auto start = steady_clock::now();
        for (int i = 0; i < 100; ++i)
            dict.put("steady", i);
        EXPECT_LT(steady_clock::now() - start, 2s);
        EXPECT_TRUE(eventually(5s, [&] { return usage().first == baseline.first; }));
        for (int i = 0; i < 4; ++i)
            dict.erase("victim " + std::to_string(i));
        EXPECT_TRUE(eventually(5s, [&] { return usage() == baseline; }))
            << "used " << usage().second << " bytes, at first " << baseline.second;
    }
    dict.destroy();
    EXPECT_EQ(segments(), before);
}

/// Ctrl-Z, a debugger: wherever it stands, also in the middle of a message or of a large value.
TEST(Stop, OfClientsAtAnyMomentHoldsUpNobody) {
    const char* const given = std::getenv("DDICT_TEST_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "DDICT_TEST_SEED=" << seed << std::endl;
    std::mt19937_64 random(seed);
    constexpr unsigned clients = 8;
    constexpr auto held_up_max =
        5s;  // of a machine with many other tests; a client that is held up is so for ever
    Dictionary dict =
        Dictionary::create({.managers_per_node = 2, .total_mem = 64 << 20, .attach = {.local_reads = false}});
    const std::string large(200'000, 'l');
    const auto sessions = [&] {
        std::uint64_t sum = 0;
        for (const ManagerStats& stats : dict.stats())
            sum += stats.sessions;
        return sum;
    };
    dict.put("small", 0);
    const std::uint64_t before = sessions();
    for (int round = 0; round < 5; ++round) {
        std::vector<pid_t> stopped;
        for (unsigned i = 0; i < clients; ++i)
            stopped.push_back(start_role("put and get values of all sizes for ever", dict.serialize()));
        EXPECT_TRUE(eventually(20s, [&] { return sessions() >= before + clients; }));
        for (const pid_t pid : stopped) {
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
            kill(pid, SIGSTOP);
            for (int i = 0; i < 50; ++i) {
                const auto start = steady_clock::now();
                dict.put("small", i);
                dict.put("large", large);
                EXPECT_EQ(dict.get<int>("small"), i);
                EXPECT_EQ(dict.get<std::string>("large"), large);
                ASSERT_LT(steady_clock::now() - start, held_up_max) << "round " << round;
            }
        }
        for (const pid_t pid : stopped) {
            kill(pid, SIGKILL);
            EXPECT_EQ(exit_status(pid), 128 + SIGKILL);
        }
        EXPECT_TRUE(eventually(10s, [&] { return sessions() == before; })) << sessions() << " sessions";
    }
    dict.destroy();
}

TEST(Descriptors, ThatAClientLacksAreNoDeathOfAManager) {
    Dictionary dict = Dictionary::create({.managers_per_node = 3, .total_mem = 24 << 20});
    EXPECT_EQ(exit_status(start_role("speak to managers without descriptors", dict.serialize())), 0);
    dict.destroy();
}

TEST(Death, OfAManagerIsToldWithItsNameAndTheOthersGoOn) {
    const auto before = segments();
    const WithoutRestarts without;
    Dictionary dict = Dictionary::create({.managers_per_node = 3, .total_mem = 24 << 20});
    for (int i = 0; i < 300; ++i)
        dict.put(i, i);
    const ManagerStats victim = dict.stats()[1];
    kill(victim.pid, SIGKILL);
    const auto start = steady_clock::now();
    // What it has left in the memory of this node may be read a moment longer.
    int own = 0;
    while (dict.which_manager(own) != 1)
        ++own;
    EXPECT_TRUE(eventually(2s, [&] { return !dict.try_get<int>(own); }));
    int lost = 0;
    for (int i = 0; i < 300; ++i) {
        const auto got = dict.try_get<int>(i);
        if (dict.which_manager(i) != 1) {
            ASSERT_TRUE(got) << got.error().message();
            EXPECT_EQ(*got, i);
            continue;
        }
        ASSERT_FALSE(got);
        ++lost;
        EXPECT_EQ(got.error().code, Errc::manager_lost);
        EXPECT_EQ(got.error().manager_state, ManagerState::ended) << got.error().message();
        EXPECT_EQ(got.error().manager, 1u);
        EXPECT_EQ(got.error().node.data(), victim.node);
    }
    EXPECT_GT(lost, 50);
    EXPECT_LT(steady_clock::now() - start, 2s);
    EXPECT_EQ(dict.try_size().error().code, Errc::manager_lost);
    const Partial<std::uint64_t> size = dict.partial_size();
    EXPECT_EQ(size.value, static_cast<std::uint64_t>(300 - lost));
    ASSERT_EQ(size.missing.size(), 1u);
    EXPECT_EQ(size.missing[0].manager, 1u);
    EXPECT_EQ(size.missing[0].node, victim.node);
    EXPECT_EQ(size.missing[0].error.code, Errc::manager_lost);
    const Partial<std::vector<int>> keys = dict.partial_keys<int>();
    EXPECT_EQ(keys.value.size(), static_cast<std::size_t>(300 - lost));
    EXPECT_EQ(keys.missing.size(), 1u);
    // A new client can still attach, and use what is left.
    EXPECT_EQ(exit_status(start_role("read what manager 1 does not own", dict.serialize())), 0);
    dict.destroy();
    EXPECT_EQ(segments(), before);
}

TEST(Deadline, IsKeptWhenAManagerHangs) {
    Dictionary dict =
        Dictionary::create({.total_mem = 8 << 20, .attach = {.timeout = 500ms, .local_reads = false}});
    dict.put("key", "value");
    const ManagerStats stats = dict.stats()[0];
    kill(stats.pid, SIGSTOP);
    const auto start = steady_clock::now();
    const auto got = dict.try_get("key");
    const auto took = steady_clock::now() - start;
    kill(stats.pid, SIGCONT);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::timeout) << got.error().message();
    EXPECT_GE(took, 450ms);
    EXPECT_LT(took, 1500ms);
    EXPECT_EQ(dict.get("key"), "value");
    dict.destroy();
}

}  // namespace
}  // namespace ddict

int main(int argc, char** argv) {
    if (argc == 4 && std::string(argv[1]) == "--role") {
        try {
            return ddict::roles.at(argv[2])(argv[3]);
        } catch (const std::exception& error) {
            std::cerr << argv[2] << ": " << error.what() << std::endl;
            return 99;
        }
    }
    return ddict::testing::run_all_tests(argc, argv);
}
