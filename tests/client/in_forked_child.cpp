// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// With DDICT_TEST_IN_FORKED_CHILD=1 the tests of a program run in a child of fork() whose parent has UCX up,
// so that what they send to managers of other nodes goes through tunnels.
#include <ddict/dictionary.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace ddict {
namespace {

class InForkedChild : public ::testing::Environment {
  public:
    void SetUp() override {
        Dictionary& of_parent = *new Dictionary(Dictionary::create({.managers_per_node = 2}));
        for (int i = 0; i < 16; ++i)  // on both managers
            of_parent.put(i, i);
        ASSERT_NE(of_parent.stats(1).transport.find("tcp"), std::string::npos)
            << "UCX is not up: DDICT_MANAGER_PROGRAM must be half_far_manager.sh";
        std::fflush(nullptr);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) return;
        int status = -1;
        ::waitpid(child, &status, 0);
        of_parent.destroy();
        std::fflush(nullptr);
        ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
};

[[maybe_unused]] const ::testing::Environment* const environment = [] {
    const char* const wanted = std::getenv("DDICT_TEST_IN_FORKED_CHILD");
    const bool is_wanted = wanted != nullptr && std::string_view(wanted) == "1";
    return is_wanted ? ::testing::AddGlobalTestEnvironment(new InForkedChild) : nullptr;
}();

}  // namespace
}  // namespace ddict
