// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// --prefault: pools that are filled by a thread of their managers, while these serve.
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <thread>

#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

constexpr const char* memory = "512M";
constexpr std::uint64_t pool_bytes = std::uint64_t{256} << 20;

class PrefaultTest : public LauncherTest {
  protected:
    std::string log() const {
        std::ifstream file(folder() + "/log");
        return {std::istreambuf_iterator<char>(file), {}};
    }
    ::testing::AssertionResult logs(const std::string& pattern) const {
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        while (std::chrono::steady_clock::now() < deadline) {
            if (std::regex_search(log(), std::regex(pattern))) return ::testing::AssertionSuccess();
            std::this_thread::sleep_for(milliseconds(5));
        }
        return ::testing::AssertionFailure() << "no /" << pattern << "/ in:\n" << log();
    }
    /// Of each pool what is there of it.
    static std::vector<std::uint64_t> bytes_there() {
        std::vector<std::uint64_t> all;
        const std::regex pool("ddict-[0-9a-f]+-m[0-9]+");
        for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
            struct stat info {};
            if (!std::regex_match(entry.path().filename().string(), pool)) continue;
            EXPECT_EQ(::stat(entry.path().c_str(), &info), 0);
            all.push_back(static_cast<std::uint64_t>(info.st_blocks) * 512);
        }
        return all;
    }
    static bool are_whole() {
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        const std::vector<std::uint64_t> whole{pool_bytes, pool_bytes};
        while (bytes_there() != whole && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(milliseconds(5));
        return bytes_there() == whole;
    }
    std::vector<std::string> with(const std::string& command) const {
        return launch({"--prefault", "--managers-per-node", "2", "--total-mem", memory, "--log",
                       folder() + "/log", "--", "/bin/bash", "-c", command});
    }
};

TEST_F(PrefaultTest, PoolsAreFilledWhileTheyServe) {
    Program started(with("echo up; read; " + program("ddict") + " put a b; " + program("ddict") + " get a"),
                    environment());
    ASSERT_TRUE(started.prints("up"));
    for (const char* const manager : {"0", "1"})
        EXPECT_TRUE(logs(std::string("manager=") + manager + " filled: 256 MiB in \\d+ ms\n"));
    EXPECT_EQ(bytes_there(), (std::vector<std::uint64_t>{pool_bytes, pool_bytes}));
    started.close_stdin();
    EXPECT_EQ(started.wait(), 0) << started.err();
    EXPECT_NE(started.out().find("up\nb"), std::string::npos) << started.out();
}

TEST_F(PrefaultTest, AManagerThatIsKilledMeanwhileComesBack) {
    Program started(with(program("ddict") + " put a b; echo up; read; " + program("ddict") + " get a"),
                    environment());
    ASSERT_TRUE(started.prints("up"));
    for (const pid_t manager : processes("ddict-manager"))
        ::kill(manager, SIGKILL);
    EXPECT_TRUE(logs("manager=0 recovered"));
    EXPECT_TRUE(logs("manager=1 recovered"));
    EXPECT_TRUE(are_whole()) << "the next one goes on with it";
    started.close_stdin();
    EXPECT_EQ(started.wait(), 0) << started.err();
    EXPECT_NE(started.out().find("up\nb"), std::string::npos) << started.out();
}

/// Its pools may be whole by then; as a rule they are not.
TEST_F(PrefaultTest, WhatIsKeptMeanwhileIsResumedWithAndWithout) {
    const std::string name = "prefault-" + std::to_string(::getpid());
    const std::string ddict = program("ddict");
    const auto command = [&](std::vector<std::string> options, const std::string& words) {
        options.insert(options.end(), {"--keep", "--managers-per-node", "2", "--total-mem", memory, "--name",
                                       name, "--", "/bin/bash", "-c", words});
        return ran(launch(options));
    };
    const Ran first = command({"--prefault"}, ddict + " put a b");
    ASSERT_EQ(first.status, 0) << first.err;
    std::cout << "kept with " << bytes_there().at(0) << " and " << bytes_there().at(1) << " bytes\n";
    const Ran second = command({"--prefault", "--resume"}, ddict + " get a");
    EXPECT_EQ(second.out, "b") << second.err;
    std::cout << "kept with " << bytes_there().at(0) << " and " << bytes_there().at(1) << " bytes\n";
    const Ran third = command({"--resume"}, "stat -c '%b %B' /dev/shm/ddict-*-m[01]; " + ddict + " get a");
    const std::string whole = std::to_string(pool_bytes / 512) + " 512\n";
    EXPECT_NE(third.out.find(whole + whole), std::string::npos) << third.out << third.err;
    EXPECT_TRUE(third.out.ends_with("\nb")) << third.out << third.err;
    EXPECT_EQ(run({"discard", "--name", name}).status, 0);
}

TEST_F(PrefaultTest, EndsPromptlyWhileItFills) {
    const auto begin = std::chrono::steady_clock::now();
    const Ran ended = ran(with("true"));
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, test_timeout / 2);
}

}  // namespace
}  // namespace ddict::launcher::testing
