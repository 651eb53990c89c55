// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Saves while the wrapper's command runs, and at its end.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "launcher/job_clock.h"
#include "tests/launcher/process_runner.h"
#include "tests/os/held_program.h"

namespace ddict::launcher::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class SavesTest : public LauncherTest {
  protected:
    void SetUp() override {
        LauncherTest::SetUp();
        saves_ = fs::path(folder()) / "saves";
    }
    /// The folders of checkpoints that are complete.
    std::vector<std::string> complete() const {
        std::vector<std::string> names;
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(saves_ / "default", error)) {
            if (fs::exists(entry.path() / "commit")) names.push_back(entry.path().filename());
        }
        std::sort(names.begin(), names.end());
        return names;
    }
    std::vector<std::string> with_saves(std::vector<std::string> options, const std::string& script) const {
        options.insert(options.begin(), {"--total-mem", "16M", "--save", saves_.string()});
        options.insert(options.end(), {"--", "/bin/bash", "-c", script});
        return launch(options);
    }
    /// A save that begins waits until the lock is released, for 10 s at the most.
    os::FileDescriptor hold_saves() const {
        fs::create_directories(saves_ / "default");
        os::FileDescriptor lock(open((saves_ / "default/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
        EXPECT_EQ(flock(lock.fd(), LOCK_EX | LOCK_NB), 0);
        return lock;
    }
    std::string tool(const std::string& words) const { return "'" + program("ddict") + "' " + words; }

    fs::path saves_;
};

using Names = std::vector<std::string>;

/// The command tells what comes, and ends by TERM.
constexpr const char* reports =
    "trap 'echo USR2 came' USR2; trap 'echo TERM came; exit 3' TERM; echo ready; while :; do sleep 0.02; "
    "done";

TEST_F(SavesTest, ASignalSavesAndReachesTheCommand) {
    Program wrapper(with_saves({"--save-on", "USR2,TERM"}, reports), environment());
    ASSERT_TRUE(wrapper.prints("ready"));
    wrapper.signal(SIGUSR2);
    EXPECT_TRUE(wrapper.prints("USR2 came"));
    EXPECT_TRUE(wrapper.complains("default/000001: 0 pairs"));
    EXPECT_EQ(complete(), Names{"000001"});
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), 3) << wrapper.err();
    EXPECT_NE(wrapper.out().find("TERM came"), std::string::npos);
    // Once for the signal, unless the command has ended before that began, and once for the end.
    EXPECT_GE(complete().size(), 2u) << wrapper.err();
    EXPECT_LE(complete().size(), 3u);
}

TEST_F(SavesTest, AnotherSignalDoesNotSave) {
    Program wrapper(with_saves({"--save-on", "USR1"}, reports), environment());
    ASSERT_TRUE(wrapper.prints("ready"));
    wrapper.signal(SIGUSR2);
    EXPECT_TRUE(wrapper.prints("USR2 came"));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), 3) << wrapper.err();
    EXPECT_EQ(complete(), Names{"000001"}) << "that of the end";
}

TEST_F(SavesTest, TwoAreNotMadeAtOnce) {
    os::FileDescriptor lock = hold_saves();
    Program wrapper(with_saves({"--save-on", "USR2,USR1"}, reports), environment());
    ASSERT_TRUE(wrapper.prints("ready"));
    for (int i = 0; i < 5; ++i) {
        wrapper.signal(SIGUSR2);
        ASSERT_TRUE(wrapper.prints("USR2 came"));
        EXPECT_LE(processes("--until-input-ends").size(), 1u);
    }
    lock.reset();
    EXPECT_TRUE(wrapper.complains("/000002"));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), 3) << wrapper.err();
    EXPECT_EQ(complete(), (Names{"000001", "000002", "000003"}))
        << "the first, one for those that came meanwhile, one at the end";
}

TEST_F(SavesTest, TheEndWaitsForTheOneThatIsUnderWay) {
    os::FileDescriptor lock = hold_saves();
    Program wrapper(with_saves({"--save-on", "USR2"}, reports), environment());
    ASSERT_TRUE(wrapper.prints("ready"));
    wrapper.signal(SIGUSR2);
    ASSERT_TRUE(wrapper.prints("USR2 came"));
    wrapper.signal(SIGTERM);
    EXPECT_TRUE(wrapper.prints("TERM came"));
    wrapper.signal(SIGTERM);
    lock.reset();
    EXPECT_EQ(wrapper.wait(), 3) << wrapper.err();
    EXPECT_EQ(complete(), (Names{"000001", "000002"})) << wrapper.err();
}

TEST_F(SavesTest, TheSecondSignalAtTheEndGivesItUp) {
    os::FileDescriptor lock = hold_saves();
    Program wrapper(with_saves({}, "exit 0"), environment());
    const auto saves = [&] { return !processes("--until-input-ends").empty(); };
    for (const auto deadline = std::chrono::steady_clock::now() + test_timeout;
         !saves() && std::chrono::steady_clock::now() < deadline;)
        poll(nullptr, 0, 10);
    ASSERT_TRUE(saves());
    wrapper.signal(SIGTERM);
    wrapper.signal(SIGTERM);
    ASSERT_TRUE(wrapper.complains("before it ends; one more signal gives that up"));
    poll(nullptr, 0, 1100);
    ASSERT_TRUE(saves()) << "two at once are one: Slurm's, and the batch script's";
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), 1) << wrapper.err();
    EXPECT_NE(wrapper.err().find("it is not known whether it has been saved (the end of the command)"),
              std::string::npos)
        << wrapper.err();
    EXPECT_EQ(complete(), Names{});
}

/// The save is alone with the file system; the command does not notice.
TEST_F(SavesTest, OneThatFailsIsToldAndTheCommandGoesOn) {
    Program wrapper(with_saves({"--save-on", "USR2"}, reports), environment());
    ASSERT_TRUE(wrapper.prints("ready"));
    fs::rename(saves_ / "default", saves_ / "aside");
    std::ofstream(saves_ / "default") << "in the way of the folder\n";
    wrapper.signal(SIGUSR2);
    EXPECT_TRUE(wrapper.complains("nothing has been saved (signal USR2): ddict save ended with status"));
    EXPECT_TRUE(wrapper.complains("the command goes on"));
    EXPECT_NE(wrapper.err().find("default"), std::string::npos) << "what failed, of which path";
    fs::remove(saves_ / "default");
    fs::rename(saves_ / "aside", saves_ / "default");
    wrapper.signal(SIGUSR2);
    EXPECT_TRUE(wrapper.complains("saved "));
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(), 3) << wrapper.err();
}

/// As Slurm does it at the end of a job: every process gets it.
TEST_F(SavesTest, OneThatIsUnderWayOutlivesTheSignalThatAllGet) {
    os::FileDescriptor lock = hold_saves();
    Program wrapper(with_saves({"--save-on", "TERM"}, reports), environment());
    ASSERT_TRUE(wrapper.prints("ready"));
    wrapper.signal(SIGTERM);
    EXPECT_TRUE(wrapper.prints("TERM came"));
    std::vector<pid_t> saving;
    for (const auto deadline = std::chrono::steady_clock::now() + test_timeout;
         saving.empty() && std::chrono::steady_clock::now() < deadline; poll(nullptr, 0, 10))
        saving = processes("--until-input-ends");
    ASSERT_EQ(saving.size(), 1u);
    for (const int number : {SIGTERM, SIGCONT, SIGINT, SIGUSR1, SIGHUP})
        kill(saving[0], number);
    lock.reset();
    EXPECT_EQ(wrapper.wait(), 3) << wrapper.err();
    EXPECT_GE(complete().size(), 1u) << wrapper.err();
}

/// The command is on a file system that does not answer: the wrapper is not held up by it.
TEST_F(SavesTest, ACommandThatIsNotExecutedYetGetsItsSignal) {
    os::testing::HeldProgram command("/bin/true", folder() + "/command");
    ASSERT_TRUE(command.is_held());
    Program wrapper(launch({"--total-mem", "16M", "--save", saves_.string(), "--", command.path()}),
                    environment());
    const auto deadline = std::chrono::steady_clock::now() + test_timeout;
    // The wrapper and the command, which is not executed yet.
    const auto has_started = [&] {
        return !processes("--control-fd").empty() && processes(command.path()).size() == 2;
    };
    while (!has_started() && std::chrono::steady_clock::now() < deadline)
        poll(nullptr, 0, 10);
    ASSERT_TRUE(has_started());
    wrapper.signal(SIGTERM);
    EXPECT_EQ(wrapper.wait(20s), 128 + SIGTERM) << wrapper.err();
    EXPECT_EQ(complete(), Names{"000001"}) << "what there was is saved all the same";
}

/// Each would load, and remove, what the other has saved.
TEST_F(SavesTest, OneFolderAndNameIsOfOneAtATime) {
    Program first(with_saves({}, reports), environment());
    ASSERT_TRUE(first.prints("ready"));
    Program second(with_saves({}, "echo never"), environment());
    EXPECT_EQ(second.wait(), 1);
    EXPECT_EQ(second.out(), "");
    EXPECT_NE(second.err().find("process " + std::to_string(first.pid()) + ") saves to the same folder"),
              std::string::npos)
        << second.err();
    Program other(with_saves({"--name", "other"}, "echo runs"), environment());
    EXPECT_EQ(other.wait(), 0) << other.err();
    first.signal(SIGKILL);
    EXPECT_EQ(first.wait(), 128 + SIGKILL);
    ASSERT_TRUE(nothing_runs());
    Program third(with_saves({"--load", "latest"}, "echo runs"), environment());
    EXPECT_EQ(third.wait(), 0) << third.err();
    EXPECT_EQ(third.out(), "runs\n");
}

/// A log on a full disk: what is saved, and loaded, is so whether or not the line about it can be written.
TEST_F(SavesTest, WhatIsDoneCountsWhetherOrNotItCanBeSaid) {
    const auto on_full = [&](const std::vector<std::string>& options, const std::string& script) {
        std::vector<std::string> argv{"/bin/bash", "-c", "exec \"$0\" \"$@\" 2>/dev/full"};
        const std::vector<std::string> wrapper = with_saves(options, script);
        argv.insert(argv.end(), wrapper.begin(), wrapper.end());
        return argv;
    };
    Program first(on_full({}, tool("incr n")), environment());
    EXPECT_EQ(first.wait(), 0);
    EXPECT_EQ(complete(), Names{"000001"});
    Program second(on_full({"--load", "latest"}, tool("incr n")), environment());
    EXPECT_EQ(second.wait(), 0);
    EXPECT_EQ(second.out(), "2\n");
    EXPECT_EQ(complete(), (Names{"000001", "000002"}));
}

TEST_F(SavesTest, LoadsTheNewestAndKeepsAsManyAsAreWanted) {
    Program first(with_saves({"--load", "latest", "--save-keep", "2"}, tool("put a 1")), environment());
    EXPECT_EQ(first.wait(), 0) << first.err();
    EXPECT_NE(first.err().find("nothing has been saved yet to " + (saves_ / "default").string()),
              std::string::npos)
        << first.err();
    for (const char* const count : {"1", "2", "3"}) {
        Program next(with_saves({"--load", "latest", "--save-keep", "2"}, tool("incr n")), environment());
        EXPECT_EQ(next.wait(), 0) << next.err();
        EXPECT_EQ(next.out(), std::string(count) + "\n");
    }
    EXPECT_EQ(complete(), (Names{"000003", "000004"}));
}

/// By the option, and by its variable.
TEST_F(SavesTest, CompressesWhatGetsSmaller) {
    const std::string put = "head -c 1000000 /dev/zero | tr '\\0' z | " + tool("put zeros -");
    const auto bytes_of_newest = [&](const char* generation) {
        return fs::file_size(saves_ / "default" / generation / "manager-000000.ddict");
    };
    Program plain(with_saves({}, put), environment());
    EXPECT_EQ(plain.wait(), 0) << plain.err();
    EXPECT_GT(bytes_of_newest("000001"), 1'000'000u);
    Program by_option(with_saves({"--load", "latest", "--compress"}, tool("size")), environment());
    EXPECT_EQ(by_option.wait(), 0) << by_option.err();
    EXPECT_LT(bytes_of_newest("000002"), 100'000u);
    os::Environment with_variable = environment();
    with_variable["DDICT_COMPRESS"] = "1";
    Program by_variable(with_saves({"--load", "latest"}, tool("get zeros | wc -c")), with_variable);
    EXPECT_EQ(by_variable.wait(), 0) << by_variable.err();
    EXPECT_EQ(by_variable.out(), "1000000\n");
    EXPECT_LT(bytes_of_newest("000003"), 100'000u);
}

TEST_F(SavesTest, ABrokenNewestIsToldAndTheOneBeforeIsLoaded) {
    for (int i = 0; i < 3; ++i) {
        Program next(with_saves({"--load", "latest"}, tool("incr n")), environment());
        EXPECT_EQ(next.wait(), 0) << next.err();
    }
    fs::resize_file(saves_ / "default/000003/manager-000000.ddict", 100);
    fs::resize_file(saves_ / "default/000002/commit", 10);
    Program on(with_saves({"--load", "latest"}, tool("get n")), environment());
    EXPECT_EQ(on.wait(), 0) << on.err();
    EXPECT_EQ(on.out(), "1");
    for (const char* const broken : {"passes over ", "default/000003: ", "default/000002: "})
        EXPECT_NE(on.err().find(broken), std::string::npos) << on.err();
    // Nothing is known of what there was: to begin empty would lose it in silence.
    for (const char* const whole : {"000001", "000004"})
        fs::remove(saves_ / "default" / whole / "manager-000000.ddict");
    Program none(with_saves({"--load", "latest"}, "echo never"), environment());
    EXPECT_EQ(none.wait(), 1) << none.err();
    EXPECT_EQ(none.out(), "");
}

TEST_F(SavesTest, WhereNothingCanBeSavedTheCommandDoesNotBegin) {
    Program wrapper(launch({"--save", folder() + "/no/such", "--", "/bin/echo", "never"}), environment());
    EXPECT_EQ(wrapper.wait(), 1);
    EXPECT_EQ(wrapper.out(), "");
    EXPECT_NE(wrapper.err().find("cannot save to " + folder() + "/no/such: No such file"), std::string::npos)
        << wrapper.err();
}

/// A squeue that says what a file holds.
class JobClockTest : public LauncherTest {
  protected:
    void SetUp() override {
        LauncherTest::SetUp();
        set("PATH", folder() + ":/usr/bin:/bin");
        set("SLURM_JOB_ID", "7");
        std::ofstream(folder() + "/squeue")
            << "#!/bin/sh\necho x >>" + folder() + "/asked\nexec cat " + folder() + "/answer\n";
        chmod((folder() + "/squeue").c_str(), 0755);
        answer("7 10:00");
    }
    void answer(const std::string& text) const { std::ofstream(folder() + "/answer") << text << "\n"; }
    std::size_t questions() const {
        std::ifstream file(folder() + "/asked");
        return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, 'x'));
    }
    /// Lets it ask if it wants to, and take in the answer.
    static void ask(JobClock& clock, JobClock::Clock::time_point now) {
        clock.advance(now);
        for (int i = 0; clock.fd() >= 0 && i < 100; ++i) {
            pollfd ended{clock.fd(), POLLIN, 0};
            poll(&ended, 1, 100);
            clock.advance(now);
        }
    }
    const JobClock::Clock::time_point start_ = JobClock::Clock::now();
};

TEST_F(JobClockTest, IsDueOnceBeforeTheEnd) {
    JobClock clock(environment(), 60s);
    ask(clock, start_);
    EXPECT_EQ(questions(), 1u);
    EXPECT_FALSE(clock.take_due(start_));
    EXPECT_LE(clock.wait(start_), 540s / 2);
    ask(clock, start_ + 100s);
    EXPECT_EQ(questions(), 1u) << "half of the time has not passed";
    EXPECT_FALSE(clock.take_due(start_ + 539s));
    EXPECT_TRUE(clock.take_due(start_ + 540s));
    EXPECT_FALSE(clock.take_due(start_ + 541s));
}

TEST_F(JobClockTest, LearnsThatTheLimitHasChanged) {
    JobClock clock(environment(), 60s);
    ask(clock, start_);
    answer("6 1:00\n7 1-00:00:00\n8 2:00");
    ask(clock, start_ + 270s);
    EXPECT_EQ(questions(), 2u);
    EXPECT_FALSE(clock.take_due(start_ + 24h - 60s + 269s));
    EXPECT_TRUE(clock.take_due(start_ + 24h - 60s + 270s));
    // Given more time at the last moment, it is due again.
    answer("7 5:00");
    const auto end = start_ + 24h + 271s;
    ask(clock, end);
    EXPECT_FALSE(clock.take_due(end + 239s));
    EXPECT_TRUE(clock.take_due(end + 240s));
}

/// Of an array with many tasks: more than a page, and more than fits into a pipe.
TEST_F(JobClockTest, ALongAnswerIsReadWhole) {
    for (const int others : {400, 20'000}) {
        std::string text;
        for (int i = 0; i < others; ++i)
            text += std::to_string(1000 + i) + " 1-00:00:00\n";
        answer(text + "7 10:00");
        JobClock clock(environment(), 60s);
        ask(clock, start_);
        EXPECT_FALSE(clock.take_due(start_ + 539s)) << others;
        EXPECT_TRUE(clock.take_due(start_ + 540s)) << others;
    }
}

TEST_F(JobClockTest, AJobWithoutLimitIsNeverDue) {
    answer("7 UNLIMITED");
    JobClock clock(environment(), 60s);
    ask(clock, start_);
    EXPECT_FALSE(clock.take_due(start_ + 24h));
    EXPECT_GT(clock.wait(start_), 60s);
}

TEST_F(JobClockTest, WithoutAnAnswerItTriesAgain) {
    answer("slurm_load_jobs error: Unable to contact slurm controller");
    JobClock clock(environment(), 60s);
    ask(clock, start_);
    EXPECT_FALSE(clock.take_due(start_ + 1h));
    answer("7 2:00");
    ask(clock, start_ + 31s);
    EXPECT_EQ(questions(), 2u);
    EXPECT_TRUE(clock.take_due(start_ + 91s));
}

TEST_F(JobClockTest, TheVariableOfNewerVersionsIsTakenWhereNobodyAnswers) {
    set("SLURM_JOB_END_TIME", std::to_string(std::time(nullptr) + 600));
    fs::remove(folder() + "/squeue");
    set("PATH", folder());
    JobClock clock(environment(), 60s);
    ask(clock, start_);
    EXPECT_FALSE(clock.take_due(start_ + 530s));
    EXPECT_TRUE(clock.take_due(start_ + 545s));
}

}  // namespace
}  // namespace ddict::launcher::testing
