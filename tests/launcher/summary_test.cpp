// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the wrapper says of its dictionary: that a pool is nearly full, and how it was at the end.
#include <signal.h>

#include <nlohmann/json.hpp>

#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

class SummaryTest : public LauncherTest {
  protected:
    /// A shell in a dictionary, which finds ddict as $D.
    std::vector<std::string> shell(std::vector<std::string> options, const std::string& script) const {
        options.insert(options.end(), {"--", "/bin/sh", "-c", script});
        return launch(options);
    }
    void SetUp() override {
        LauncherTest::SetUp();
        set("D", program("ddict"));
    }
    static std::size_t count(const std::string& text, const std::string& part) {
        std::size_t found = 0;
        for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
            ++found;
        return found;
    }
};

TEST_F(SummaryTest, OneLineAtTheEnd) {
    const Ran ran = this->ran(shell({}, "$D put a 1; $D put b 2; $D get a; $D del b; exit 5"));
    EXPECT_EQ(ran.status, 5);
    EXPECT_EQ(ran.out, "1");
    EXPECT_EQ(ran.err.find("ddict-launch: its pool was up to "), 0U) << ran.err;
    EXPECT_EQ(count(ran.err, "\n"), 1U) << ran.err;
    EXPECT_NE(ran.err.find("% full ("), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find(" of 8M, manager 0 on "), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("; 1 pair at the end, "), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find(" requests, 1 read from shared memory, no puts refused, nothing lost\n"),
              std::string::npos)
        << ran.err;
    EXPECT_EQ(this->ran(shell({"--quiet"}, "$D put a 1")).err, "");
    set("DDICT_QUIET", "1");
    EXPECT_EQ(run({"--", "/bin/true"}).err, "");
}

TEST_F(SummaryTest, NothingWhereNoCommandRan) {
    const Ran ran = run({"--load", folder() + "/nothing", "--", "/bin/true"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.err.find("% full"), std::string::npos) << ran.err;
}

TEST_F(SummaryTest, WarnsOnceAtEachLevelAlsoAfterARestart) {
    Program wrapper(
        shell({},
              "i=0; while [ $i -lt 70 ]; do head -c 100000 /dev/zero | $D put k$i -; "
              "i=$((i + 1)); done; echo filled; read line; $D restart 0; $D del k1; "
              "head -c 100000 /dev/zero | $D put k1 -; "
              "while head -c 100000 /dev/zero | $D put more$i - 2>/dev/null; do i=$((i + 1)); done; "
              "$D stats --json"),
        environment());
    ASSERT_TRUE(wrapper.prints("filled")) << wrapper.err();
    ASSERT_TRUE(wrapper.complains("% full ("));
    EXPECT_NE(wrapper.err().find("ddict-launch: the pool of manager 0 on "), std::string::npos)
        << wrapper.err();
    EXPECT_NE(wrapper.err().find(" is 80% full ("), std::string::npos) << wrapper.err();
    EXPECT_NE(wrapper.err().find("--total-mem"), std::string::npos) << wrapper.err();
    EXPECT_EQ(count(wrapper.err(), "95% full"), 0U) << wrapper.err();
    wrapper.close_stdin();
    EXPECT_EQ(wrapper.wait(), 0) << wrapper.err();
    EXPECT_EQ(count(wrapper.err(), "is 80% full"), 1U) << wrapper.err();
    EXPECT_EQ(count(wrapper.err(), "is 95% full"), 1U) << wrapper.err();
    EXPECT_EQ(count(wrapper.err(), "no puts refused"), 0U) << wrapper.err();
    EXPECT_EQ(count(wrapper.err(), "1 put refused, nothing lost"), 1U) << wrapper.err();
}

/// What a dead manager would have said is not made up, and nobody waits for it.
TEST_F(SummaryTest, ALostManagerIsToldOf) {
    Program wrapper(shell({"--managers-per-node", "2", "--no-restart"}, "$D stats --json; read line"),
                    environment());
    ASSERT_TRUE(wrapper.prints("\n}\n")) << wrapper.err();
    const auto stats = nlohmann::json::parse(wrapper.out());
    ::kill(stats.at("managers")[1].at("pid").get<pid_t>(), SIGKILL);
    ASSERT_TRUE(wrapper.complains("manager 1 on "));
    wrapper.close_stdin();
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(wrapper.wait(), 1) << wrapper.err();
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(10));
    EXPECT_NE(wrapper.err().find("1 manager of 2 lost; 1 manager ended without a word"), std::string::npos)
        << wrapper.err();
}

TEST_F(SummaryTest, OneThatWasKilledAndIsBackCountsFromThen) {
    Program wrapper(shell({}, "$D put a 1; $D stats --json; read line; $D get a --timeout 20"),
                    environment());
    ASSERT_TRUE(wrapper.prints("\n}\n")) << wrapper.err();
    const auto stats = nlohmann::json::parse(wrapper.out());
    ::kill(stats.at("managers")[0].at("pid").get<pid_t>(), SIGKILL);
    ASSERT_TRUE(wrapper.complains("back after"));
    wrapper.close_stdin();
    EXPECT_EQ(wrapper.wait(), 0) << wrapper.err();
    EXPECT_NE(wrapper.err().find("1 pair at the end, at least "), std::string::npos) << wrapper.err();
}

}  // namespace
}  // namespace ddict::launcher::testing
