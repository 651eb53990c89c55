// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The main function of every GoogleTest program that has none of its own.
#include "tests/own_host/run_tests.h"

int main(int argc, char** argv) {
    return ddict::testing::run_all_tests(argc, argv);
}
