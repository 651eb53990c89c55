// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/shown.h"

#include <gtest/gtest.h>

namespace ddict::tools {
namespace {

TEST(Shown, SizesArePowersOf1024) {
    EXPECT_EQ(size_text(0), "0B");
    EXPECT_EQ(size_text(1023), "1023B");
    EXPECT_EQ(size_text(1536), "1.5K");
    EXPECT_EQ(size_text(99 << 20), "99.0M");
    EXPECT_EQ(size_text(100 << 20), "100M");
    EXPECT_EQ(size_text(std::uint64_t{1} << 63), "8192P");
}

TEST(Shown, CountsArePowersOf1000) {
    EXPECT_EQ(count_text(0), "0");
    EXPECT_EQ(count_text(9999), "9999");
    EXPECT_EQ(count_text(10'000), "10.0k");
    EXPECT_EQ(count_text(99'949), "99.9k");
    EXPECT_EQ(count_text(99'960), "100k");
    EXPECT_EQ(count_text(999'600), "1.0M");
    EXPECT_EQ(count_text(1.8e19), "18.0E");
}

TEST(Shown, TimesAreOfTheRightUnit) {
    EXPECT_EQ(time_text(0), "0ns");
    EXPECT_EQ(time_text(999), "999ns");
    EXPECT_EQ(time_text(1'234), "1.2us");
    EXPECT_EQ(time_text(12'345), "12us");
    EXPECT_EQ(time_text(999'600), "1.0ms");
    EXPECT_EQ(time_text(3'600'000'000'000), "3600s");
}

TEST(Shown, NoTextIsWiderThanItMayBe) {
    for (std::uint64_t n = 1; n < (std::uint64_t{1} << 62); n = n * 3 + 1) {
        EXPECT_LE(size_text(n).size(), 6u) << n;
        EXPECT_LE(count_text(static_cast<double>(n)).size(), 5u) << n;
        if (n < 99'999 * std::uint64_t{1'000'000'000}) {
            EXPECT_LE(time_text(n).size(), 6u) << n;
        }
    }
}

}  // namespace
}  // namespace ddict::tools
