// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/lost_managers.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using Look = LostManagers::Look;

class LostManagersTest : public testing::Test {
  protected:
    Look look(std::uint32_t manager = 7) {
        why = Error();
        return lost.look(ShardId{manager}, now, why);
    }
    LostManagers lost;
    LostManagers::Time now{1h};
    Error why;
    const Error silent{Errc::manager_lost, "nothing was heard"};
};

TEST_F(LostManagersTest, OneInAWhileAsksAgain) {
    EXPECT_FALSE(lost.any());
    EXPECT_EQ(look(), Look::not_lost);
    lost.remember(ShardId{7}, silent, now);
    EXPECT_TRUE(lost.any());
    EXPECT_EQ(look(), Look::lost);
    EXPECT_STREQ(why.detail.data(), "nothing was heard");
    EXPECT_EQ(look(8), Look::not_lost);
    now += limits::lost_probe_interval;
    EXPECT_EQ(look(), Look::probe);
    EXPECT_EQ(look(), Look::lost) << "one asks, the others do not wait for it";
    lost.remember(ShardId{7}, Error(Errc::manager_lost, "refused"), now);
    EXPECT_EQ(look(), Look::lost);
    EXPECT_STREQ(why.detail.data(), "refused") << "the last reason counts";
}

TEST_F(LostManagersTest, AnAnswerOrTimeMakesItForget) {
    lost.remember(ShardId{7}, silent, now);
    lost.remember(ShardId{8}, silent, now);
    lost.forget(ShardId{7});
    EXPECT_EQ(look(7), Look::not_lost);
    EXPECT_TRUE(lost.is_lost(ShardId{8}, now));
    now += limits::lost_remembered;
    EXPECT_FALSE(lost.is_lost(ShardId{8}, now));
    EXPECT_FALSE(lost.any()) << "it is as if it had never been";
}

TEST_F(LostManagersTest, TheEndOfADictionaryIsForGood) {
    lost.remember(ShardId{7}, silent, now);
    lost.note_end(dictionary_ended());
    lost.forget(ShardId{7});
    now += 24h;
    EXPECT_TRUE(lost.any());
    EXPECT_EQ(look(9), Look::lost);
    EXPECT_EQ(why.code, Errc::dictionary_gone);
    EXPECT_EQ(why.manager_state, ManagerState::ended);
}

}  // namespace
}  // namespace ddict
