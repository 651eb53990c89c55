// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/own_host/own_host.h"

#include <gtest/gtest.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

namespace ddict::testing {
namespace {

std::ptrdiff_t files() {
    return std::distance(std::filesystem::directory_iterator("/dev/shm"),
                         std::filesystem::directory_iterator());
}

std::ptrdiff_t system_v_segments() {
    std::ifstream table("/proc/sysvipc/shm");
    return std::count(std::istreambuf_iterator<char>(table), std::istreambuf_iterator<char>(), '\n') - 1;
}

/// What the function returns in a child of this process.
int in_child(const std::function<int()>& function) {
    const pid_t child = fork();
    if (child == 0) _exit(function());
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// A file and a segment, as a dictionary of somebody else's would have them.
class SomethingOfOthers {
  public:
    SomethingOfOthers() : segment_(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600)) {
        std::ofstream(path_) << "x";
    }
    ~SomethingOfOthers() {
        shmctl(segment_, IPC_RMID, nullptr);
        std::filesystem::remove(path_);
    }

  private:
    const std::string path_ = "/dev/shm/ddict-of-somebody-else-" + std::to_string(getpid());
    const int segment_;
};

TEST(OwnHost, HidesWhatOthersHave) {
    const SomethingOfOthers something;
    ASSERT_GE(files(), 1);
    ASSERT_GE(system_v_segments(), 1);
    EXPECT_EQ(in_child([] {
                  if (const std::string why = enter_own_host(); !why.empty()) return 1;
                  return files() == 0 && system_v_segments() == 0 ? 0 : 2;
              }),
              0);
}

TEST(OwnHost, HidesFromOthersWhatItHas) {
    const std::ptrdiff_t files_before = files();
    const std::ptrdiff_t segments_before = system_v_segments();
    EXPECT_EQ(in_child([&] {
                  if (const std::string why = enter_own_host(); !why.empty()) return 1;
                  const SomethingOfOthers something;
                  return files() == 1 && system_v_segments() == 1 ? 0 : 2;
              }),
              0);
    EXPECT_EQ(files(), files_before);
    EXPECT_EQ(system_v_segments(), segments_before);
}

/// Nobody has to tidy up after a test that was killed.
TEST(OwnHost, TakesTemporaryFoldersWithIt) {
    const auto folder = [] {
        return std::filesystem::temp_directory_path() / ("ddict-own-host-test-" + std::to_string(getppid()));
    };
    EXPECT_EQ(in_child([&] {
                  if (const std::string why = enter_own_host(); !why.empty()) return 1;
                  if (!std::filesystem::is_empty(std::filesystem::temp_directory_path())) return 2;
                  return std::filesystem::create_directory(folder()) ? 0 : 3;
              }),
              0);
    EXPECT_EQ(in_child([&] { return std::filesystem::exists(folder()) ? 1 : 0; }), 0);
}

}  // namespace
}  // namespace ddict::testing
