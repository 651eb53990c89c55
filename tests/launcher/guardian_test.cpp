// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a node launcher decides while its managers live. No process, no descriptor, and a clock that the test
// moves.
#include <gtest/gtest.h>

#include <csignal>
#include <optional>

#include "base/limits.h"
#include "launcher/events.h"
#include "launcher/node/guardian.h"

namespace ddict::launcher {
namespace {

using namespace std::chrono_literals;
using State = ManagerProcess::State;
using News = Guardian::News;
using Stop = Guardian::Stop;

constexpr Guardian::Managers all_serve{.any_runs = true, .any_serves = true};
constexpr Guardian::Managers one_destroyed{.any_runs = true, .any_serves = true, .any_ended_by_client = true};

class GuardianTest : public testing::Test {
  protected:
    /// Outside a job unless told otherwise, and not yet serving.
    Guardian& make(bool in_job = false) {
        guardian_.emplace(Guardian::Options{.in_job = in_job,
                                            .beats = in_job,
                                            .bring_up_timeout = 30s,
                                            .job_runs_here =
                                                [this] {
                                                    ++looks_for_the_job;
                                                    return job_runs_here;
                                                },
                                            .now = [this] { return now; }});
        return *guardian_;
    }
    Guardian& make_serving(bool in_job = false) {
        Guardian& guardian = make(in_job);
        guardian.begin_serving();
        return guardian;
    }
    void send(std::initializer_list<int> numbers) {
        for (const int number : numbers)
            guardian_->on_signal({.number = number});
    }
    /// Goes on from turn to turn, each as long as it may be, until it is over. How long that took.
    Guardian::Clock::duration until_over(const Guardian::Managers& managers, Guardian::milliseconds at_most) {
        const auto began = now;
        for (Guardian::Turn turn = guardian_->next_turn(managers); !turn.is_over;
             turn = guardian_->next_turn(managers)) {
            EXPECT_GT(turn.wait_max, 0ms) << "it would turn without end";
            now += turn.wait_max;
            if (turn.wait_max <= 0ms || now - began > at_most) {
                ADD_FAILURE() << "it is never over";
                break;
            }
        }
        return now - began;
    }

    Guardian::Clock::time_point now{1h};
    bool job_runs_here = false;
    int looks_for_the_job = 0;

  private:
    std::optional<Guardian> guardian_;
};

// ---- the lifeline, and signals

TEST_F(GuardianTest, TheEndOfTheLifelineEndsEverything) {
    Guardian& coming_up = make();
    EXPECT_FALSE(coming_up.told_to_stop());
    coming_up.on_lifeline_end();
    EXPECT_TRUE(coming_up.told_to_stop());
    Guardian& serving = make_serving();
    EXPECT_FALSE(serving.next_turn(all_serve).is_over);
    serving.on_lifeline_end();
    EXPECT_FALSE(serving.is_lifeline_open());
    EXPECT_TRUE(serving.next_turn(all_serve).is_over);
}

TEST_F(GuardianTest, BeforeItServesASignalThatAsksForAnEndCancels) {
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
        const Guardian& guardian = make();
        EXPECT_FALSE(guardian.told_to_stop());
        send({number});
        EXPECT_TRUE(guardian.told_to_stop()) << number;
    }
}

TEST_F(GuardianTest, OtherSignalsCancelNothing) {
    Guardian& guardian = make();
    send({SIGUSR1, SIGUSR2, SIGCONT, SIGALRM, SIGXCPU, SIGRTMIN});
    EXPECT_FALSE(guardian.told_to_stop());
}

TEST_F(GuardianTest, OnceItServesNoSignalDoes) {
    Guardian& guardian = make_serving(true);
    send({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTERM, SIGUSR1});
    EXPECT_FALSE(guardian.told_to_stop());
    EXPECT_FALSE(guardian.next_turn(all_serve).is_over);
    guardian.on_signal({.number = SIGTERM, .from_terminal = false, .ordered = true});
    EXPECT_FALSE(guardian.next_turn(all_serve).is_over) << "the order to end is its launcher's affair";
}

TEST_F(GuardianTest, TheBringUpHasADeadlineOfItsOwn) {
    const Guardian& guardian = make();
    now += 30s;
    EXPECT_FALSE(guardian.is_bring_up_overdue()) << "the launcher's comes first";
    now += 6s;
    EXPECT_TRUE(guardian.is_bring_up_overdue());
}

// ---- beats

TEST_F(GuardianTest, InAJobItShowsThatItIsThere) {
    Guardian& guardian = make_serving(true);
    int beats = 0;
    for (const auto began = now; now - began < 10 * beat_interval;) {
        const Guardian::Turn turn = guardian.next_turn(all_serve);
        beats += turn.beat ? 1 : 0;
        ASSERT_FALSE(turn.is_over);
        ASSERT_GT(turn.wait_max, 0ms);
        ASSERT_LE(turn.wait_max, beat_interval);
        now += turn.wait_max / 3 + 1ms;  // something else happens in between
    }
    EXPECT_GE(beats, 9);
    EXPECT_LE(beats, 11);
}

TEST_F(GuardianTest, OutsideAJobNobodyMissesIt) {
    const Guardian::Turn turn = make_serving().next_turn(all_serve);
    EXPECT_FALSE(turn.beat);
    EXPECT_GE(turn.wait_max, 1min);
}

// ---- the end of a job

TEST_F(GuardianTest, TheEndOfTheJobIsTakenOnce) {
    Guardian& guardian = make_serving(true);
    send({SIGTERM});
    EXPECT_FALSE(guardian.take_job_end()) << "a signal for saving";
    send({SIGCONT});
    EXPECT_TRUE(guardian.take_job_end());
    send({SIGCONT, SIGTERM});
    EXPECT_FALSE(guardian.take_job_end());
}

TEST_F(GuardianTest, AJobThatIsSuspendedAndSignalledLaterDoesNotEnd) {
    Guardian& guardian = make_serving(true);
    send({SIGCONT});
    now += 1min;
    send({SIGTERM});
    EXPECT_FALSE(guardian.take_job_end());
}

TEST_F(GuardianTest, AtTheEndOfAJobItServesWhileTheLauncherShowsLife) {
    Guardian& guardian = make_serving(true);
    send({SIGCONT, SIGTERM});
    for (int i = 0; i < 30; ++i) {
        const Guardian::Turn turn = guardian.next_turn(all_serve);
        ASSERT_FALSE(turn.is_over);
        ASSERT_LE(turn.wait_max, 1s);
        now += 1s;
        guardian.on_sign_of_life();
    }
    EXPECT_EQ(looks_for_the_job, 0) << "that is known without reading all of /proc";
    EXPECT_EQ(until_over(all_serve, 10s), 4s);
    EXPECT_FALSE(guardian.is_lifeline_open());
}

TEST_F(GuardianTest, WhileOthersOfTheJobRunItIsNotAbandoned) {
    Guardian& guardian = make_serving(true);
    send({SIGCONT, SIGTERM});
    job_runs_here = true;
    for (const auto began = now; now - began < 30s; now += 500ms)
        ASSERT_FALSE(guardian.next_turn(all_serve).is_over);
    EXPECT_GT(looks_for_the_job, 10);
    EXPECT_LT(looks_for_the_job, 40) << "once a second";
    job_runs_here = false;
    EXPECT_LE(until_over(all_serve, 10s), 1s);
}

TEST_F(GuardianTest, WithoutSuchSignalsNobodyIsLookedFor) {
    Guardian& guardian = make_serving(true);
    send({SIGTERM});
    for (const auto began = now; now - began < 1h; now += 5s)
        ASSERT_FALSE(guardian.next_turn(all_serve).is_over);
    EXPECT_EQ(looks_for_the_job, 0);
}

TEST_F(GuardianTest, OutsideAJobContAndTermMeanNothing) {
    Guardian& guardian = make_serving();
    send({SIGCONT, SIGTERM});
    for (const auto began = now; now - began < 1min; now += 1s)
        ASSERT_FALSE(guardian.next_turn(all_serve).is_over);
    EXPECT_EQ(looks_for_the_job, 0);
}

// ---- the ends of managers

TEST_F(GuardianTest, OneThatComesBackIsNoNews) {
    EXPECT_EQ(make().news_of(State::starting, State::started), News::started);
    EXPECT_EQ(make_serving().news_of(State::starting, State::started), News::reachable_again);
    EXPECT_EQ(make().news_of(State::started, State::ready), News::none);
    EXPECT_EQ(make_serving().news_of(State::started, State::ready), News::serves_again);
    EXPECT_EQ(make_serving().news_of(State::starting, State::lost), News::ended);
}

TEST_F(GuardianTest, ALossIsReportedOnceAndWhileItServes) {
    EXPECT_EQ(make().news_of(State::started, State::lost), News::none)
        << "the bring-up fails: reported as that";
    Guardian& serving = make_serving();
    EXPECT_EQ(serving.news_of(State::ready, State::lost), News::ended);
    EXPECT_EQ(serving.news_of(State::lost, State::lost), News::none);
    EXPECT_EQ(serving.news_of(State::ready, State::ended), News::none) << "in good order";
}

TEST_F(GuardianTest, ManagersThatDieEndNothing) {
    Guardian& guardian = make_serving();
    EXPECT_FALSE(guardian.next_turn({.any_runs = true, .any_serves = true}).is_over);
    EXPECT_FALSE(guardian.next_turn({}).is_over) << "the launcher says when it is over";
}

TEST_F(GuardianTest, WhatAClientDestroysIsOverWhenAllHaveEnded) {
    Guardian& guardian = make_serving();
    EXPECT_FALSE(guardian.next_turn(one_destroyed).is_over);
    EXPECT_TRUE(guardian.next_turn({.any_ended_by_client = true}).is_over);
    EXPECT_FALSE(guardian.told_to_stop()) << "that is why it says: by a client";
}

TEST_F(GuardianTest, WhatAClientLeavesHalfDestroyedIsFinished) {
    make_serving();
    EXPECT_EQ(until_over(one_destroyed, 10s), 2s);
    make_serving(true);
    EXPECT_EQ(until_over(one_destroyed, 10s), 2s);
}

// ---- stopping

TEST_F(GuardianTest, ManagersThatEndAreNotKilled) {
    Guardian& guardian = make_serving();
    guardian.begin_stop();
    EXPECT_EQ(guardian.next_stop(true), Stop::wait);
    EXPECT_EQ(guardian.next_stop(false), Stop::done);
}

TEST_F(GuardianTest, ManagersThatDoNotEndAreKilledOnce) {
    Guardian& guardian = make_serving();
    guardian.begin_stop();
    now += limits::manager_stop_grace - 1ms;
    EXPECT_EQ(guardian.next_stop(true), Stop::wait);
    now += 1ms;
    EXPECT_EQ(guardian.next_stop(true), Stop::kill);
    EXPECT_EQ(guardian.next_stop(true), Stop::wait);
    send({SIGTERM, SIGTERM, SIGTERM});
    EXPECT_EQ(guardian.next_stop(true), Stop::wait) << "more than to kill cannot be done";
    now += limits::manager_stop_grace;
    EXPECT_EQ(guardian.next_stop(true), Stop::done) << "nobody waits for ever";
}

TEST_F(GuardianTest, ManagersThatNeverServedGetLessTime) {
    Guardian& guardian = make();
    guardian.begin_stop();
    now += 1s;
    EXPECT_EQ(guardian.next_stop(true), Stop::kill);
}

TEST_F(GuardianTest, TheSecondSignalMakesItGoByForce) {
    Guardian& guardian = make_serving();
    send({SIGTERM, SIGTERM});
    guardian.begin_stop();
    EXPECT_EQ(guardian.next_stop(true), Stop::wait) << "what came while it served does not count";
    send({SIGTERM});
    EXPECT_EQ(guardian.next_stop(true), Stop::wait);
    send({SIGUSR1, SIGCONT});
    EXPECT_EQ(guardian.next_stop(true), Stop::wait) << "neither do others";
    send({SIGINT});
    EXPECT_EQ(guardian.next_stop(true), Stop::kill);
}

TEST_F(GuardianTest, AfterAFailureItStaysInTheStepForAWhile) {
    Guardian& guardian = make(true);
    guardian.begin_linger();
    EXPECT_TRUE(guardian.lingers());
    now += 5s;
    EXPECT_FALSE(guardian.lingers());
    guardian.begin_linger();
    guardian.on_lifeline_end();
    EXPECT_FALSE(guardian.lingers()) << "the launcher knows already";
    Guardian& alone = make();
    alone.begin_linger();
    EXPECT_FALSE(alone.lingers()) << "there are no others";
}

}  // namespace
}  // namespace ddict::launcher
