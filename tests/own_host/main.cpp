// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The main function of every GoogleTest program of the project.
#include <gtest/gtest.h>

#include "tests/own_host/own_host.h"

int main(int argc, char** argv) {
    ddict::testing::enter_own_host_or_say_why_not();
    ::testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
