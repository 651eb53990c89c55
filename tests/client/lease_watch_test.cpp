// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/lease_watch.h"

#include <gtest/gtest.h>

namespace ddict::client {
namespace {

using namespace std::chrono_literals;

constexpr LeaseWatch::Holder holder = 7;
constexpr std::chrono::milliseconds lease = 1000ms;

class LeaseWatchTest : public ::testing::Test {
  protected:
    bool looks(std::int64_t count) { return watch_.has_run_out(holder, count, now_, now_, lease); }

    LeaseWatch watch_;
    LeaseWatch::Time now_{100s};
};

TEST_F(LeaseWatchTest, RunsOutWhenNobodyCountsForItsLength) {
    EXPECT_FALSE(looks(1));
    now_ += lease - 1ms;
    EXPECT_FALSE(looks(1));
    now_ += 1ms;
    EXPECT_TRUE(looks(1));
    EXPECT_FALSE(looks(2)) << "it lives";
    now_ += lease - 1ms;
    EXPECT_FALSE(looks(2));
}

/// It was read before whoever looks was held up: that it stands still afterwards is not known.
TEST_F(LeaseWatchTest, TheTimeOfOneThatIsHeldUpDoesNotCount) {
    EXPECT_FALSE(looks(1));
    const LeaseWatch::Time asked = now_ + 250ms;
    EXPECT_FALSE(watch_.has_run_out(holder, 1, asked, asked + 10 * lease, lease));
    // The other way round: it may have moved at the end of that time.
    EXPECT_FALSE(watch_.has_run_out(holder, 2, asked, asked + 10 * lease, lease));
    now_ = asked + 11 * lease - 1ms;
    EXPECT_FALSE(looks(2));
}

TEST_F(LeaseWatchTest, WhoIsForgottenHasAWholeLease) {
    EXPECT_FALSE(looks(1));
    now_ += lease;
    watch_.forget_all();
    EXPECT_FALSE(looks(1));
    watch_.forget_all_but({3, holder});
    EXPECT_EQ(watch_.size(), 1u);
    watch_.forget_all_but({3, 8});
    EXPECT_EQ(watch_.size(), 0u);
}

}  // namespace
}  // namespace ddict::client
