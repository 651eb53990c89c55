// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The threads of a save or a load, and what their caller is told meanwhile.
#include "libclient/checkpoint_progress.h"

#include <gtest/gtest.h>

#include <latch>
#include <set>
#include <stdexcept>

namespace ddict::client {
namespace {

using namespace std::chrono_literals;

struct Nothing {};
Nothing nothing() {
    return {};
}

TEST(InParallel, DoesEachOnce) {
    const OnCheckpointProgress nobody;
    SharedProgress progress(nobody, 0);
    std::mutex mutex;
    std::multiset<std::size_t> done;
    EXPECT_TRUE(in_parallel(100, 4, progress, nothing, [&](std::size_t i, Nothing) -> Result<void> {
        const std::lock_guard lock(mutex);
        done.insert(i);
        return {};
    }));
    EXPECT_EQ(done.size(), 100u);
    EXPECT_EQ(std::set(done.begin(), done.end()).size(), 100u);
}

/// Of two pieces of work, of which the caller's thread has done its own: the other ends with `progress`.
Result<void> outcome_while_the_caller_waits(SharedProgress& progress) {
    const std::thread::id caller = std::this_thread::get_id();
    std::latch others_at_work(1);
    const auto began = std::chrono::steady_clock::now();
    return in_parallel(2, 2, progress, nothing, [&](std::size_t, Nothing) -> Result<void> {
        if (std::this_thread::get_id() == caller) {
            others_at_work.wait();
            return {};
        }
        others_at_work.count_down();
        while (progress.outcome() && std::chrono::steady_clock::now() - began < 30s)
            std::this_thread::sleep_for(1ms);
        return {};
    });
}

/// The caller has nothing left to do itself, and wants no more.
TEST(InParallel, AsksTheCallersThreadAlsoWhileItWaitsForOthers) {
    const std::thread::id caller = std::this_thread::get_id();
    int asked = 0;
    const OnCheckpointProgress goes_on = [&](const CheckpointProgress&) {
        return std::this_thread::get_id() != caller || ++asked < 3;
    };
    SharedProgress progress(goes_on, 0);
    const auto began = std::chrono::steady_clock::now();
    const Result<void> outcome = outcome_while_the_caller_waits(progress);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::timeout);
    EXPECT_EQ(asked, 3);
    EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
}

TEST(InParallel, AFunctionThatThrowsEndsItFromAnyThread) {
    const OnCheckpointProgress throws = [&](const CheckpointProgress&) -> bool {
        throw std::runtime_error("not this one");
    };
    SharedProgress progress(throws, 0);
    const auto began = std::chrono::steady_clock::now();
    const Result<void> outcome = outcome_while_the_caller_waits(progress);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::system);
    EXPECT_NE(outcome.error().message().find("not this one"), std::string::npos);
    EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
}

TEST(InParallel, TheFirstErrorEndsIt) {
    const OnCheckpointProgress nobody;
    SharedProgress progress(nobody, 0);
    std::atomic<int> done = 0;
    const Result<void> outcome =
        in_parallel(1000, 3, progress, nothing, [&](std::size_t i, Nothing) -> Result<void> {
            ++done;
            if (i == 5) return Error(Errc::no_space, "no more");
            std::this_thread::sleep_for(1ms);
            return {};
        });
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::no_space);
    EXPECT_LT(done, 900);
}

}  // namespace
}  // namespace ddict::client
