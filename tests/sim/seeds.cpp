// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/seeds.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*)());

namespace ddict::sim {
namespace {

// What a dying process prints; ready beforehand, since little is allowed then.
std::array<char, 512> last_words;

void say_last_words() {
    [[maybe_unused]] const ssize_t written =
        ::write(STDERR_FILENO, last_words.data(), std::strlen(last_words.data()));
    last_words[0] = '\0';
}

void on_fatal_signal(int number) {
    say_last_words();
    ::signal(number, SIG_DFL);
    ::raise(number);
}

std::string command_line(std::uint64_t seed) {
    const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
    std::array<char, 256> program{};
    if (::readlink("/proc/self/exe", program.data(), program.size() - 1) < 0) program[0] = '?';
    const char* name = std::strrchr(program.data(), '/');
    return "DDICT_TEST_SEED=" + std::to_string(seed) + " tests/" + (name ? name + 1 : program.data()) +
           " --gtest_filter=" + test.test_suite_name() + "." + test.name();
}

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 0) : otherwise;
}

}  // namespace

bool repeats_one_seed() {
    return std::getenv("DDICT_TEST_SEED") != nullptr;
}

void for_each_seed(unsigned seeds, const std::function<void(std::uint64_t seed, Tally&)>& run) {
    ::signal(SIGABRT, on_fatal_signal);
    if (__sanitizer_set_death_callback != nullptr) {
        __sanitizer_set_death_callback(say_last_words);
    } else {
        ::signal(SIGSEGV, on_fatal_signal);
    }
    const auto began = std::chrono::steady_clock::now();
    const std::uint64_t first = from_environment("DDICT_TEST_SEED", 1);
    const std::uint64_t count = repeats_one_seed() ? 1 : from_environment("DDICT_SIM_SEEDS", seeds);
    Tally tally;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const std::string command = command_line(seed);
        std::snprintf(last_words.data(), last_words.size(), "\nto repeat: %s\n", command.c_str());
        SCOPED_TRACE("to repeat: " + command);
        run(seed, tally);
        if (testing::Test::HasFailure()) break;
    }
    last_words[0] = '\0';
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    std::cout << "    " << count << " seeds, " << tally.operations << " operations, ";
    if (tally.histories > 0) std::cout << tally.histories << " histories checked, ";
    std::cout << tally.events << " events, " << took.count() << " ms\n";
}

}  // namespace ddict::sim
