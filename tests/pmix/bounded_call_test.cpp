// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "pmix/bounded_call.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <thread>

namespace ddict::pmix {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

bool never() {
    return false;
}

bool any_signal_is_blocked() {
    sigset_t mask;
    sigemptyset(&mask);
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return sigismember(&mask, SIGTERM) == 1 || sigismember(&mask, SIGINT) == 1;
}

TEST(BoundedCall, ReturnsWhatTheCallReturns) {
    const auto answer = bounded_call<int>([] { return 42; }, steady_clock::now() + 10s, never);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(*answer, 42);
}

TEST(BoundedCall, GivesUpAtTheDeadlineAndWhenCancelled) {
    const auto done = std::make_shared<std::atomic<bool>>(false);
    const auto block = [done] {
        while (!*done)
            std::this_thread::yield();
        return 1;
    };
    const auto late = bounded_call<int>(block, steady_clock::now() + 20ms, never);
    ASSERT_TRUE(late.has_value());
    EXPECT_FALSE(late->has_value());
    const auto cancelled = bounded_call<int>(block, steady_clock::now() + 10s, [] { return true; });
    ASSERT_TRUE(cancelled.has_value());
    EXPECT_FALSE(cancelled->has_value());
    *done = true;
}

/// There is no space for another thread's stack.
TEST(BoundedCall, WithoutAThreadIsAnError) {
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    ASSERT_TRUE(statm >> pages);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
    rlimit tight = before;
    tight.rlim_cur = pages * 4096 + (1 << 20);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, std::size_t{1} << 30);  // no stack of an earlier thread will do
    pthread_setattr_default_np(&attributes);
    ASSERT_EQ(::setrlimit(RLIMIT_AS, &tight), 0);
    const auto answer = bounded_call<int>([] { return 1; }, steady_clock::now() + 10s, never);
    ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
    pthread_attr_setstacksize(&attributes, std::size_t{1} << 20);
    pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, Errc::system);
    EXPECT_FALSE(any_signal_is_blocked());
    EXPECT_TRUE(bounded_call<int>([] { return 1; }, steady_clock::now() + 10s, never)->has_value());
}

}  // namespace
}  // namespace ddict::pmix
