// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Calls that the program ends before their deadline.
#include <ddict/interrupt.h>

#include <signal.h>

#include <atomic>
#include <thread>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

std::atomic<int> asked{0};
std::atomic<bool> ends{false};

class InterruptTest : public SharedDictionaryTest {
  protected:
    void SetUp() override {
        SharedDictionaryTest::SetUp();
        asked = 0;
        ends = false;
        EXPECT_EQ(set_interrupt_check([] {
                      ++asked;
                      return ends.load();
                  }),
                  nullptr);
    }
    void TearDown() override { EXPECT_NE(set_interrupt_check(nullptr), nullptr); }

    static bool none_waits() {
        std::uint64_t waiting = 0;
        for (const ManagerStats& stats : dict_->stats())
            waiting += stats.waiting;
        return waiting == 0;
    }
    /// Of a call that would wait for ten minutes, ended when it has been asked for a while.
    template <class F>
    static Error ended(F call) {
        std::thread other([] {
            const auto latest = steady_clock::now() + 60s;
            while (asked < 3 && steady_clock::now() < latest)
                std::this_thread::yield();
            ends = true;
        });
        const auto begin = steady_clock::now();
        const auto outcome = call(dict_->within(10min));
        other.join();
        ends = false;
        EXPECT_LT(steady_clock::now() - begin, 60s);
        EXPECT_GE(asked, 3);
        EXPECT_FALSE(outcome.has_value());
        return outcome.has_value() ? Error() : outcome.error();
    }
};

TEST_F(InterruptTest, AWaitEndsAsAtItsDeadline) {
    const Error error = ended([](const View& view) { return view.try_wait_for("never"); });
    EXPECT_EQ(error.code, Errc::timeout);
    EXPECT_EQ(error.operation, Operation::wait_for);
    EXPECT_FALSE(error.in_doubt);
    EXPECT_TRUE(eventually(10s, none_waits));
    dict_->put("never", "now");
    EXPECT_EQ(dict_->get("never"), "now");
}

TEST_F(InterruptTest, AWaitForAValueEnds) {
    dict_->put("key", 1);
    const Error error = ended([](const View& view) { return view.try_wait_for_value("key", 2); });
    EXPECT_EQ(error.code, Errc::timeout);
    EXPECT_TRUE(eventually(10s, none_waits));
}

TEST_F(InterruptTest, AWaitForAnyEnds) {
    const Error error = ended([](const View& view) {
        return view.try_wait_for_any({key_on(0), key_on(1), key_on(2)});
    });
    EXPECT_EQ(error.code, Errc::timeout);
    EXPECT_TRUE(eventually(10s, none_waits));
}

TEST_F(InterruptTest, WhatWasBegunGoesOn) {
    auto put = dict_->put_async("begun", 5);
    const Error error = ended([](const View& view) { return view.try_wait_for("never"); });
    EXPECT_EQ(error.code, Errc::timeout);
    put.wait();
    EXPECT_EQ(dict_->get<int>("begun"), 5);
}

TEST_F(InterruptTest, AWaitForWhatWasBegunEnds) {
    const auto manager = static_cast<pid_t>(dict_->stats(dict_->which_manager("begun")).pid);
    ASSERT_EQ(::kill(manager, SIGSTOP), 0);
    auto put = dict_->within(10min).put_async("begun", 7);
    const Error error = ended([&](const View&) { return put.try_wait(); });
    ASSERT_EQ(::kill(manager, SIGCONT), 0);
    EXPECT_EQ(error.code, Errc::timeout);
    EXPECT_TRUE(error.in_doubt);
    ASSERT_TRUE(put.valid());
    put.wait();
    EXPECT_EQ(dict_->get<int>("begun"), 7);
}

TEST_F(InterruptTest, CallsThatDoNotWaitAreNotEnded) {
    ends = true;
    for (int i = 0; i < 1000; ++i) {
        const Result<void> put = dict_->try_put(i, i);
        if (!put) {
            EXPECT_EQ(put.error().code, Errc::timeout);  // this machine was busy for a while
        }
    }
    ends = false;
    EXPECT_GT(dict_->size(), 0u);
}

}  // namespace
}  // namespace ddict
