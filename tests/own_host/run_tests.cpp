// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/own_host/run_tests.h"

#include <gtest/gtest.h>

#include "tests/own_host/own_host.h"

namespace ddict::testing {

int run_all_tests(int argc, char** argv) {
    enter_own_host_or_say_why_not();
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}

}  // namespace ddict::testing
