// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/random_pause.h"

#include <unistd.h>

#include <cstdint>
#include <random>

namespace ddict::client {
namespace {

struct Generator {
    pid_t process = 0;
    std::minstd_rand random;
};

thread_local Generator generator;

}  // namespace

std::chrono::nanoseconds random_pause(std::chrono::nanoseconds least, std::chrono::nanoseconds most) {
    // A child has a copy: all of one parent would have the same times.
    if (const pid_t process = ::getpid(); generator.process != process)
        generator = {.process = process, .random = std::minstd_rand(std::random_device()())};
    return std::chrono::nanoseconds(
        std::uniform_int_distribution<std::int64_t>(least.count(), most.count())(generator.random));
}

}  // namespace ddict::client
