// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A fork in one thread while another one loads UCX, in a program that has a handler of forks of its own,
// which was registered before the public library was there. So it runs after that of the library.
#include <ddict/dictionary.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <future>
#include <mutex>
#include <thread>

namespace ddict {
namespace {

using namespace std::chrono_literals;

std::mutex of_program;  // as a program has one for its log
std::atomic<bool> takes_lock{false};
std::atomic<bool> is_in_handler{false};

void before_fork() {
    if (!takes_lock) return;
    is_in_handler = true;
    of_program.lock();
}
void after_fork() {
    if (takes_lock) of_program.unlock();
}
void register_handlers() {
    ::pthread_atfork(before_fork, after_fork, after_fork);
}
// Before any library's own code.
[[gnu::section(".preinit_array"), gnu::used]] void (*const at_first)() = register_handlers;

/// Whose parent has a dictionary, and has not loaded UCX before the fork. The exit status.
int attach_in_one_thread_and_fork_in_another(const std::string& handle) {
    ::setenv("DDICT_SAME_HOST", "0", 1);  // so that attaching loads it
    std::promise<void> has_lock;
    std::thread attaches([&] {
        const std::lock_guard lock(of_program);
        has_lock.set_value();
        while (!is_in_handler)
            std::this_thread::yield();
        const Dictionary dict = Dictionary::attach(handle);
        dict.put("key", "of the thread that loads");
    });
    has_lock.get_future().wait();
    takes_lock = true;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    int status = -1;
    ::waitpid(child, &status, 0);
    attaches.join();
    return status == 0 ? 0 : 1;
}

TEST(ForkWhileLoading, DoesNotHangWhereTheProgramHasALockForIt) {
    std::array<int, 2> channel{};
    ASSERT_EQ(::pipe(channel.data()), 0);
    const pid_t program = ::fork();
    if (program == 0) {
        ::alarm(60);
        std::array<char, 65536> handle{};
        const ssize_t got = ::read(channel[0], handle.data(), handle.size());
        try {
            ::_exit(attach_in_one_thread_and_fork_in_another(
                std::string(handle.data(), got > 0 ? static_cast<std::size_t>(got) : 0)));
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
        ::_exit(2);
    }
    Dictionary dict = Dictionary::create({.managers_per_node = 1, .total_mem = 64 << 20});
    const std::string handle = dict.serialize();
    ASSERT_EQ(::write(channel[1], handle.data(), handle.size()), static_cast<ssize_t>(handle.size()));
    int status = -1;
    ASSERT_EQ(::waitpid(program, &status, 0), program);
    EXPECT_EQ(status, 0) << "ended by signal " << (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    EXPECT_EQ(dict.get("key"), "of the thread that loads");
    dict.destroy();
}

}  // namespace
}  // namespace ddict
