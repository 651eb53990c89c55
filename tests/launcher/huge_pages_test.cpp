// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// --huge-pages: what the pools are made of, where /dev/shm gives huge pages and where it does not. It is this
// test's own /dev/shm: it is mounted again, with and without them.
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <system_error>
#include <thread>

#include "os/pages.h"
#include "tests/launcher/process_runner.h"

namespace ddict::launcher::testing {
namespace {

TEST(HugePages, WhoGivesThemIsKnown) {
    const std::string setting = "always within_size advise [never] deny force\n";
    const std::string mounts =
        "tmpfs /dev/shm tmpfs rw 0 0\ntmpfs /tmp tmpfs rw,huge=always 0 0\nproc /proc proc rw 0 0\n";
    EXPECT_NE(os::why_no_huge_pages("/dev/shm", mounts, setting).find("remount,huge=advise /dev/shm"),
              std::string::npos);
    EXPECT_EQ(os::why_no_huge_pages("/tmp", mounts, setting), "");
    for (const char* const good : {"always", "within_size", "advise"})
        EXPECT_EQ(
            os::why_no_huge_pages(
                "/dev/shm", mounts + "tmpfs /dev/shm tmpfs rw,huge=" + good + ",size=1k 0 0\n", setting),
            "")
            << good;
    EXPECT_NE(os::why_no_huge_pages("/dev/shm", "x /dev/shm tmpfs rw,huge=never 0 0\n", setting), "");
    EXPECT_EQ(os::why_no_huge_pages("/dev/shm", mounts, "always never deny [force]"), "");
    EXPECT_NE(os::why_no_huge_pages("/tmp", mounts, "always never [deny] force").find("says deny"),
              std::string::npos);
    EXPECT_NE(os::why_no_huge_pages("/tmp", mounts, "").find("this kernel"), std::string::npos);
}

class HugePagesTest : public LauncherTest {
  protected:
    /// Not the machine's, which other tests use.
    static bool is_own_host() {
        std::error_code error;
        const std::string parent = "/proc/" + std::to_string(::getppid()) + "/ns/mnt";
        return std::filesystem::read_symlink("/proc/self/ns/mnt", error) !=
                   std::filesystem::read_symlink(parent, error) &&
               !error;
    }
    /// False where the kernel has none.
    static bool mount_again(const char* options) {
        return ::mount("none", "/dev/shm", nullptr, MS_REMOUNT, options) == 0;
    }
    /// Of the pool of the only manager: what a line of its mapping says, in kB.
    std::uint64_t of_mapping(const std::string& word) const {
        const std::vector<pid_t> managers = processes("ddict-manager");
        EXPECT_EQ(managers.size(), 1U);
        std::ifstream lines("/proc/" + std::to_string(managers.at(0)) + "/smaps");
        const std::regex pool("/dev/shm/ddict-[0-9a-f]+-m0$");
        bool here = false;
        for (std::string line; std::getline(lines, line);) {
            if (line.find('-') != std::string::npos && line.find(" r") != std::string::npos)
                here = std::regex_search(line, pool);
            if (here && line.starts_with(word + ":"))
                return std::stoull(line.substr(line.find_first_of("0123456789")));
        }
        return 0;
    }
    /// So much of the pool at the least is mapped in huge pages.
    void expect_huge(std::vector<std::string> args, std::uint64_t kib) {
        args.insert(args.begin(), {"--huge-pages", "--total-mem", "160M"});
        args.insert(args.end(),
                    {"--", "/bin/bash", "-c",
                     program("ddict") + " put a b; echo up; read; " + program("ddict") + " get a"});
        Program started(launch(args), environment());
        ASSERT_TRUE(started.prints("up"));
        // In the background it takes a moment.
        const auto deadline = std::chrono::steady_clock::now() + test_timeout;
        while (of_mapping("ShmemPmdMapped") < kib && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(milliseconds(5));
        EXPECT_GE(of_mapping("ShmemPmdMapped"), kib);
        EXPECT_EQ(started.err().find("--huge-pages"), std::string::npos) << started.err();
        started.close_stdin();
        EXPECT_EQ(started.wait(), 0) << started.err();
        EXPECT_NE(started.out().find("up\nb"), std::string::npos) << started.out();
    }
};

TEST_F(HugePagesTest, AreTakenWhereTheyAreGivenAndAsked) {
    if (!is_own_host()) {
        std::fputs("the machine's /dev/shm is left as it is: no huge pages are tried\n", stderr);
        return;
    }
    if (!mount_again("huge=advise")) {
        EXPECT_NE(os::why_no_huge_pages("/dev/shm").find("this kernel"), std::string::npos);
        return;
    }
    expect_huge({}, 2 << 10);  // what has been touched
    expect_huge({"--prefault"}, 150 << 10);
    EXPECT_NE(run({"--check", "--huge-pages"}).out.find("huge pages: /dev/shm gives them"),
              std::string::npos);
    Program started(launch({"--total-mem", "96M", "--", "/bin/bash", "-c", "echo up; read; true"}),
                    environment());
    ASSERT_TRUE(started.prints("up"));
    EXPECT_EQ(of_mapping("ShmemPmdMapped"), 0U) << "nobody has asked";
    started.close_stdin();
    EXPECT_EQ(started.wait(), 0);
    EXPECT_TRUE(mount_again("huge=never"));
}

TEST_F(HugePagesTest, WhereThereAreNoneThatIsSaidOnce) {
    const Ran ended =
        run({"--huge-pages", "--managers-per-node", "2", "--", program("ddict"), "put", "a", "b"});
    EXPECT_EQ(ended.status, 0) << ended.err;
    const std::size_t said = ended.err.find("--huge-pages: ");
    ASSERT_NE(said, std::string::npos) << ended.err;
    EXPECT_EQ(ended.err.find("--huge-pages: ", said + 1), std::string::npos) << ended.err;
    const Ran checked = run({"--check", "--huge-pages"});
    EXPECT_EQ(checked.status, 0) << checked.out;
    EXPECT_TRUE(std::regex_search(checked.out, std::regex("warning  \\S+ huge pages: "))) << checked.out;
}

}  // namespace
}  // namespace ddict::launcher::testing
