// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A program that ends while its threads call a static dictionary.
#include <ddict/dictionary.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace ddict {
namespace {

/// Starts a dictionary, tells its handle, and ends it when nobody holds the other end of `stop` any more.
[[noreturn]] void own(int tell, int stop) {
    Dictionary dict = Dictionary::create({.managers_per_node = 2, .total_mem = 16 << 20});
    const std::string handle = dict.serialize() + '\n';
    if (write(tell, handle.data(), handle.size()) < 0) _exit(1);
    close(tell);
    char ignored;
    const ssize_t end = read(stop, &ignored, 1);
    dict.destroy();
    _exit(end == 0 ? 0 : 1);
}

/// Ends by exit(7) while eight threads call.
[[noreturn]] void exit_in_the_middle(const std::string& handle, bool local_reads) {
    static Dictionary dict = Dictionary::attach(handle, {.local_reads = local_reads});
    static std::atomic<int> calling{0};
    for (int thread = 0; thread < 8; ++thread) {
        std::thread([thread] {
            for (int i = 0;; ++i) {
                static_cast<void>(dict.try_put(thread, i));
                static_cast<void>(dict.try_get<int>(thread));
                if (i == 100) ++calling;
            }
        }).detach();
    }
    while (calling.load() < 8)
        std::this_thread::yield();
    std::exit(7);
}

/// This process itself uses no dictionary: its children may.
TEST(Exit, WhileThreadsCallAStaticDictionaryIsHarmless) {
    int tell[2];
    int stop[2];
    ASSERT_TRUE(pipe2(tell, O_CLOEXEC) == 0 && pipe2(stop, O_CLOEXEC) == 0);
    const pid_t owner = fork();
    if (owner == 0) {
        close(stop[1]);
        own(tell[1], stop[0]);
    }
    close(tell[1]);
    close(stop[0]);
    std::string handle;
    char buffer[4096];
    for (ssize_t got = 0; !handle.ends_with('\n') && (got = read(tell[0], buffer, sizeof buffer)) > 0;)
        handle.append(buffer, static_cast<std::size_t>(got));
    ASSERT_TRUE(handle.ends_with('\n'));
    for (int round = 0; round < 40; ++round) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            exit_in_the_middle(handle, round % 2 == 0);
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7)
            << "round " << round << ": status " << status;
    }
    close(stop[1]);
    int status = -1;
    ASSERT_EQ(waitpid(owner, &status, 0), owner);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace ddict
