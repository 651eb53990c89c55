// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The log: its lines, its limits, and what is in it after a life with losses.
#include "launcher/log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <thread>

#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

using Time = std::chrono::system_clock::time_point;

TEST(Log, LinesSayWhenHowBadAndWhere) {
    const Time time(std::chrono::milliseconds(1'796'016'131'007));
    EXPECT_EQ(format_log_line({.level = LogLevel::error,
                               .kind = "lost",
                               .node = "n2",
                               .manager = ShardId{3},
                               .text = "was\nkilled"},
                              time),
              "2026-11-30T05:22:11.007Z error n2 manager=3 lost: was killed\n");
    EXPECT_EQ(format_log_line({.kind = "ready", .text = {}}, time),
              "2026-11-30T05:22:11.007Z info - ready\n");
}

TEST(Log, OfOneKindThereAreSoManyASecond) {
    LogLimit limit;
    LogLimit::Clock::time_point now{std::chrono::hours(1)};
    const LogEntry said{.level = LogLevel::warning, .kind = "said", .text = {}};
    std::uint32_t written = 0;
    for (int i = 0; i < 47; ++i)
        written += limit.admits(said, now) ? 1U : 0U;
    EXPECT_EQ(written, LogLimit::lines_max);
    EXPECT_TRUE(limit.admits({.kind = "lost", .text = {}}, now)) << "others are not affected";
    EXPECT_TRUE(limit.take_counts(now).empty());
    now += LogLimit::interval;
    const auto counts = limit.take_counts(now);
    ASSERT_EQ(counts.size(), 1U);
    EXPECT_EQ(counts[0].kind, "said");
    EXPECT_EQ(counts[0].text, "37 more like this");
    EXPECT_EQ(counts[0].level, LogLevel::warning);
    EXPECT_TRUE(limit.admits(said, now));
    EXPECT_TRUE(limit.take_counts(now + LogLimit::interval).empty()) << "nothing was left out since";
}

TEST(Log, WhatManagersLeaveOutIsCountedToo) {
    LogLimit limit;
    const LogLimit::Clock::time_point now{std::chrono::hours(1)};
    const auto session = [](const char* text) {
        return LogEntry{.level = LogLevel::debug, .kind = "session", .text = text};
    };
    for (std::uint32_t i = 0; i < LogLimit::lines_max; ++i)
        EXPECT_TRUE(limit.admits(session("opened, process 5 on n1"), now));
    EXPECT_FALSE(limit.admits(session("opened, process 5 on n1"), now));
    EXPECT_FALSE(limit.admits(session("37 more like this"), now));
    EXPECT_FALSE(limit.admits(session("some more like this"), now)) << "whatever it says";
    const auto counts = limit.take_counts(now + LogLimit::interval);
    ASSERT_EQ(counts.size(), 1U);
    EXPECT_EQ(counts[0].text, "39 more like this");
}

TEST(Log, AnErrorIsNeverLeftOut) {
    LogLimit limit;
    const LogLimit::Clock::time_point now{std::chrono::hours(1)};
    for (std::uint32_t i = 0; i < 2 * LogLimit::lines_max; ++i)
        limit.admits({.level = LogLevel::warning, .kind = "notice", .text = {}}, now);
    for (std::uint32_t i = 0; i < 2 * LogLimit::lines_max; ++i)
        EXPECT_TRUE(limit.admits({.level = LogLevel::error, .kind = "notice", .text = {}}, now));
    EXPECT_TRUE(limit.admits({.level = LogLevel::info, .kind = "notice", .text = {}}, now))
        << "another level counts alone";
}

class LogTest : public LauncherTest {
  protected:
    std::string path() const { return folder() + "/log"; }
    std::string text() const {
        std::ifstream file(path());
        return {std::istreambuf_iterator<char>(file), {}};
    }
    ::testing::AssertionResult has(const std::string& pattern) const {
        if (std::regex_search(text(), std::regex(pattern))) return ::testing::AssertionSuccess();
        return ::testing::AssertionFailure() << "no /" << pattern << "/ in:\n" << text();
    }
    /// The same, within the time of a test.
    ::testing::AssertionResult comes(const std::string& pattern) const {
        const auto until = std::chrono::steady_clock::now() + test_timeout;
        while (!has(pattern) && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(milliseconds(5));
        return has(pattern);
    }
};

TEST_F(LogTest, HasTheWholeLifeOfACommandsDictionary) {
    set("D", program("ddict"));
    const Ran ended = run({"--log", path(), "--managers-per-node", "2", "--total-mem", "32M", "--",
                           "/bin/bash", "-c", "$D put a b && $D restart 0 && $D get a"});
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_TRUE(has(R"(Z info - start: 'default', dictionary [0-9a-f]+, 2 managers on 1 node, 32M\n)"));
    EXPECT_TRUE(has(R"(Z info \S+ manager=1 manager: has started\n)"));
    EXPECT_TRUE(has(R"(Z info \S+ ready: the dictionary serves\n)"));
    EXPECT_TRUE(has(R"(Z warning \S+ manager=\d recovered: .*back after \d+ ms)"));
    EXPECT_TRUE(has(R"(Z info - end: nothing lost\n$)"));
    struct stat info {};
    ASSERT_EQ(stat(path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    const std::regex line(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info) \S+ .+)");
    std::ifstream file(path());
    for (std::string one; std::getline(file, one);)
        EXPECT_TRUE(std::regex_match(one, line)) << one;
    EXPECT_EQ(text().find("ddict3."), std::string::npos) << "a handle";
}

TEST_F(LogTest, OfErrorsHasOnlyThese) {
    const Ran failed =
        run({"--log", path(), "--log-level", "error", "--manager-program", "/bin/false", "--", "true"});
    EXPECT_EQ(failed.status, 1);
    EXPECT_TRUE(has(" error "));
    EXPECT_EQ(text().find(" info "), std::string::npos) << text();
    EXPECT_EQ(text().find(" warning "), std::string::npos) << text();
}

TEST_F(LogTest, AtDebugHasTheSessionsOfClients) {
    set("D", program("ddict"));
    set("F", folder());
    const std::string script =
        "$D put a 1 & wait $!; echo ended=$!; $D wait nobody & echo killed=$! that is all; "
        "read line; kill -9 $!; until grep -q broken $F/log; do sleep 0.1; done";
    Program launched(launch({"--log", path(), "--log-level", "debug", "--", "/bin/bash", "-c", script}),
                     environment());
    const auto number_after = [&](const std::string& name) {
        return std::to_string(std::stoi(launched.out().substr(launched.out().find(name) + name.size())));
    };
    ASSERT_TRUE(launched.prints("that is all")) << launched.err();
    const std::string ended = number_after("ended="), killed = number_after("killed=");
    EXPECT_TRUE(comes(R"(Z debug \S+ manager=0 session: opened, process )" + ended + R"( on \S+\n)"));
    EXPECT_TRUE(comes(R"(Z debug \S+ manager=0 session: closed, process )" + ended + R"( on \S+\n)"));
    EXPECT_TRUE(comes("session: opened, process " + killed + " "));
    EXPECT_FALSE(has("session: (closed|broken), process " + killed + " ")) << "it lives";
    launched.close_stdin();
    EXPECT_EQ(launched.wait(), 0) << launched.err();
    EXPECT_TRUE(has("session: broken, process " + killed + R"( on \S+, \S.*\n)"));
    EXPECT_FALSE(has("session: closed, process " + killed + " "));
}

TEST_F(LogTest, ManySessionsAreCountedInTheEnd) {
    set("D", program("ddict"));
    const Ran ran = run({"--log", path(), "--log-level", "debug", "--", "/bin/bash", "-c",
                         "for i in {1..30}; do $D size >/dev/null & done; wait"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    const std::string all = text();
    const std::regex line(" session: (opened|closed), process");
    const std::regex more(R"( session: (\d+) more like this)");
    using Found = std::sregex_iterator;
    const auto lines = std::distance(Found(all.begin(), all.end(), line), {});
    std::ptrdiff_t left_out = 0;
    for (Found found(all.begin(), all.end(), more); found != Found(); ++found)
        left_out += std::stoi((*found)[1]);
    EXPECT_GT(left_out, 0) << all;
    EXPECT_GE(lines + left_out, 60) << all;
}

TEST_F(LogTest, WithoutDebugNothingIsSaidOfSessions) {
    set("D", program("ddict"));
    Program started(launch({"--log", path(), "--", "/bin/bash", "-c", "$D put a 1; echo up; read || true"}),
                    environment());
    ASSERT_TRUE(started.prints("up"));
    const auto managers = processes("ddict-manager");
    ASSERT_FALSE(managers.empty());
    std::ifstream file("/proc/" + std::to_string(managers[0]) + "/cmdline");
    const std::string words{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NE(words.find("--control-fd"), std::string::npos) << words;
    EXPECT_EQ(words.find("--tell-sessions"), std::string::npos) << words;
    started.close_stdin();
    EXPECT_EQ(started.wait(), 0) << started.err();
    EXPECT_FALSE(has("session"));
}

TEST_F(LogTest, IsWrittenInTheBackgroundToo) {
    set("DDICT_LOG", path());
    Program started(launch({"start"}), environment());
    EXPECT_EQ(started.wait(), 0) << started.err();
    EXPECT_TRUE(started.lets_go(seconds(10)));
    const auto writers = processes("--keep-log");
    ASSERT_EQ(writers.size(), 1U);
    EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(writers[0]) + "/cwd"), "/");
    EXPECT_EQ(run({"stop"}).status, 0);
    EXPECT_TRUE(has("ready: the dictionary serves"));
    EXPECT_TRUE(has("end: nothing lost\n$"));
}

TEST_F(LogTest, MayBeALinkButNoStreamOfTheProcess) {
    std::filesystem::create_symlink(folder() + "/elsewhere", path());
    EXPECT_EQ(run({"--log", path(), "--", "true"}).status, 0);
    EXPECT_TRUE(has("end: nothing lost\n$"));
    const Ran refused = run({"--log", "/dev/stderr", "--", "true"});
    EXPECT_EQ(refused.status, 2);
    EXPECT_NE(refused.err.find("--log"), std::string::npos) << refused.err;
}

/// A pipe that nobody reads from stands for a file system that does not answer.
TEST_F(LogTest, AFileThatCannotBeWrittenHoldsUpNobody) {
    ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
    const auto began = std::chrono::steady_clock::now();
    Program launched(launch({"--log", path(), "--", "true"}), environment());
    EXPECT_EQ(launched.wait(), 0) << launched.err();
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(20));
    EXPECT_TRUE(launched.lets_go(seconds(10)));
    EXPECT_FALSE(processes("--keep-log").empty());
    // What waits there ends when somebody opens it.
    const os::FileDescriptor reader(open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(nothing_runs());
    const Ran without = run({"--log", folder() + "/no/such/folder", "--", "true"});
    EXPECT_EQ(without.status, 0);
    EXPECT_NE(without.err.find("there is no log: " + folder() + "/no/such/folder: No such file"),
              std::string::npos)
        << without.err;
}

}  // namespace
}  // namespace ddict::launcher::testing
