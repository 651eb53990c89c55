// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A program that is killed, and leaves a process running that it has started: its sessions end with it.
#include <ddict/dictionary.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>

extern char** environ;

namespace ddict {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t managers = 3;
constexpr std::chrono::seconds test_timeout{10};

std::string read_line(int fd) {
    std::string line;
    for (char next; ::read(fd, &next, 1) == 1 && next != '\n';)
        line += next;
    return line;
}

void write_line(int fd, const std::string& line) {
    const std::string text = line + '\n';
    ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

/// A process that gets all that this one hands on.
pid_t start_helper() {
    std::array<char*, 3> arguments{const_cast<char*>("sleep"), const_cast<char*>("60"), nullptr};
    pid_t helper = -1;
    return ::posix_spawnp(&helper, arguments[0], nullptr, nullptr, arguments.data(), environ) == 0 ? helper
                                                                                                   : -1;
}

/// The descriptors that a helper would get.
unsigned inherited() {
    unsigned count = 0;
    for (int fd = 0; fd < 1024; ++fd) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0) ++count;
    }
    return count;
}

/// Attaches, stores something at each manager, starts a helper, tells what a test wants to know, and waits
/// for its end.
[[noreturn]] void be_the_client(int commands, int answers) {
    ::alarm(60);
    const unsigned before = inherited();
    const Dictionary dict = Dictionary::attach(read_line(commands));
    unsigned most = inherited();
    for (int key = 0; key < 100; ++key) {
        dict.put(key, key);
        most = std::max(most, inherited());
    }
    write_line(answers, std::to_string(start_helper()));
    write_line(answers, std::to_string(most - before));
    for (;;)
        ::pause();
}

std::uint64_t sessions(const Dictionary& dict) {
    std::uint64_t most = 0;
    for (const ManagerStats& stats : dict.stats())
        most = std::max(most, stats.sessions);
    return most;
}

TEST(InheritedConnectionsTest, ASessionEndsAlthoughAHelperLives) {
    std::array<int, 2> commands{};
    std::array<int, 2> answers{};
    ASSERT_TRUE(::pipe2(commands.data(), O_CLOEXEC) == 0 && ::pipe2(answers.data(), O_CLOEXEC) == 0);
    const pid_t client = ::fork();  // UCX is in neither yet
    if (client == 0) be_the_client(commands[0], answers[1]);
    Dictionary dict = Dictionary::create({.managers_per_node = managers, .total_mem = 16 << 20});
    write_line(commands[1], dict.serialize());
    const pid_t helper = static_cast<pid_t>(std::stol(read_line(answers[0])));
    ASSERT_GT(helper, 0);
    EXPECT_EQ(read_line(answers[0]), "0") << "descriptors of the library that a helper would get";
    EXPECT_EQ(sessions(dict), 2u);
    ::kill(client, SIGKILL);
    ::waitpid(client, nullptr, 0);
    const auto deadline = steady_clock::now() + test_timeout;
    while (sessions(dict) != 1 && steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(::kill(helper, 0), 0) << "the helper ended: this test proves nothing";
    EXPECT_EQ(sessions(dict), 1u);
    ::kill(helper, SIGKILL);
    dict.destroy();
}

}  // namespace
}  // namespace ddict
