// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The clock that everything else rests on, and the processes under it.
#include "bench/team.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "bench/shared_memory.h"

namespace ddict::bench {
namespace {

using namespace std::chrono_literals;

/// Does what a test says.
class TestRole final : public Role {
  public:
    using Step = std::function<void(const Phase&)>;
    TestRole(Step prepare, Step run) : prepare_(std::move(prepare)), run_(std::move(run)) {}
    void prepare(const Phase& phase) override { prepare_(phase); }
    std::string run(const Phase& phase, Tally& tally) override {
        for (std::uint64_t i = 0; i < phase.operations; ++i) {
            run_(phase);
            ++tally.operations;
        }
        return "phase " + std::to_string(phase.number);
    }

  private:
    Step prepare_;
    Step run_;
};

void nothing(const Phase&) {}

TEST(Team, CountsTheOperationsOfAllMembersAndGathersTheirTexts) {
    Team team("test", 3, [](unsigned) { return std::make_unique<TestRole>(nothing, nothing); });
    const PhaseResult first = team.run({.task = Task::get, .operations = 5});
    EXPECT_EQ(first.operations, 15u);
    EXPECT_EQ(first.texts, (std::vector<std::string>(3, "phase 1")));
    const PhaseResult second = team.run({.task = Task::get, .operations = 1});
    EXPECT_EQ(second.operations, 3u);
    EXPECT_EQ(second.texts.front(), "phase 2");
}

TEST(Team, NobodyRunsBeforeAllAreReady) {
    constexpr unsigned members = 4;
    SharedArray<std::atomic<unsigned>> prepared(1);
    Team team("test", members, [&](unsigned) {
        return std::make_unique<TestRole>([&](const Phase&) { prepared[0].fetch_add(1); },
                                          [&](const Phase& phase) {
                                              if (prepared[0].load() < members * phase.number) {
                                                  throw std::runtime_error("started too early");
                                              }
                                          });
    });
    for (int i = 0; i < 50; ++i)
        team.run({.task = Task::get, .operations = 1});
}

TEST(Team, TheClockRunsFromTheCommonStartToTheEndOfTheLast) {
    Team team("test", 2, [](unsigned member) {
        return std::make_unique<TestRole>(
            [](const Phase&) { std::this_thread::sleep_for(300ms); },
            [member](const Phase&) { std::this_thread::sleep_for(member == 0 ? 1ms : 60ms); });
    });
    const PhaseResult result = team.run({.task = Task::get, .operations = 1});
    EXPECT_GE(result.elapsed, 60ms);
    EXPECT_LT(result.elapsed, 300ms) << "to prepare is not counted";
    EXPECT_NEAR(result.per_second(), 2 / std::chrono::duration<double>(result.elapsed).count(), 1e-6);
}

TEST(Team, TellsWhatAMemberSaidWhenItFailed) {
    Team team("test", 2, [](unsigned member) {
        return std::make_unique<TestRole>(nothing, [member](const Phase&) {
            if (member == 1) throw std::runtime_error("the cat ate it");
        });
    });
    try {
        team.run({.task = Task::get, .operations = 1});
        FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "test process 1: the cat ate it");
    }
}

TEST(Team, NoticesTheDeathOfAMember) {
    Team team("test", 2, [](unsigned member) {
        return std::make_unique<TestRole>(
            [member](const Phase&) {
                if (member == 0) kill(getpid(), SIGKILL);
            },
            nothing);
    });
    try {
        team.run({.task = Task::get});
        FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
        EXPECT_EQ(std::string(error.what()), "test process 0 died of signal " + std::to_string(SIGKILL));
    }
}

TEST(Team, GivesUpAtTheLimitAndLeavesNobodyBehind) {
    SharedArray<std::atomic<pid_t>> pid(1);
    {
        Team team("test", 1, [&](unsigned) {
            return std::make_unique<TestRole>([&](const Phase&) { pid[0].store(getpid()); },
                                              [](const Phase&) { std::this_thread::sleep_for(1h); });
        });
        EXPECT_THROW(team.run({.task = Task::get, .operations = 1}, 1s), std::runtime_error);
        EXPECT_EQ(kill(pid[0].load(), 0), 0);
    }
    EXPECT_NE(kill(pid[0].load(), 0), 0);
}

}  // namespace
}  // namespace ddict::bench
