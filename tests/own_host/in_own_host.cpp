// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// usage: in_own_host COMMAND...
// Runs a test that is no GoogleTest program on a host of its own.
#include <unistd.h>

#include <cstdio>

#include "tests/own_host/own_host.h"

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fputs("usage: in_own_host COMMAND...\n", stderr);
        return 2;
    }
    ddict::testing::enter_own_host_or_say_why_not();
    execvp(argv[1], argv + 1);
    std::perror(argv[1]);
    return 127;
}
