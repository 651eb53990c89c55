// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a program that creates a dictionary hands on to the processes that this starts: nothing.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <ddict/dictionary.h>

namespace ddict {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds test_timeout{5'000};

Dictionary small_dictionary() {
    return Dictionary::create({.managers_per_node = 2, .total_mem = 8 << 20, .name = "helper"});
}

/// In a child, since it is about the descriptors of a whole process, with a watch over it: 0 if all is well.
int status_in_a_child(const std::function<bool()>& check) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        int status = 2;
        try {
            status = check() ? 0 : 1;
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
        }
        _exit(status);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// All that descend from this process.
std::vector<pid_t> descendants() {
    std::map<pid_t, std::vector<pid_t>> children;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string number = entry.path().filename();
        if (number.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream stat(entry.path() / "stat");
        std::string text{std::istreambuf_iterator<char>(stat), {}};
        const std::size_t bracket = text.rfind(')');
        if (bracket == std::string::npos) continue;
        std::istringstream fields(text.substr(bracket + 1));
        std::string state;
        pid_t parent = 0;
        fields >> state >> parent;
        children[parent].push_back(static_cast<pid_t>(std::stol(number)));
    }
    std::vector<pid_t> found{getpid()};
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto& next = children[found[i]];
        found.insert(found.end(), next.begin(), next.end());
    }
    found.erase(found.begin());
    return found;
}

std::string status_field(pid_t process, const std::string& name) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with(name)) return line.substr(name.size());
    }
    return "(none)";
}

TEST(HelperTest, APipeOfTheProgramEndsWhenTheProgramClosesIt) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);  // as popen's, and that of many libraries: not closed on exec
    Dictionary dict = small_dictionary();
    close(ends[1]);
    pollfd waiting{ends[0], POLLIN, 0};
    EXPECT_EQ(poll(&waiting, 1, static_cast<int>(test_timeout.count())), 1) << "somebody holds the other end";
    close(ends[0]);
    dict.destroy();
}

TEST(HelperTest, NoFileAndNoFolderOfTheProgramIsKept) {
    std::string folder = fs::temp_directory_path().string() + "/ddict-helper-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    const fs::path before = fs::current_path();
    fs::current_path(folder);
    const int file = open((folder + "/file").c_str(), O_CREAT | O_RDWR, 0600);
    Dictionary dict = small_dictionary();
    close(file);
    fs::current_path(before);
    const auto helpers = descendants();
    EXPECT_GE(helpers.size(), 4U) << "ddict-launch, a node launcher, two managers";
    for (const pid_t helper : helpers) {
        const fs::path process = "/proc/" + std::to_string(helper);
        EXPECT_EQ(fs::read_symlink(process / "cwd"), "/") << status_field(helper, "Name:");
        for (const auto& entry : fs::directory_iterator(process / "fd")) {
            std::error_code ignored;
            const std::string target = fs::read_symlink(entry.path(), ignored).string();
            EXPECT_FALSE(target.starts_with(folder)) << target << " in " << status_field(helper, "Name:");
        }
    }
    dict.destroy();
    fs::remove_all(folder);
}

TEST(HelperTest, BlockedAndIgnoredSignalsStayWithTheProgram) {
    EXPECT_EQ(status_in_a_child([] {
                  sigset_t all;
                  sigfillset(&all);
                  sigset_t before;
                  sigprocmask(SIG_BLOCK, &all, &before);
                  signal(SIGTERM, SIG_IGN);
                  signal(SIGUSR1, SIG_IGN);
                  Dictionary dict = small_dictionary();
                  std::size_t launchers = 0;
                  for (const pid_t helper : descendants()) {
                      if (status_field(helper, "PPid:\t") != std::to_string(getpid())) continue;
                      ++launchers;
                      const auto ignored = std::stoull(status_field(helper, "SigIgn:\t"), nullptr, 16);
                      if ((ignored >> (SIGTERM - 1) & 1) != 0 || (ignored >> (SIGUSR1 - 1) & 1) != 0)
                          return false;
                  }
                  dict.destroy();
                  sigprocmask(SIG_SETMASK, &before, nullptr);
                  return launchers == 1;
              }),
              0);
}

TEST(HelperTest, AProgramWithoutStandardDescriptors) {
    for (const std::vector<int>& closed : {std::vector<int>{0}, {1}, {0, 1}, {0, 1, 2}}) {
        EXPECT_EQ(status_in_a_child([&] {
                      for (const int fd : closed)
                          close(fd);
                      Dictionary dict = small_dictionary();
                      dict.put("key", "value");
                      const bool found = dict.get("key") == "value";
                      dict.destroy();
                      return found;
                  }),
                  0)
            << closed.size() << " closed, the last of them " << closed.back();
    }
}

}  // namespace
}  // namespace ddict
