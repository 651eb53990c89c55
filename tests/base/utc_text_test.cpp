// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/utc_text.h"

#include <gtest/gtest.h>

namespace ddict {
namespace {

TEST(UtcText, HasAsManyDigitsAsAreAskedFor) {
    const std::chrono::system_clock::time_point time(std::chrono::microseconds(1'796'020'931'007'089));
    EXPECT_EQ(utc_text(time, 3), "2026-11-30T06:42:11.007Z");
    EXPECT_EQ(utc_text(time, 6), "2026-11-30T06:42:11.007089Z");
    EXPECT_EQ(utc_text(std::chrono::system_clock::time_point(std::chrono::milliseconds(-1)), 3),
              "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace ddict
