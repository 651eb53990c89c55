// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints that are persisted by themselves while the wrapper's command runs, and at its end.
#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class PersistingTest : public LauncherTest {
  protected:
    std::vector<std::string> with_freq(std::vector<std::string> options, const std::string& script) const {
        options.insert(options.begin(), {"--total-mem", "16M", "--working-set", "2", "--persist-path",
                                         steps().string(), "--persist-freq", "2"});
        options.insert(options.end(), {"--", "/bin/bash", "-c", script});
        return launch(options);
    }
    fs::path steps() const { return fs::path(folder()) / "steps"; }
    std::string tool(const std::string& words) const { return "'" + program("ddict") + "' " + words; }
    std::string put_at(int first, int last) const {
        return "'" + program("../tests/step_writer") + "' " + std::to_string(first) + " " +
               std::to_string(last) + "; ";
    }
    std::string persisted_ids() {
        Program ids({program("ddict"), "checkpoint", "ls", steps().string()}, environment());
        ids.wait();
        std::string found;
        for (int id = 0; id < 20; ++id)
            if (ids.out().find("checkpoint " + std::to_string(id) + "\n") != std::string::npos)
                found += (found.empty() ? "" : " ") + std::to_string(id);
        return found;
    }
};

/// The command begins when the process beside the managers holds checkpoints.
TEST_F(PersistingTest, TheFirstStepsAreNotMissed) {
    Program wrapper(with_freq({}, put_at(0, 3)), environment());
    EXPECT_EQ(wrapper.wait(), 0) << wrapper.err();
    EXPECT_EQ(persisted_ids(), "0 2") << wrapper.err();
    EXPECT_EQ(wrapper.err().find("persist"), std::string::npos) << wrapper.err();
}

TEST_F(PersistingTest, NorThoseOfADictionaryThatIsStarted) {
    const std::vector<std::string> start{
        "start",          "--total-mem",    "16M", "--working-set", "2", "--persist-path",
        steps().string(), "--persist-freq", "2",   "--export"};
    const std::string script = "eval \"$('" + program("ddict-launch") + "' \"$@\")\" && " + put_at(0, 3) +
                               "until " + tool("persist --status") +
                               " | grep -q '^persisted  *1$'; do sleep 0.1; done; '" +
                               program("ddict-launch") + "' stop";
    std::vector<std::string> shell{"/bin/bash", "-c", script, "bash"};
    shell.insert(shell.end(), start.begin(), start.end());
    Program run(shell, environment());
    EXPECT_EQ(run.wait(), 0) << run.err();
    EXPECT_EQ(persisted_ids(), "0") << run.err();
}

/// Programs whose process beside the managers runs, and never comes to hold anything.
class HeldUpPersistingTest : public PersistingTest {
  protected:
    void SetUp() override {
        PersistingTest::SetUp();
        const fs::path bin = fs::path(folder()) / "bin";
        fs::create_directories(bin);
        fs::copy_file(program("ddict-launch"), bin / "ddict-launch");
        std::ofstream(bin / "ddict") << "#!/bin/bash\ntouch \"${0%/*}/runs\"\nexec cat >/dev/null\n";
        fs::permissions(bin / "ddict", fs::perms::owner_all);
        set("DDICT_MANAGER_PROGRAM", program("ddict-manager"));
        launch_ = (bin / "ddict-launch").string();
    }
    std::vector<std::string> with_held_up(const std::string& script) const {
        std::vector<std::string> words = with_freq({}, script);
        words[0] = launch_;
        return words;
    }

  private:
    std::string launch_;
};

TEST_F(HeldUpPersistingTest, TheCommandStartsAllTheSameAndAWarningIsGiven) {
    Program wrapper(with_held_up("echo started"), environment());
    EXPECT_TRUE(wrapper.complains("does not hold checkpoints after 5 s"));
    EXPECT_TRUE(wrapper.prints("started"));
    EXPECT_EQ(wrapper.wait(), 0) << wrapper.err();
}

TEST_F(HeldUpPersistingTest, ASignalEndsTheWait) {
    Program wrapper(with_held_up("echo started"), environment());
    ASSERT_TRUE(wrapper.makes((fs::path(folder()) / "bin/runs").string()));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), 128 + SIGTERM) << wrapper.err();
    EXPECT_EQ(wrapper.out(), "");
}

/// The one that is due when the command ends is whole then.
TEST_F(PersistingTest, TheLastStepIsThereIfTheCommandHasSucceeded) {
    Program wrapper(with_freq({}, "until " + tool("persist --status") + " >/dev/null; do sleep 0.1; done; " +
                                      put_at(0, 2)),
                    environment());
    EXPECT_EQ(wrapper.wait(), 0) << wrapper.err();
    EXPECT_EQ(persisted_ids(), "0 2") << wrapper.err();
}

TEST_F(PersistingTest, AndIsNotIfItHasFailed) {
    Program wrapper(with_freq({}, "until " + tool("persist --status") + " >/dev/null; do sleep 0.1; done; " +
                                      put_at(0, 2) + "until " + tool("persist --status") +
                                      " | grep -q '^persisted  *1$'; do sleep 0.1; done; exit 3"),
                    environment());
    EXPECT_EQ(wrapper.wait(), 3) << wrapper.err();
    EXPECT_EQ(persisted_ids(), "0") << wrapper.err();
}

TEST_F(PersistingTest, WhatIsMissedIsOnStandardError) {
    const std::string in_the_way =
        "rm -r '" + (steps() / "default").string() + "'; touch '" + (steps() / "default").string() + "'; ";
    Program wrapper(with_freq({}, "until " + tool("persist --status") + " >/dev/null; do sleep 0.1; done; " +
                                      in_the_way + put_at(0, 2) + "until " + tool("persist --status") +
                                      " | grep -q '^failed  *1$'; do sleep 0.1; done; " +
                                      tool("persist --status") + "; echo status $?"),
                    environment());
    EXPECT_TRUE(wrapper.prints("status 1"));
    EXPECT_NE(wrapper.out().find("every           2"), std::string::npos) << wrapper.out();
    EXPECT_TRUE(wrapper.complains("checkpoint 0 is not persisted"));
    EXPECT_EQ(wrapper.wait(), 0) << "it stops nobody";
}

TEST_F(PersistingTest, AProcessThatIsKilledIsStartedAgain) {
    Program wrapper(with_freq({}, "until " + tool("persist --status") + " >/dev/null; do sleep 0.1; done; " +
                                      "kill -9 $(pgrep -P $PPID -x ddict); " + put_at(0, 0) + "sleep 1.5; " +
                                      put_at(1, 2) + "exit 0"),
                    environment());
    EXPECT_EQ(wrapper.wait(), 0) << wrapper.err();
    EXPECT_NE(wrapper.err().find("started again"), std::string::npos) << wrapper.err();
    EXPECT_EQ(persisted_ids(), "0 2") << wrapper.err();
}

TEST_F(PersistingTest, OptionsThatDoNotGoTogetherAreRefused) {
    Program without(launch({"--persist-freq", "2", "--", "/bin/true"}), environment());
    EXPECT_EQ(without.wait(), 2);
    EXPECT_NE(without.err().find("--persist-path"), std::string::npos) << without.err();
    Program reads(with_freq({"--read-only", "--restore-from", "0"}, "true"), environment());
    EXPECT_EQ(reads.wait(), 2);
    EXPECT_NE(reads.err().find("--read-only"), std::string::npos) << reads.err();
    Program nothing(with_freq({"--persist-freq", "0"}, "true"), environment());
    EXPECT_EQ(nothing.wait(), 2);
}

}  // namespace
}  // namespace ddict::launcher::testing
