// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What goes wrong while a dictionary comes up or runs, and who is killed then.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

class FaultTest : public LauncherTest {
  protected:
    /// ddict-launch with managers that go wrong.
    void use_odd_manager(const std::string& how) {
        set("DDICT_MANAGER_PROGRAM", odd_program());
        set("ODD_MANAGER", how);
    }
    pid_t only_process(const std::string& argument) {
        const std::vector<pid_t> found = processes(argument);
        EXPECT_EQ(found.size(), 1U) << argument;
        return found.empty() ? -1 : found[0];
    }
    /// Until the wrapper has said so often that a manager is back.
    ::testing::AssertionResult tells_of_returns(Program& program, int returns) {
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        for (;;) {
            int told = 0;
            for (std::size_t at = program.err().find("; back after "); at != std::string::npos;
                 at = program.err().find("; back after ", at + 1))
                ++told;
            if (told >= returns) return ::testing::AssertionSuccess();
            if (std::chrono::steady_clock::now() > deadline)
                return ::testing::AssertionFailure() << "it has not come back: " << program.err();
            // Reads what there is to read.
            static_cast<void>(program.complains("never said", milliseconds(10)));
        }
    }
    /// Until as many processes as that have the argument.
    ::testing::AssertionResult appear(Program& program, const std::string& argument, std::size_t count) {
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        while (processes(argument).size() < count) {
            if (std::chrono::steady_clock::now() > deadline)
                return ::testing::AssertionFailure()
                       << "no " << count << " of " << argument << ": " << program.err();
            sched_yield();
        }
        return ::testing::AssertionSuccess();
    }
};

TEST_F(FaultTest, MoreMemoryThanThereIs) {
    Program greedy(launch({"--total-mem", "900T", "--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(greedy.wait(), 1);
    EXPECT_NE(greedy.err().find("its pool needs 900T, /dev/shm has "), std::string::npos) << greedy.err();
    EXPECT_NE(greedy.err().find("lower --total-mem"), std::string::npos) << greedy.err();
}

TEST_F(FaultTest, LessMemoryThanAManagerNeeds) {
    Program modest(launch({"--total-mem", "1M", "--nodes", "2", "--", odd_program(), "exit", "0"}),
                   environment());
    EXPECT_EQ(modest.wait(), 2) << "the options do not fit";
    EXPECT_NE(modest.err().find("ask for 2M or more"), std::string::npos) << modest.err();
}

TEST_F(FaultTest, AManagerThatEndsAtOnce) {
    set("DDICT_MANAGER_PROGRAM", "/bin/false");
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(wrapper.wait(), 1);
    EXPECT_NE(wrapper.err().find("manager 0 did not start: ended with status 1"), std::string::npos)
        << wrapper.err();
}

TEST_F(FaultTest, AManagerThatSaysWhyItCannotStart) {
    use_odd_manager("fails");
    Program wrapper(launch({"--managers-per-node", "3", "--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(wrapper.wait(), 1);
    EXPECT_NE(wrapper.err().find("did not start: out of sealing wax: order more\n"), std::string::npos)
        << wrapper.err();
    EXPECT_EQ(std::count(wrapper.err().begin(), wrapper.err().end(), '\n'), 1) << wrapper.err();
}

TEST_F(FaultTest, AManagerThatTalksNonsense) {
    use_odd_manager("talks nonsense");
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(wrapper.wait(), 1);
    EXPECT_NE(wrapper.err().find("makes no sense"), std::string::npos) << wrapper.err();
}

TEST_F(FaultTest, AManagerThatSaysAtLengthWhy) {
    use_odd_manager("fails at length");
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(wrapper.wait(), 1);
    EXPECT_NE(wrapper.err().find(std::string(500, 'l') + " end\n"), std::string::npos) << wrapper.err();
}

TEST_F(FaultTest, NoManagerProgram) {
    set("DDICT_MANAGER_PROGRAM", "/no/such/manager");
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(wrapper.wait(), 1);
    EXPECT_NE(wrapper.err().find("cannot run /no/such/manager: No such file or directory"), std::string::npos)
        << wrapper.err();
}

TEST_F(FaultTest, AManagerThatDoesNotComeUpInTime) {
    use_odd_manager("silent");
    Program wrapper(launch({"--timeout", "1", "--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(wrapper.wait(), 1);
    EXPECT_NE(wrapper.err().find("not ready within 1 s: 1 of 1 node, 0 of 1 manager came up, manager 0 on "),
              std::string::npos)
        << wrapper.err();
}

TEST_F(FaultTest, SignalsDuringBringUpCancelIt) {
    use_odd_manager("silent");
    for (const int number : {SIGINT, SIGTERM}) {
        Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
        ASSERT_TRUE(appear(wrapper, "--control-fd", 1));
        wrapper.signal(number);
        EXPECT_EQ(wrapper.wait(), 128 + number) << wrapper.err();
        EXPECT_TRUE(nothing_runs(seconds(1)));
    }
}

TEST_F(FaultTest, ASecondSignalDuringBringUpForces) {
    use_odd_manager("silent");  // and deaf: the first signal leaves it its grace
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    ASSERT_TRUE(appear(wrapper, "--control-fd", 1));
    const auto began = std::chrono::steady_clock::now();
    wrapper.signal(SIGINT);
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), 128 + SIGINT) << wrapper.err();
    EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(900))
        << "without force it takes a second";
}

TEST_F(FaultTest, CtrlCAtATerminalDuringBringUp) {
    use_odd_manager("silent");
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment(), true);
    ASSERT_TRUE(wrapper.prints("0 of 1 manager"));
    wrapper.type("\x03");
    EXPECT_EQ(wrapper.wait(), 128 + SIGINT);
}

TEST_F(FaultTest, TheWrapperIsKilled) {
    Program wrapper(launch({"--managers-per-node", "2", "--", odd_program(), "report-signals"}),
                    environment());
    ASSERT_TRUE(wrapper.prints("running"));
    EXPECT_EQ(processes("--control-fd").size(), 2U);
    wrapper.signal(SIGKILL);
    EXPECT_EQ(wrapper.wait(), 128 + SIGKILL);
    EXPECT_TRUE(nothing_runs(seconds(2)));
}

TEST_F(FaultTest, TheWrapperIsKilledDuringBringUp) {
    use_odd_manager("silent");
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    ASSERT_TRUE(appear(wrapper, "--control-fd", 1));
    wrapper.signal(SIGKILL);
    EXPECT_EQ(wrapper.wait(), 128 + SIGKILL);
}

TEST_F(FaultTest, TheNodeLauncherIsKilled) {
    Program wrapper(launch({"--managers-per-node", "2", "--", odd_program(), "report-signals"}),
                    environment());
    ASSERT_TRUE(wrapper.prints("running"));
    kill(only_process("--node"), SIGKILL);
    EXPECT_TRUE(
        wrapper.complains("the node launcher was killed by signal 9 (Killed): the dictionary is gone"));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << "the command's own status";
}

TEST_F(FaultTest, TheNodeLauncherIsKilledDuringBringUp) {
    use_odd_manager("silent");
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    ASSERT_TRUE(appear(wrapper, "--control-fd", 1));
    kill(only_process("--node"), SIGKILL);
    EXPECT_EQ(wrapper.wait(), 1);
    EXPECT_NE(wrapper.err().find("the node launcher was killed by signal 9"), std::string::npos)
        << wrapper.err();
}

TEST_F(FaultTest, AManagerIsKilledAndNotToComeBack) {
    set("DDICT_NO_RESTART", "1");
    Program wrapper(launch({"--quiet", "--managers-per-node", "2", "--", odd_program(), "report-signals"}),
                    environment());
    ASSERT_TRUE(wrapper.prints("running"));
    const std::vector<pid_t> managers = processes("--control-fd");
    ASSERT_EQ(managers.size(), 2U);
    kill(managers[0], SIGKILL);
    EXPECT_TRUE(
        wrapper.complains("was killed by signal 9 (Killed): its keys are lost (manager_lost)", seconds(2)));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << "the command's own status";
    EXPECT_EQ(std::count(wrapper.err().begin(), wrapper.err().end(), '\n'), 1) << wrapper.err();
}

TEST_F(FaultTest, AManagerThatIsKilledComesBack) {
    Program wrapper(launch({"--quiet", "--managers-per-node", "2", "--", odd_program(), "report-signals"}),
                    environment());
    ASSERT_TRUE(wrapper.prints("running"));
    const std::vector<pid_t> managers = processes("--control-fd");
    ASSERT_EQ(managers.size(), 2U);
    kill(managers[0], SIGKILL);
    EXPECT_TRUE(wrapper.complains("was killed by signal 9 (Killed); back after ", seconds(10)));
    EXPECT_NE(wrapper.err().find(" ms, with 0 pairs\n"), std::string::npos) << wrapper.err();
    EXPECT_TRUE(appear(wrapper, "--control-fd", 2));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << "the command's own status";
    EXPECT_EQ(std::count(wrapper.err().begin(), wrapper.err().end(), '\n'), 1) << wrapper.err();
}

TEST_F(FaultTest, ALossMayFailACommandThatHasSucceeded) {
    for (const bool fails : {false, true}) {
        std::vector<std::string> args{"--managers-per-node",  "2", "--no-restart", "--", "sh", "-c",
                                      "echo running; sleep 1"};
        if (fails) args.insert(args.begin(), "--fail-on-loss");
        Program wrapper(launch(args), environment());
        ASSERT_TRUE(wrapper.prints("running"));
        kill(processes("--control-fd")[0], SIGKILL);
        EXPECT_TRUE(wrapper.complains("its keys are lost", seconds(2)));
        EXPECT_EQ(wrapper.wait(), fails ? 3 : 0) << wrapper.err();
    }
}

/// Each of those that have taken its place dies as well.
TEST_F(FaultTest, AManagerThatDiesAgainAndAgainIsGivenUp) {
    Program wrapper(launch({"--managers-per-node", "2", "--", odd_program(), "report-signals"}),
                    environment());
    ASSERT_TRUE(wrapper.prints("running"));
    const std::vector<pid_t> at_first = processes("--control-fd");
    ASSERT_EQ(at_first.size(), 2U);
    for (int kills = 1; kills <= 3; ++kills) {
        for (const pid_t manager : processes("--control-fd"))
            if (manager != at_first[1]) kill(manager, SIGKILL);
        if (kills < 3) {
            ASSERT_TRUE(tells_of_returns(wrapper, kills));
        }
    }
    EXPECT_TRUE(wrapper.complains("its keys are lost"));
    EXPECT_NE(
        wrapper.err().find("was killed by signal 9 (Killed); that was 3 times within 10 s, and it is not "
                           "started again: its keys are lost (manager_lost); those of the other managers "
                           "are not affected"),
        std::string::npos)
        << wrapper.err();
    EXPECT_EQ(processes("--control-fd"), std::vector<pid_t>{at_first[1]});
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << "the command's own status";
}

/// Those that are to take its place end before they serve: others follow, later each time.
class SlowReturnTest : public FaultTest {
  protected:
    void SetUp() override {
        FaultTest::SetUp();
        const std::string script = folder() + "/manager.sh";
        std::ofstream(script) << "#!/bin/sh\n"
                                 "for mark in '"
                              << folder()
                              << "'/fail-*; do\n"
                                 "  [ -e \"$mark\" ] && rm \"$mark\" && exit 3\n"
                                 "done\n"
                                 "exec '"
                              << program("ddict-manager") << "' \"$@\"\n";
        chmod(script.c_str(), 0700);
        set("DDICT_MANAGER_PROGRAM", script);
    }
    /// So many processes end with status 3.
    void let_fail(int count) const {
        for (int i = 0; i < count; ++i)
            std::ofstream(folder() + "/fail-" + std::to_string(i)) << "fail";
    }
};

TEST_F(SlowReturnTest, AndHealthSaysSo) {
    Program wrapper(launch({"--managers-per-node", "2", "--", "sh", "-c",
                            "echo $DDICT_HANDLE; trap 'exit 0' TERM; while :; do sleep 0.1; done"}),
                    environment());
    ASSERT_TRUE(wrapper.prints("\n"));
    set("DDICT_HANDLE", wrapper.out().substr(0, wrapper.out().find('\n')));
    const auto ddict = [this](const std::vector<std::string>& args) {
        std::vector<std::string> argv{program("ddict")};
        argv.insert(argv.end(), args.begin(), args.end());
        Program run(argv, environment());
        const int status = run.wait();
        return std::pair(status, run.out() + run.err());
    };
    ASSERT_EQ(ddict({"put", "Hello", "Dragon"}).first, 0);
    let_fail(4);
    const std::vector<pid_t> managers = processes("--control-fd");
    ASSERT_EQ(managers.size(), 2U);
    kill(managers[1], SIGKILL);
    // By the other one it can be attached to. It is 1.5 s until this one serves.
    const auto [status, health] = ddict({"--timeout", "0.3", "health"});
    EXPECT_EQ(status, 5) << health;
    EXPECT_NE(health.find("; another process is being started in its place"), std::string::npos) << health;
    EXPECT_EQ(ddict({"size"}), std::pair(0, std::string("1\n"))) << "this waits for it";
    EXPECT_TRUE(tells_of_returns(wrapper, 1));
    EXPECT_NE(ddict({"health"}).second.find(" us, restarted 1x\n"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(folder() + "/fail-3")) << "all four have failed";
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), 0) << wrapper.err();
}

TEST_F(SlowReturnTest, UntilItIsGivenUp) {
    Program wrapper(launch({"--", odd_program(), "report-signals"}), environment());
    ASSERT_TRUE(wrapper.prints("running"));
    let_fail(100);
    kill(only_process("--control-fd"), SIGKILL);
    EXPECT_TRUE(
        wrapper.complains("was killed by signal 9 (Killed); 7 attempts to start it again failed: ended "
                          "with status 3: its keys are lost (manager_lost)"));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << "the command's own status";
}

TEST_F(FaultTest, WhatAKilledNodeLeftIsSweptByTheNextStart) {
    use_odd_manager("silent");
    Program wrapper(launch({"--", odd_program(), "exit", "0"}), environment());
    ASSERT_TRUE(appear(wrapper, "--control-fd", 1));
    const pid_t node = only_process("--node");
    const pid_t manager = only_process("--control-fd");
    wrapper.signal(SIGSTOP);  // or it would sweep itself
    kill(node, SIGKILL);
    kill(manager, SIGKILL);
    wrapper.signal(SIGKILL);
    EXPECT_EQ(wrapper.wait(), 128 + SIGKILL);
    EXPECT_TRUE(nothing_runs());
    EXPECT_FALSE(nothing_in_shared_memory());

    set("DDICT_MANAGER_PROGRAM", "");
    Program next(launch({"--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(next.wait(), 0) << next.err();
}

}  // namespace
}  // namespace ddict::launcher::testing
