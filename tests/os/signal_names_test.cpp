// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/signal_names.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace ddict::os {
namespace {

TEST(SignalNames, AreKnownWithPrefixAndWithout) {
    EXPECT_EQ(signal_number("USR2"), SIGUSR2);
    EXPECT_EQ(signal_number("SIGTERM"), SIGTERM);
    EXPECT_EQ(signal_number("12"), 12);
    EXPECT_EQ(signal_number("RTMIN"), SIGRTMIN);
    EXPECT_EQ(signal_number("SIGRTMIN+3"), SIGRTMIN + 3);
    EXPECT_EQ(signal_number("RTMAX-1"), SIGRTMAX - 1);
}

TEST(SignalNames, OthersAreNone) {
    for (const char* const text : {"", "SIG", "usr2", "USR3", "0", "-1", "65", "RTMIN+99", "RTMIN-1",
                                   "RTMAX+1", "RTMIN+", "RTMAX-99", "12x", "TERM "})
        EXPECT_EQ(signal_number(text), std::nullopt) << text;
}

TEST(SignalNames, EachNumberHasOneThatLeadsBack) {
    for (int number = 1; number <= SIGRTMAX; ++number)
        EXPECT_EQ(signal_number(signal_name(number)), number) << signal_name(number);
}

}  // namespace
}  // namespace ddict::os
