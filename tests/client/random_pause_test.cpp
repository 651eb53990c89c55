// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/random_pause.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <set>

namespace ddict::client {
namespace {

using namespace std::chrono_literals;

TEST(RandomPause, IsBetweenItsBounds) {
    std::set<std::chrono::nanoseconds> seen;
    for (int i = 0; i < 1000; ++i) {
        const auto pause = random_pause(2ms, 6ms);
        EXPECT_GE(pause, 2ms);
        EXPECT_LE(pause, 6ms);
        seen.insert(pause);
    }
    EXPECT_GT(seen.size(), 900u);
    EXPECT_EQ(random_pause(3ns, 3ns), 3ns);
}

TEST(RandomPause, IsAnotherOneInEachChildOfFork) {
    constexpr int children = 4;
    static_cast<void>(random_pause(0s, 1s));  // the parent has a generator
    std::set<std::int64_t> seen;
    for (int i = 0; i < children; ++i) {
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe(ends.data()), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            const std::int64_t first = random_pause(0s, 1s).count();
            ::_exit(::write(ends[1], &first, sizeof first) == sizeof first ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        std::int64_t first = 0;
        EXPECT_EQ(::read(ends[0], &first, sizeof first), static_cast<ssize_t>(sizeof first));
        seen.insert(first);
        int status = -1;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        ::close(ends[0]);
        ::close(ends[1]);
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(children));
}

}  // namespace
}  // namespace ddict::client
