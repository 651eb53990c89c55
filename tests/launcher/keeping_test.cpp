// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// --keep, --resume and discard as whole programs; and killed in the middle.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/base/seed.h"
#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

class KeepingTest : public LauncherTest {
  protected:
    /// A command of the program ddict in a dictionary that is kept afterwards.
    Ran run_ddict(std::vector<std::string> options, const std::vector<std::string>& words) {
        options.insert(options.end(), {"--managers-per-node", "2", "--", program("ddict")});
        options.insert(options.end(), words.begin(), words.end());
        return run(options);
    }
    static std::size_t count(const std::string& suffix) {
        std::size_t found = 0;
        for (const auto& file : std::filesystem::directory_iterator("/dev/shm"))
            if (file.path().filename().string().starts_with("ddict-"))
                found += file.path().filename().string().ends_with(suffix) ? 1U : 0U;
        return found;
    }
    /// What is there after a kill. True if it is all that was there, which is kept then; else it is nothing.
    bool finds_all_or_nothing() {
        const bool is_kept = count("-kept") == 1;
        const Ran back = run_ddict({"--resume", "--keep", "--name", name_}, {"get", "Hello"});
        if (is_kept) {
            EXPECT_EQ(back.status, 0) << back.err;
            EXPECT_EQ(back.out, "Dragon");
        } else {
            EXPECT_NE(back.err.find("nothing was kept"), std::string::npos) << back.err;
            EXPECT_EQ(count("-m0") + count("-m1"), 0U);
        }
        return is_kept;
    }

    const std::string name_ = "keeping-" + std::to_string(::getpid());
};

TEST_F(KeepingTest, FromOneCommandToTheNext) {
    const Ran first = run_ddict({"--keep", "--name", name_}, {"put", "Hello", "Dragon"});
    ASSERT_EQ(first.status, 0) << first.err;
    EXPECT_TRUE(nothing_runs());
    const Ran status = run({"status", "--name", name_});
    EXPECT_EQ(status.status, 1) << "none of them runs";
    EXPECT_NE(status.out.find(name_ + ": kept, 8M of memory here; 2 managers on 1 node"), std::string::npos)
        << status.out;
    const auto json = nlohmann::json::parse(run({"status", "--name", name_, "--json"}).out);
    ASSERT_EQ(json.size(), 1U);
    EXPECT_EQ(json[0].at("state"), "kept");
    EXPECT_EQ(json[0].at("bytes_here"), 8U << 20);

    const Ran second = run_ddict({"--resume", "--keep", "--name", name_}, {"get", "Hello"});
    EXPECT_EQ(second.status, 0) << second.err;
    EXPECT_EQ(second.out, "Dragon");
    EXPECT_NE(second.err.find("has resumed what it has kept: 1 pair"), std::string::npos) << second.err;

    const Ran beside = run_ddict({"--name", name_}, {"size"});
    EXPECT_EQ(beside.out, "0\n") << "a dictionary of its own";
    EXPECT_NE(beside.err.find("another dictionary named '" + name_ + "' is kept"), std::string::npos)
        << beside.err;
    EXPECT_EQ(second.err.find("another dictionary"), std::string::npos) << second.err;

    // Whatever the command's exit status; and not without --keep.
    EXPECT_EQ(run_ddict({"--resume", "--keep", "--name", name_}, {"get", "nothing"}).status, 1);
    EXPECT_EQ(run_ddict({"--resume", "--name", name_}, {"get", "Hello"}).out, "Dragon");
    const Ran gone = run_ddict({"--resume", "--name", name_}, {"get", "Hello"});
    EXPECT_EQ(gone.status, 1);
    EXPECT_NE(gone.err.find("nothing was kept of '" + name_ + "'"), std::string::npos) << gone.err;
    const Ran empty = run_ddict({"--resume", "--allow-empty", "--name", name_}, {"size"});
    EXPECT_EQ(empty.status, 0) << empty.err;
    EXPECT_NE(empty.err.find("nothing was kept of managers 0, 1, which begin empty"), std::string::npos)
        << empty.err;
}

TEST_F(KeepingTest, OfStartAndStop) {
    ASSERT_EQ(run({"start", "--name", name_}).status, 0);
    const Ran lines = run({"env", "--name", name_});
    Program put({"/bin/sh", "-c", lines.out + "exec '" + program("ddict") + "' put Hello Dragon"},
                environment());
    ASSERT_EQ(put.wait(), 0) << put.err();
    const Ran stopped = run({"stop", "--keep", "--name", name_});
    EXPECT_EQ(stopped.status, 0) << stopped.err;
    EXPECT_TRUE(nothing_runs());
    const Ran again = run({"start", "--resume", "--name", name_, "--export"});
    ASSERT_EQ(again.status, 0) << again.err;
    Program get({"/bin/sh", "-c", again.out + "exec '" + program("ddict") + "' get Hello"}, environment());
    EXPECT_EQ(get.wait(), 0) << get.err();
    EXPECT_EQ(get.out(), "Dragon");
    EXPECT_EQ(run({"stop", "--name", name_}).status, 0);
}

TEST_F(KeepingTest, IsDiscarded) {
    ASSERT_EQ(run_ddict({"--keep", "--name", name_}, {"put", "Hello", "Dragon"}).status, 0);
    EXPECT_EQ(run({"discard"}).status, 2) << "it has to be named";
    EXPECT_EQ(run({"discard", "--name", name_}).status, 0);
    EXPECT_TRUE(nothing_in_shared_memory());
    const Ran again = run({"discard", "--name", name_});
    EXPECT_EQ(again.status, 1);
    EXPECT_NE(again.err.find("nothing is kept under the name '" + name_ + "'"), std::string::npos)
        << again.err;
}

/// A mark of this user that nobody can map, since it is beyond what this process may map, could be of any
/// name.
TEST_F(KeepingTest, WhatCannotBeLookedAtIsNotSaidToBeNothing) {
    const std::string mark = "/dev/shm/ddict-" + std::string(16, 'f') + "-kept";
    ASSERT_EQ(::mknod(mark.c_str(), S_IFREG | 0600, 0), 0);
    ASSERT_EQ(::truncate(mark.c_str(), off_t{1} << 50), 0) << "more than any address space";
    const std::string why = "looking for what is kept in /dev/shm";
    const Ran status = run({"status", "--name", name_});
    const Ran discarded = run({"discard", "--name", name_});
    const Ran resumed = run_ddict({"--resume", "--allow-empty", "--name", name_}, {"size"});
    const Ran beside = run_ddict({"--name", name_}, {"size"});
    std::filesystem::remove(mark);
    EXPECT_EQ(status.status, 3) << status.out;
    EXPECT_NE(status.err.find(why), std::string::npos) << status.err;
    EXPECT_EQ(discarded.status, 1);
    EXPECT_NE(discarded.err.find(why), std::string::npos) << discarded.err;
    EXPECT_EQ(resumed.status, 1) << "what is kept would be hidden by an empty one";
    EXPECT_NE(resumed.err.find(why), std::string::npos) << resumed.err;
    EXPECT_EQ(beside.out, "0\n") << beside.err;
    EXPECT_NE(beside.err.find("cannot tell whether another dictionary named '" + name_ + "' is kept"),
              std::string::npos)
        << beside.err;
}

TEST_F(KeepingTest, ADictionaryThatACommandEndsIsNotKeptAndThatIsSaid) {
    const Ran ended = run_ddict({"--keep", "--name", name_}, {"destroy"});
    EXPECT_EQ(ended.status, 1);
    EXPECT_NE(ended.err.find("is not kept"), std::string::npos) << ended.err;
    const Ran kept = run_ddict({"--keep", "--name", name_}, {"destroy", "--keep"});
    EXPECT_EQ(kept.status, 0) << kept.err;
    EXPECT_EQ(run({"discard", "--name", name_}).status, 0);
}

/// The node launcher before each of its calls that give a name or take one away, while it resumes and while
/// it keeps: all is kept, or nothing is there.
TEST_F(KeepingTest, KilledBeforeAnyCallThatChangesNames) {
#ifndef DDICT_KILLED_AT_CALL
    GTEST_SKIP() << "a sanitizer's runtime has to come first";
#else
    int kept = 0;
    int steps = 0;
    for (const bool resumes : {true, false}) {
        for (int step = 1;; ++step) {
            ASSERT_LT(step, 200);
            ++steps;
            if (resumes) {
                ASSERT_EQ(run_ddict({"--keep", "--name", name_}, {"put", "Hello", "Dragon"}).status, 0);
            }
            set("LD_PRELOAD", DDICT_KILLED_AT_CALL);
            set("DDICT_TEST_KILL_AT", std::to_string(step));
            const Ran killed = resumes ? run_ddict({"--resume", "--keep", "--name", name_}, {"get", "Hello"})
                                       : run_ddict({"--keep", "--name", name_}, {"put", "Hello", "Dragon"});
            set("LD_PRELOAD", "");
            set("DDICT_TEST_KILL_AT", "");
            ASSERT_TRUE(nothing_runs());
            const bool is_kept = finds_all_or_nothing();
            kept += is_kept ? 1 : 0;
            if (killed.status == 0) {
                EXPECT_TRUE(is_kept) << killed.err;
                break;
            }
            if (is_kept) {
                ASSERT_EQ(run({"discard", "--name", name_}).status, 0);
            }
        }
        ASSERT_EQ(run({"discard", "--name", name_}).status, 0);
    }
    std::cout << steps << " steps, " << kept << " of them behind what keeps it\n";
    EXPECT_GT(steps, 20);
    EXPECT_GE(kept, 5);
#endif
}

/// The node launcher, or the launcher above it, at any moment of a resume.
TEST_F(KeepingTest, KilledAtAnyMomentOfAResume) {
    std::mt19937_64 random(test_seed());
    int kept = 0;
    int gone = 0;
    for (int round = 0; round < 40; ++round) {
        if (count("-kept") == 0) {
            ASSERT_EQ(run_ddict({"--keep", "--name", name_}, {"put", "Hello", "Dragon"}).status, 0);
        }
        {
            Program resume(launch({"--resume", "--keep", "--name", name_, "--managers-per-node", "2", "--",
                                   "/bin/sleep", "60"}),
                           environment());
            const auto delay = std::chrono::microseconds(random() % 60'000);
            const bool launcher_too = random() % 3 == 0;
            std::this_thread::sleep_for(delay);
            for (const pid_t node_launcher : processes("--node"))
                ::kill(node_launcher, SIGKILL);
            if (launcher_too) resume.signal(SIGKILL);
            resume.signal(SIGTERM);
            resume.wait();
        }
        ASSERT_TRUE(nothing_runs()) << "managers end with their node launcher";
        ++(finds_all_or_nothing() ? kept : gone);
    }
    std::cout << kept << " were kept as before, " << gone << " had come up\n";
    EXPECT_GT(kept, 0);
    if (count("-kept") != 0) {
        EXPECT_EQ(run({"discard", "--name", name_}).status, 0);
    }
}

}  // namespace
}  // namespace ddict::launcher::testing
