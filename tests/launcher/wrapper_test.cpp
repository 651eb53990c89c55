// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-launch -- command: what the user's command sees, and what it leaves behind.
#include <fstream>

#include "cluster/handle.h"
#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

using WrapperTest = LauncherTest;

TEST_F(WrapperTest, GivesTheCommandAHandleAndItsName) {
    Program handle(launch({"--quiet", "--name", "here", "--", odd_program(), "print", "DDICT_HANDLE"}),
                   environment());
    EXPECT_EQ(handle.wait(), 0) << handle.err();
    const auto parsed = Handle::parse(handle.out());
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->name, "here");
    EXPECT_EQ(parsed->managers, 1U);
    EXPECT_EQ(parsed->nodes, 1U);
    EXPECT_NE(parsed->ucx_version, 0U);
    EXPECT_EQ(parsed->seeds.size(), 1U);
    EXPECT_EQ(handle.err(), "") << "silent in a log";

    Program name(launch({"--name", "here", "--", odd_program(), "print", "DDICT_NAME"}), environment());
    EXPECT_EQ(name.wait(), 0) << name.err();
    EXPECT_EQ(name.out(), "here\n");
}

TEST_F(WrapperTest, EveryProgramSaysWhatItIs) {
    for (const std::string name : {"ddict-launch", "ddict-manager", "ddict"}) {
        Program version({program(name), "--version"}, environment());
        EXPECT_EQ(version.wait(), 0) << name;
        EXPECT_EQ(version.out().substr(0, name.size() + 1), name + " ");
        for (const std::string option : {"--help", "-h"}) {
            Program help({program(name), option}, environment());
            EXPECT_EQ(help.wait(), 0) << name;
            EXPECT_NE(help.out().find(name + " "), std::string::npos) << help.out();
            EXPECT_EQ(help.err(), "");
        }
    }
    Program alone({program("ddict-manager")}, environment());
    EXPECT_EQ(alone.wait(), 2);
}

TEST_F(WrapperTest, KeepsTheLaunchersSecretVariableFromTheCommand) {
    Program secret(launch({"--", odd_program(), "print", "DDICT_SECRET"}), environment());
    EXPECT_EQ(secret.wait(), 0) << secret.err();
    EXPECT_EQ(secret.out(), "(not set)\n");
}

TEST_F(WrapperTest, StoresAndFindsAValue) {
    const std::string ddict = program("ddict");
    Program pair(launch({"--managers-per-node", "2", "--", "/bin/sh", "-c",
                         "'" + ddict + "' put Hello Dragon && '" + ddict + "' get Hello"}),
                 environment());
    EXPECT_EQ(pair.wait(), 0) << pair.err();
    EXPECT_EQ(pair.out().substr(0, 6), "Dragon");
}

/// srun leaves DDICT_HANDLE out when it is told to export nothing, but no variable of this prefix.
TEST_F(WrapperTest, AClientFindsTheDictionaryByWhatSrunHandsOn) {
    Program pair(
        launch({"--", "/bin/sh", "-c",
                "SLURM_DDICT_HANDLE=$DDICT_HANDLE; export SLURM_DDICT_HANDLE; unset DDICT_HANDLE; '" +
                    program("ddict") + "' put Hello Dragon && DDICT_HANDLE= '" + program("ddict") +
                    "' get Hello"}),
        environment());
    EXPECT_EQ(pair.wait(), 0) << pair.err();
    EXPECT_EQ(pair.out().substr(0, 6), "Dragon");
    Program nothing({program("ddict"), "get", "Hello"}, environment());
    EXPECT_EQ(nothing.wait(), 2);
    EXPECT_NE(
        nothing.err().find("not_attached: DDICT_HANDLE is not set: there is no dictionary here, or what "
                           "started this program (sudo, ssh, a container) has not handed"),
        std::string::npos)
        << nothing.err();
}

TEST_F(WrapperTest, ReturnsTheCommandsStatus) {
    Program seven(launch({"--", odd_program(), "exit", "7"}), environment());
    EXPECT_EQ(seven.wait(), 7) << seven.err();
    Program killed(launch({"--", odd_program(), "raise", "9"}), environment());
    EXPECT_EQ(killed.wait(), 128 + SIGKILL) << killed.err();
}

TEST_F(WrapperTest, SaysThatACommandIsNotThereOrCannotRun) {
    Program missing(launch({"--", "no-such-command-anywhere"}), environment());
    EXPECT_EQ(missing.wait(), 127);
    EXPECT_EQ(missing.err(), "ddict-launch: no-such-command-anywhere: command not found\n");

    const std::string text = folder() + "/text";
    std::ofstream(text) << "not a program\n";
    Program unrunnable(launch({"--", text}), environment());
    EXPECT_EQ(unrunnable.wait(), 126);
    EXPECT_EQ(unrunnable.err(), "ddict-launch: " + text + ": Permission denied\n");

    Program a_folder(launch({"--", "/tmp"}), environment());
    EXPECT_EQ(a_folder.wait(), 126);
}

TEST_F(WrapperTest, NeedsACommandAndGoodOptions) {
    Program nothing(launch({}), environment());
    EXPECT_EQ(nothing.wait(), 2);
    EXPECT_NE(nothing.err().find("no command: write it after --"), std::string::npos) << nothing.err();

    set("DDICT_NODES", "many");
    Program many(launch({"--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(many.wait(), 2);
    EXPECT_NE(many.err().find("DDICT_NODES: 'many' is not a number"), std::string::npos) << many.err();
}

/// srun ddict-launch, and not ddict-launch srun. But one task of many may well make a dictionary for all.
TEST_F(WrapperTest, TellsThatEveryTaskOfAStepStartsADictionary) {
    set("SLURM_STEP_NUM_TASKS", "4");
    set("SLURM_PROCID", "0");
    Program first(launch({"--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(first.wait(), 0);
    EXPECT_NE(first.err().find("each of the 4 tasks of this step starts a dictionary of its own"),
              std::string::npos)
        << first.err();
    Program serving(launch({"serve"}), environment());
    EXPECT_TRUE(serving.prints("ready "));
    serving.close_stdin();
    EXPECT_EQ(serving.wait(), 0);
    EXPECT_EQ(serving.err(), "");
    set("SLURM_PROCID", "1");
    Program second(launch({"--quiet", "--", odd_program(), "exit", "0"}), environment());
    EXPECT_EQ(second.wait(), 0);
    EXPECT_EQ(second.err(), "") << "the first one has said it";
}

TEST_F(WrapperTest, PutsAllManagersOnThisMachineWithoutSlurm) {
    Program two(launch({"--quiet", "--nodes", "2", "--", odd_program(), "print", "DDICT_HANDLE"}),
                environment());
    EXPECT_EQ(two.wait(), 0) << two.err();
    EXPECT_EQ(two.err(), "ddict-launch: no Slurm job here: all 2 managers run on this machine\n");
    const auto handle = Handle::parse(two.out());
    ASSERT_TRUE(handle);
    EXPECT_EQ(handle->managers, 2U);
}

TEST_F(WrapperTest, TwoAtOnceDoNotDisturbEachOther) {
    Program first(launch({"--", odd_program(), "report-signals"}), environment());
    Program second(launch({"--", odd_program(), "report-signals"}), environment());
    ASSERT_TRUE(first.prints("running"));
    ASSERT_TRUE(second.prints("running"));
    first.signal(SIGTERM);
    EXPECT_EQ(first.wait(), SIGTERM) << first.err();
    second.signal(SIGUSR1);
    EXPECT_TRUE(second.prints("got " + std::to_string(SIGUSR1)));
    second.signal(SIGTERM);
    EXPECT_EQ(second.wait(), SIGTERM) << second.err();
}

TEST_F(WrapperTest, EndsWhenTheCommandHasDestroyedTheDictionary) {
    Program destroyer(launch({"--quiet", "--", program("ddict"), "destroy"}), environment());
    EXPECT_EQ(destroyer.wait(), 0);
    EXPECT_EQ(destroyer.err(), "");
}

TEST_F(WrapperTest, NoticesTheCommandsEndAlsoWhenStartedBySomebodyWhoIgnoresChildren) {
    std::vector<std::string> argv = launch({"--", odd_program(), "exit", "7"});
    argv.insert(argv.begin(), {odd_program(), "ignoring-children"});
    Program wrapper(argv, environment());
    EXPECT_EQ(wrapper.wait(), 7) << wrapper.err();
}

TEST_F(WrapperTest, PassesSignalsOn) {
    Program wrapper(launch({"--", odd_program(), "report-signals"}), environment());
    ASSERT_TRUE(wrapper.prints("running"));
    for (const int number : {SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
        wrapper.signal(number);
        EXPECT_TRUE(wrapper.prints("got " + std::to_string(number)));
    }
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM) << wrapper.err();
}

TEST_F(WrapperTest, CtrlCAtATerminalReachesTheCommandOnce) {
    Program wrapper(launch({"--", odd_program(), "report-signals"}), environment(), true);
    ASSERT_TRUE(wrapper.prints("running"));
    EXPECT_NE(wrapper.out().find("1 manager"), std::string::npos)
        << "progress on a terminal: " << wrapper.out();
    wrapper.type("\x03");
    ASSERT_TRUE(wrapper.prints("got 2"));
    // Had the wrapper passed it on as well, it would come before this one.
    wrapper.signal(SIGUSR1);
    ASSERT_TRUE(wrapper.prints("got " + std::to_string(SIGUSR1)));
    EXPECT_EQ(wrapper.out().find("got 2"), wrapper.out().rfind("got 2")) << wrapper.out();
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), SIGTERM);
}

}  // namespace
}  // namespace ddict::launcher::testing
