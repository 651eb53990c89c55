// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/host_identity.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <utility>

#include "base/process_identity.h"
#include "os/process_stat.h"

namespace ddict::samehost {
namespace {

TEST(HostIdentity, NamesThisProcess) {
    const ProcessIdentity identity = own_identity().value();
    EXPECT_EQ(identity.pid, ::getpid());
    EXPECT_NE(identity.start_time, 0U);
    EXPECT_NE(identity.host_key, 0U);
    EXPECT_EQ(identity.host_key, own_identity().value().host_key);
    EXPECT_EQ(identity.start_time, os::process_stat(identity.pid).value().start_time);
}

TEST(HostIdentity, IsOfThoseWhoSeeTheSameSharedMemory) {
    const auto host_key_with = [](const std::function<bool()>& change) {
        int ends[2];
        EXPECT_EQ(::pipe(ends), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            if (!change()) _exit(2);
            const ProcessIdentity identity = own_identity().value();
            _exit(::write(ends[1], &identity, sizeof identity) == sizeof identity ? 0 : 1);
        }
        ::close(ends[1]);
        ProcessIdentity identity;
        EXPECT_EQ(::read(ends[0], &identity, sizeof identity), static_cast<ssize_t>(sizeof identity))
            << "this test needs the right to make namespaces";
        ::close(ends[0]);
        ::waitpid(child, nullptr, 0);
        return identity.host_key;
    };
    const std::uint64_t own = own_identity().value().host_key;
    EXPECT_EQ(host_key_with(
                  [] { return ::unshare(CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS) == 0; }),
              own);
    EXPECT_NE(host_key_with([] {
                  return ::unshare(CLONE_NEWNS) == 0 && ::mount("x", "/dev/shm", "tmpfs", 0, nullptr) == 0;
              }),
              own);
    EXPECT_NE(host_key_with([] { return ::setuid(65534) == 0; }), own);
}

/// Who writes "no" means 0, and would be told nothing.
TEST(HostIdentity, IsSwitchedOffByAWordThatIsUnderstood) {
    const std::uint64_t own = own_identity().value().host_key;
    for (const auto& [value, is_own] : {std::pair("1", true), {"", true}, {"0", false}}) {
        ASSERT_EQ(::setenv("DDICT_SAME_HOST", value, 1), 0);
        EXPECT_EQ(own_identity().value().host_key == own, is_own) << value;
    }
    for (const char* value : {"no", "off", "false", "2", "00", " 0"}) {
        ASSERT_EQ(::setenv("DDICT_SAME_HOST", value, 1), 0);
        const auto identity = own_identity();
        ASSERT_FALSE(identity) << value;
        EXPECT_EQ(identity.error().code, Errc::invalid_argument);
        EXPECT_NE(identity.error().message().find("DDICT_SAME_HOST"), std::string::npos);
    }
    ::unsetenv("DDICT_SAME_HOST");
}

TEST(HostIdentity, IsSharedWithAChild) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const ProcessIdentity identity = own_identity().value();
        _exit(::write(ends[1], &identity, sizeof identity) == sizeof identity ? 0 : 1);
    }
    ProcessIdentity identity;
    ASSERT_EQ(::read(ends[0], &identity, sizeof identity), static_cast<ssize_t>(sizeof identity));
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(identity.host_key, own_identity().value().host_key);
    EXPECT_EQ(identity.pid, child);
    ::close(ends[0]);
    ::close(ends[1]);
}

}  // namespace
}  // namespace ddict::samehost
