// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace ddict::os {
namespace {

constexpr const char* variable = "DDICT_TEST_FLAG";

TEST(FlagInEnvironment, IsZeroOrOne) {
    ::unsetenv(variable);
    EXPECT_TRUE(flag_in_environment(variable, true).value());
    EXPECT_FALSE(flag_in_environment(variable, false).value());
    for (const bool otherwise : {false, true}) {
        ASSERT_EQ(::setenv(variable, "", 1), 0);
        EXPECT_EQ(flag_in_environment(variable, otherwise).value(), otherwise);
        ASSERT_EQ(::setenv(variable, "0", 1), 0);
        EXPECT_FALSE(flag_in_environment(variable, otherwise).value());
        ASSERT_EQ(::setenv(variable, "1", 1), 0);
        EXPECT_TRUE(flag_in_environment(variable, otherwise).value());
    }
    for (const std::string value : {"2", "01", "yes", " 1"}) {
        ASSERT_EQ(::setenv(variable, value.c_str(), 1), 0);
        const Result<bool> flag = flag_in_environment(variable, true);
        ASSERT_FALSE(flag.has_value()) << value;
        EXPECT_EQ(flag.error().code, Errc::invalid_argument);
        EXPECT_NE(flag.error().message().find("DDICT_TEST_FLAG is '" + value + "': 0 or 1"),
                  std::string::npos)
            << flag.error().message();
    }
    ::unsetenv(variable);
}

}  // namespace
}  // namespace ddict::os
