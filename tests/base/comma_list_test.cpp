// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/comma_list.h"

namespace ddict {
namespace {

using Words = std::vector<std::string>;

TEST(CommaList, IsSplit) {
    EXPECT_EQ(split_list(""), Words());
    EXPECT_EQ(split_list("eth0"), Words({"eth0"}));
    EXPECT_EQ(split_list("eth0,mlx5_0:1"), Words({"eth0", "mlx5_0:1"}));
    EXPECT_EQ(split_list(",a,,b"), Words({"", "a", "", "b"}));
    EXPECT_EQ(split_list("a,"), Words({"a"}));
}

TEST(CommaList, IsJoined) {
    EXPECT_EQ(join_list(Words()), "");
    for (const char* text : {"a", "a,b", "a,,b", ",a"})
        EXPECT_EQ(join_list(split_list(text)), text);
}

TEST(CommaList, HasWholeWordsOnly) {
    EXPECT_TRUE(list_has("eth0,all", "all"));
    EXPECT_FALSE(list_has("eth0,alle", "all"));
    EXPECT_FALSE(list_has("eth00", "eth0"));
    EXPECT_FALSE(list_has("", "eth0"));
}

}  // namespace
}  // namespace ddict
