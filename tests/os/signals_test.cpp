// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Orders to end, among other signals.
#include "os/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "os/process_watch.h"

namespace ddict::os {
namespace {

/// In a process of its own, whose signals are taken for the rest of its life.
bool holds_in_child(const std::function<bool()>& condition) {
    const pid_t child = fork();
    if (child == 0) _exit(condition() ? 0 : 1);
    int status = -1;
    return waitpid(child, &status, 0) == child && status == 0;
}

/// Of two pending signals of one number the kernel keeps the first, unless they are real-time signals.
TEST(OrderToEnd, IsNotLostBehindASignalThatIsPending) {
    EXPECT_TRUE(holds_in_child([] {
        const Result<SignalFd> signals = SignalFd::open(ending_signals());
        const FileDescriptor self = open_pidfd(getpid());
        if (!signals || !self.is_open()) return false;
        kill(getpid(), SIGTERM);
        kill(getpid(), order_signal());  // without the mark: no order
        if (order_to_end(self.fd()) != 0) return false;
        unsigned all = 0;
        unsigned orders = 0;
        unsigned ends = 0;
        while (const std::optional<SignalEvent> event = signals->next()) {
            ++all;
            orders += event->ordered ? 1u : 0u;
            ends += event->asks_to_end() ? 1u : 0u;
        }
        return all == 3 && orders == 1 && ends == 2;
    }));
}

TEST(OrderToEnd, OfAProcessThatHasEndedIsNoError) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    const FileDescriptor ended = open_pidfd(child);
    ASSERT_TRUE(ended.is_open());
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    EXPECT_EQ(order_to_end(ended.fd()), 0);
}

}  // namespace
}  // namespace ddict::os
