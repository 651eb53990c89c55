// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Managers that live and cannot be asked: stopped, on what counts as another host (DDICT_SAME_HOST=0), and in
// a network that the client is not in.
#include <ddict/dictionary.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// Of a network that was made just now.
bool bring_up_loopback() {
    const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    const bool up = any >= 0 && ::ioctl(any, SIOCSIFFLAGS, &request) == 0;
    if (any >= 0) ::close(any);
    return up;
}

/// Runs `work` in a child that has executed nothing of UCX, in another network; what it writes.
template <class Work>
std::string in_another_network(Work work) {
    int ends[2];
    if (pipe(ends) != 0) return "no pipe";
    const pid_t child = fork();
    if (child == 0) {
        std::string said;
        // Who is not root is so in a user namespace of its own.
        const int kinds = ::geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET;
        said = unshare(kinds) != 0 || !bring_up_loopback() ? "no network" : work();
        const ssize_t written = write(ends[1], said.data(), said.size());
        _exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
    }
    close(ends[1]);
    std::string said;
    char buffer[512];
    for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
        said.append(buffer, static_cast<std::size_t>(got));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return status == 0 ? said : said + " (it ended with " + std::to_string(status) + ")";
}

/// Before this process attaches to anything: its child may then.
TEST(LostManagers, InAnotherNetworkAreNotCalledDead) {
    int ends[2];
    int stop[2];
    ASSERT_TRUE(pipe2(ends, O_CLOEXEC) == 0 && pipe2(stop, O_CLOEXEC) == 0);
    const pid_t owner = fork();
    if (owner == 0) {
        close(stop[1]);
        Dictionary dict = Dictionary::create({.managers_per_node = 2, .total_mem = 16 << 20});
        const std::string handle = dict.serialize() + '\n';
        if (write(ends[1], handle.data(), handle.size()) < 0) _exit(1);
        close(ends[1]);
        char ignored;
        const ssize_t end = read(stop[0], &ignored, 1);
        const bool lives = dict.try_put("alive", 1).has_value();
        dict.destroy();
        _exit(end == 0 && lives ? 0 : 1);
    }
    close(ends[1]);
    close(stop[0]);
    std::string handle;
    char buffer[4096];
    for (ssize_t got = 0; !handle.ends_with('\n') && (got = read(ends[0], buffer, sizeof buffer)) > 0;)
        handle.append(buffer, static_cast<std::size_t>(got));
    ASSERT_TRUE(handle.ends_with('\n'));
    const std::string said = in_another_network([&] {
        const auto attached = Dictionary::try_attach(handle, {.attach_timeout = 6s});
        if (attached) return std::string("attached");
        return std::string(name(attached.error().code)) + "|" +
               std::string(name(attached.error().manager_state)) + "|" + attached.error().message();
    });
    close(stop[1]);
    int status = -1;
    waitpid(owner, &status, 0);
    EXPECT_EQ(status, 0) << "the managers lived all the time";
    EXPECT_EQ(said.find("dictionary_gone"), std::string::npos) << said;
    EXPECT_EQ(said.find("start a new one"), std::string::npos) << said;
    EXPECT_EQ(said.find("|ended|"), std::string::npos) << said;
    EXPECT_NE(said.find("attach on manager "), std::string::npos) << said;
    std::cout << "    " << said << '\n';
}

class StoppedManagerTest : public SharedDictionaryTest {
  protected:
    static void SetUpTestSuite() {
        ASSERT_NE(std::getenv("DDICT_SAME_HOST"), nullptr) << "this test is about DDICT_SAME_HOST=0";
        SharedDictionaryTest::SetUpTestSuite();
    }
};

/// Calls to a manager that is silent: the first waits, the others know, in all threads; and it is found
/// again.
TEST_F(StoppedManagerTest, IsWaitedForOnceAndFoundAgain) {
    const View dict = by_message_->within(20s);
    for (int i = 0; i < 1000; ++i)
        dict.put(i, i);
    const ManagerStats silent = dict.stats(1);
    ASSERT_EQ(kill(silent.pid, SIGSTOP), 0);
    unsigned failed = 0;
    const auto loop = [&](const View& view) {
        unsigned errors = 0;
        for (int i = 0; i < 1000; ++i) {
            const Result<int> got = view.try_get<int>(i);
            if (got) continue;
            ++errors;
            EXPECT_EQ(got.error().code, Errc::manager_lost) << got.error().message();
            EXPECT_EQ(got.error().manager, 1u);
            EXPECT_NE(got.error().manager_state, ManagerState::ended) << got.error().message();
        }
        return errors;
    };
    const auto began = steady_clock::now();
    failed = loop(dict);
    unsigned failed_elsewhere = 0;
    std::thread([&] { failed_elsewhere = loop(dict); }).join();
    const auto took = steady_clock::now() - began;
    kill(silent.pid, SIGCONT);
    EXPECT_GT(failed, 200u);
    EXPECT_EQ(failed_elsewhere, failed);
    EXPECT_LT(took, 60s) << "each call for itself would take minutes";
    EXPECT_TRUE(eventually(
        20s, [&] { return dict.try_get<int>(-1).error().code == Errc::not_found && loop(dict) == 0; }));
}

TEST_F(StoppedManagerTest, ADestroyedDictionaryIsGoneOverTheNetworkToo) {
    Dictionary owner = Dictionary::create({.managers_per_node = 2, .total_mem = 16 << 20, .name = "mortal"});
    const Dictionary other = Dictionary::attach(owner.serialize(), {.local_reads = false});
    other.put("key", 1);
    EXPECT_EQ(other.size(), 1u);
    owner.destroy();
    const Error error = other.try_put("key", 2).error();
    EXPECT_EQ(error.code, Errc::dictionary_gone) << error.message();
    EXPECT_EQ(other.try_size().error().code, Errc::dictionary_gone);
}

TEST_F(StoppedManagerTest, ADestroyThatDoesNotReachAManagerSaysSo) {
    Dictionary owner = Dictionary::create({.managers_per_node = 2, .total_mem = 16 << 20, .name = "half"});
    Dictionary other = Dictionary::attach(owner.serialize());
    const ManagerStats silent = other.stats(1);
    ASSERT_EQ(kill(silent.pid, SIGSTOP), 0);
    const Result<void> destroyed = other.try_destroy();
    kill(silent.pid, SIGCONT);
    ASSERT_FALSE(destroyed) << "nobody has heard of the end of manager 1";
    EXPECT_EQ(destroyed.error().manager, 1u) << destroyed.error().message();
    EXPECT_TRUE(destroyed.error().in_doubt) << destroyed.error().message();
    EXPECT_NE(destroyed.error().code, Errc::dictionary_gone) << destroyed.error().message();
    static_cast<void>(owner.try_destroy());
}

}  // namespace
}  // namespace ddict
