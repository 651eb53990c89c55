// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Children of fork() whose parent has UCX up: they reach managers of other nodes through those of their own
// node (tunnels). Of four managers two take each other process for one of another host (half_far_manager.sh).
#include <ddict/dictionary.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "tests/client/segments.h"
#include "tests/client/without_restarts.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::uint32_t managers = 4;
constexpr std::uint32_t near_manager = 0;
constexpr std::uint32_t far_manager = 1;
constexpr unsigned child_time_s = 60;

/// What a child finds wrong.
struct Wrong {
    std::string what;
};
void require(bool is_right, const std::string& what) {
    if (!is_right) throw Wrong{what};
}

pid_t start_child(const std::function<void()>& body) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::alarm(child_time_s);
    try {
        body();
        ::_exit(0);
    } catch (const Wrong& wrong) {
        std::fprintf(stderr, "child: %s\n", wrong.what.c_str());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
    }
    ::_exit(1);
}

int end_of(pid_t child) {
    int status = -1;
    ::waitpid(child, &status, 0);
    return status;
}

int in_child(const std::function<void()>& body) {
    return end_of(start_child(body));
}

/// Within half a minute.
bool eventually(const std::function<bool()>& is_so) {
    for (const auto deadline = steady_clock::now() + 30s; steady_clock::now() < deadline;) {
        if (is_so()) return true;
        std::this_thread::sleep_for(10ms);
    }
    return is_so();
}

std::uint64_t descriptors_of(pid_t process) {
    const auto all = std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd");
    return static_cast<std::uint64_t>(std::distance(begin(all), end(all)));
}

/// Resident, without what is shared.
std::uint64_t own_kib_of(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8));
    }
    return 0;
}

class ForkedChildrenTest : public ::testing::Test {
  protected:
    void SetUp() override {
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            dict.put(key_on(manager), "of the parent");
        ASSERT_NE(transport_of(dict, far_manager).find("tcp"), std::string::npos)
            << "this test is about half_far_manager.sh";
        ASSERT_EQ(transport_of(dict, near_manager).find("tcp"), std::string::npos);
    }
    void TearDown() override {
        dict.destroy();
        EXPECT_EQ(segments(), before_);
    }
    static std::string transport_of(const Dictionary& from, std::uint32_t manager) {
        return from.stats(manager).transport;
    }
    std::string key_on(std::uint32_t manager, const std::string& prefix = "key") const {
        for (int i = 0;; ++i) {
            std::string key = prefix + std::to_string(i);
            if (dict.which_manager(key) == manager) return key;
        }
    }
    Dictionary attach() const { return Dictionary::attach(handle, {.local_reads = false}); }

  private:
    const std::set<std::string> before_ = segments();

  protected:
    Dictionary dict = Dictionary::create({.managers_per_node = managers, .total_mem = 512 << 20});
    const std::string handle = dict.serialize();
};

TEST_F(ForkedChildrenTest, ReachAllManagers) {
    EXPECT_EQ(in_child([&] {
                  const Dictionary own = attach();
                  for (std::uint32_t manager = 0; manager < managers; ++manager) {
                      require(own.get(key_on(manager)) == "of the parent", "the parent's value");
                      own.put(key_on(manager), "of the child");
                  }
                  require(transport_of(own, far_manager).find("through a manager") != std::string::npos,
                          "the way to the far manager is " + transport_of(own, far_manager));
                  require(transport_of(own, near_manager).find("same host") == 0, "the way to the near one");
              }),
              0);
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        EXPECT_EQ(dict.get(key_on(manager)), "of the child");
}

TEST_F(ForkedChildrenTest, MoveLargeValues) {
    const auto large = [](std::size_t bytes) {
        std::string value(bytes, '\0');
        for (std::size_t i = 0; i < bytes; i += 97)
            value[i] = static_cast<char>(i % 251);
        return value;
    };
    const std::string key = key_on(far_manager, "large");
    EXPECT_EQ(in_child([&] {
                  const Dictionary own = attach();
                  for (const std::size_t bytes : {5'000UL, 12'000UL, 70'000UL, 1UL << 20, (48UL << 20) + 3}) {
                      const std::string value = large(bytes);
                      own.put(key, value);
                      require(own.get(key) == value, std::to_string(bytes) + " bytes");
                  }
              }),
              0);
    EXPECT_EQ(dict.get(key), large((48UL << 20) + 3));
}

TEST_F(ForkedChildrenTest, CostTheManagersBetweenLittleMemory) {
    const std::string value(96 << 20, 'v');
    const pid_t between[] = {dict.stats(0).pid, dict.stats(2).pid};
    EXPECT_EQ(in_child([&] { attach().put(key_on(far_manager), "what is kept once is there"); }), 0);
    const std::uint64_t before = own_kib_of(between[0]) + own_kib_of(between[1]);
    std::uint64_t peak = 0;
    const pid_t child = start_child([&] {
        const Dictionary own = attach();
        own.put(key_on(far_manager), value);
        require(own.get(key_on(far_manager)) == value, "the value");
    });
    int status = -1;
    while (::waitpid(child, &status, WNOHANG) == 0)
        peak = std::max(peak, own_kib_of(between[0]) + own_kib_of(between[1]));
    EXPECT_EQ(status, 0);
    EXPECT_LT(peak, before + 8 * 1024);
}

TEST_F(ForkedChildrenTest, AndTheirChildrenReachAllManagers) {
    EXPECT_EQ(in_child([&] {
                  const Dictionary own = attach();
                  require(own.get(key_on(far_manager)) == "of the parent", "the parent's value");
                  require(in_child([&] {
                              const Dictionary inner = attach();
                              inner.put(key_on(far_manager), "of the grandchild");
                          }) == 0,
                          "the grandchild");
                  require(own.get(key_on(far_manager)) == "of the grandchild", "the grandchild's value");
              }),
              0);
}

TEST_F(ForkedChildrenTest, ManyThreadsOfAChildReachAllManagers) {
    EXPECT_EQ(in_child([&] {
                  const Dictionary own = attach();
                  std::vector<std::thread> threads;
                  for (int i = 0; i < 8; ++i)
                      threads.emplace_back([&] {
                          for (int round = 0; round < 100; ++round)
                              own.fetch_add(key_on(far_manager, "sum"));
                      });
                  for (std::thread& thread : threads)
                      thread.join();
              }),
              0);
    EXPECT_EQ(dict.get<std::int64_t>(key_on(far_manager, "sum")), 800);
}

/// Each request takes effect once, whichever manager it went through.
TEST_F(ForkedChildrenTest, GoOnThroughAnotherManagerWhenOneIsKilled) {
    constexpr std::int64_t rounds = 3000;
    const std::string key = key_on(far_manager, "sum");
    const pid_t child = start_child([&] {
        const Dictionary own = attach();
        for (int i = 0; i < rounds; ++i)
            own.fetch_add(key);
    });
    for (const std::uint32_t manager : {0U, 2U, 0U}) {
        const std::int64_t before = dict.get_or<std::int64_t>(key, 0);
        ASSERT_TRUE(eventually([&] { return dict.get_or<std::int64_t>(key, 0) > before + 100; }));
        ASSERT_EQ(::kill(dict.stats(manager).pid, SIGKILL), 0);
    }
    EXPECT_EQ(end_of(child), 0);
    EXPECT_EQ(dict.get<std::int64_t>(key), rounds);
}

TEST_F(ForkedChildrenTest, WaitAsLongAsTheyLike) {
    const std::string key = key_on(far_manager, "late");
    const pid_t child = start_child([&] {
        const Dictionary own = attach();
        require(own.within(30s).wait_for<std::string>(key) == "it comes", "what was waited for");
    });
    ASSERT_TRUE(eventually([&] { return dict.stats(far_manager).waiting == 1; }));
    // The wait goes on through another one.
    ASSERT_EQ(::kill(dict.stats(0).pid, SIGKILL), 0);
    ASSERT_EQ(::kill(dict.stats(2).pid, SIGKILL), 0);
    std::this_thread::sleep_for(2s);
    EXPECT_TRUE(eventually([&] { return dict.stats(far_manager).waiting == 1; }));
    dict.put(key, "it comes");
    EXPECT_EQ(end_of(child), 0);
}

TEST_F(ForkedChildrenTest, LearnThatTheirManagerDoesNotAnswer) {
    const std::string key = key_on(far_manager);
    const pid_t stopped = dict.stats(far_manager).pid;
    const pid_t child = start_child([&] {
        const Dictionary own = attach();
        own.put(key, "before");
        require(::kill(stopped, SIGSTOP) == 0, "stopping it");
        const auto began = steady_clock::now();
        const auto got = own.within(20s).try_get(key);
        const auto took = steady_clock::now() - began;
        ::kill(stopped, SIGCONT);
        require(!got, "a stopped manager has answered");
        const Error& error = got.error();
        require(error.code == Errc::manager_lost && error.manager == far_manager &&
                    error.manager_state == ManagerState::silent && took < 10s,
                error.message());
        require(error.message().find("fork") == std::string::npos, error.message());
    });
    EXPECT_EQ(end_of(child), 0);
}

TEST_F(ForkedChildrenTest, TellTheLossOfTheirManagerFromThatOfTheOnesBetween) {
    const WithoutRestarts without_restarts;
    Dictionary mortal = Dictionary::create({.managers_per_node = managers, .total_mem = 64 << 20});
    std::vector<pid_t> pids;
    for (const ManagerStats& stats : mortal.stats())
        pids.push_back(stats.pid);
    const std::string keys[] = {key_on(0), key_on(1), key_on(2), key_on(3)};
    EXPECT_EQ(
        in_child([&] {
            const Dictionary own = Dictionary::attach(mortal.serialize(), {.local_reads = false});
            for (const std::string& key : keys)
                own.put(key, 1);
            const pid_t waits = start_child([&] {
                const Dictionary inner = Dictionary::attach(mortal.serialize());
                const auto got = inner.within(30s).try_wait_for<int>(key_on(1, "never"));
                require(!got && got.error().code == Errc::manager_lost && got.error().manager == 1,
                        "a wait at a manager that has ended");
            });
            require(eventually([&] { return own.stats(1).waiting == 1; }), "nobody waits");
            ::kill(pids[1], SIGKILL);
            require(end_of(waits) == 0, "the child that waited");
            const auto far = own.within(10s).try_get<int>(keys[1]);
            require(!far && far.error().code == Errc::manager_lost && far.error().manager == 1,
                    "one that has ended");
            require(far.error().message().find("this node") == std::string::npos, far.error().message());
            require(own.get<int>(keys[3]) == 1, "one that lives");
            ::kill(pids[0], SIGKILL);
            require(own.get<int>(keys[3]) == 1, "through the one that is left");
            ::kill(pids[2], SIGKILL);
            const auto cut_off = own.within(10s).try_get<int>(keys[3]);
            require(!cut_off && cut_off.error().code == Errc::manager_lost && cut_off.error().manager == 3 &&
                        cut_off.error().manager_state == ManagerState::unreachable,
                    cut_off ? "it has answered" : cut_off.error().message());
            require(cut_off.error().message().find("of its own node") != std::string::npos,
                    cut_off.error().message());
        }),
        0);
    static_cast<void>(mortal.try_destroy());
}

/// Those of the manager between and of the one at their end.
TEST_F(ForkedChildrenTest, AreCountedByWhatTheyPassThrough) {
    const auto tunnels = [&] {
        std::uint64_t sum = 0;
        for (const ManagerStats& stats : dict.stats()) {
            EXPECT_EQ(stats.refused_tunnels, 0U);
            sum += stats.tunnels;
        }
        return sum;
    };
    EXPECT_EQ(tunnels(), 0U);
    EXPECT_EQ(in_child([&] {
                  const Dictionary own = attach();
                  own.put(key_on(far_manager), 1);
                  require(own.stats(far_manager).tunnels >= 1, "the end of its tunnel is not counted");
                  require(own.stats(0).tunnels + own.stats(2).tunnels >= 1, "what it passes through is not");
              }),
              0);
    EXPECT_TRUE(eventually([&] { return tunnels() == 0; }));
}

/// That is no loss of the managers behind it.
TEST_F(ForkedChildrenTest, WaitForTheManagersBetweenToBeStartedAgain) {
    const char* const hold = std::getenv("DDICT_TEST_HOLD_STARTS");
    ASSERT_NE(hold, nullptr);
    const std::string key = key_on(far_manager);
    const pid_t child = start_child([&] {
        const Dictionary own = attach();
        own.put(key, "before");
        std::ofstream file(hold);
        const pid_t between[] = {own.stats(0).pid, own.stats(2).pid};
        for (const pid_t one : between)
            require(::kill(one, SIGKILL) == 0, "killing a manager");
        const auto began = steady_clock::now();
        std::thread later([&] {
            std::this_thread::sleep_for(3s);
            std::filesystem::remove(hold);
        });
        const auto got = own.try_get(key);
        later.join();
        require(got && *got == "before", got ? "another value" : got.error().message());
        require(steady_clock::now() - began >= 2s, "the managers between were not away");
    });
    EXPECT_EQ(end_of(child), 0);
    std::filesystem::remove(hold);
}

/// Whether they leave in good order, are killed, or start another program.
TEST_F(ForkedChildrenTest, LeaveNothingBehind) {
    const std::string value(8 << 20, 'x');
    std::vector<std::pair<std::uint64_t, std::uint64_t>> before;
    const auto footprint = [&] {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> now;
        for (const ManagerStats& stats : dict.stats())
            now.emplace_back(stats.sessions, descriptors_of(stats.pid));
        return now;
    };
    for (int i = 0; i < 8; ++i)  // UCX keeps a timer once it has had a connection
        EXPECT_EQ(in_child([&] { attach().put(key_on(far_manager), "here"); }), 0);
    ASSERT_TRUE(eventually([&] { return (before = footprint()) == footprint(); }));
    std::vector<pid_t> victims;
    for (int i = 0; i < 12; ++i) {
        const pid_t child = start_child([&, i] {
            const Dictionary own = attach();
            own.put(key_on(far_manager), "here");
            if (i % 3 == 1) ::execl("/bin/true", "true", nullptr);
            if (i % 3 == 2) return;
            for (;;)
                own.put(key_on(far_manager, "large"), value);
        });
        if (i % 3 == 0) {
            victims.push_back(child);
        } else {
            EXPECT_EQ(end_of(child), 0);
        }
    }
    std::this_thread::sleep_for(300ms);
    for (const pid_t victim : victims) {
        ::kill(victim, SIGKILL);
        static_cast<void>(end_of(victim));
    }
    EXPECT_TRUE(eventually([&] { return footprint() == before; }));
    const auto now = footprint();
    for (std::uint32_t manager = 0; manager < managers; ++manager) {
        EXPECT_EQ(now[manager].first, before[manager].first) << "sessions of manager " << manager;
        EXPECT_EQ(now[manager].second, before[manager].second) << "descriptors of manager " << manager;
    }
}

/// Nobody on this node can say whether the dictionary has ended; but not that the child could do anything
/// about it.
TEST_F(ForkedChildrenTest, LearnThatNobodyIsThereAnyMore) {
    Dictionary mortal = Dictionary::create({.managers_per_node = managers, .total_mem = 64 << 20});
    const std::string handle_of_mortal = mortal.serialize();
    mortal.destroy();
    EXPECT_EQ(in_child([&] {
                  const auto late = Dictionary::try_attach(handle_of_mortal, {.attach_timeout = 5s});
                  require(!late && (late.error().code == Errc::manager_lost ||
                                    late.error().code == Errc::dictionary_gone),
                          late ? "it is there" : late.error().message());
                  require(late.error().message().find("exec") == std::string::npos, late.error().message());
              }),
              0);
}

/// Where no manager is on the node, as here for who speaks over the network only.
TEST_F(ForkedChildrenTest, AreRefusedInWordsWhereNobodyPassesMessagesOn) {
    EXPECT_EQ(in_child([&] {
                  ::setenv("DDICT_SAME_HOST", "0", 1);
                  const auto refused = Dictionary::try_attach(handle);
                  require(!refused && refused.error().code == Errc::system, "it was not refused");
                  const std::string text = refused.error().message();
                  require(text.find("fork") != std::string::npos && text.find("exec") != std::string::npos,
                          text);
              }),
              0);
}

}  // namespace
}  // namespace ddict
