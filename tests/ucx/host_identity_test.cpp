// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/host_identity.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process_identity.h"
#include "os/process_stat.h"

namespace ddict::ucx {
namespace {

TEST(HostIdentity, NamesThisProcess) {
    const ProcessIdentity identity = own_identity(true).value();
    EXPECT_EQ(identity.pid, ::getpid());
    EXPECT_NE(identity.start_time, 0U);
    EXPECT_NE(identity.host_key, 0U);
    EXPECT_EQ(identity.host_key, own_identity(true).value().host_key);
    EXPECT_EQ(identity.start_time, os::process_stat(identity.pid).value().start_time);
}

TEST(HostIdentity, WithoutSharedMemoryEveryProcessIsAlone) {
    EXPECT_NE(own_identity(false).value().host_key, own_identity(true).value().host_key);
    EXPECT_EQ(own_identity(false).value().host_key, own_identity(false).value().host_key);
}

TEST(HostIdentity, IsSharedWithAChild) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const ProcessIdentity identity = own_identity(true).value();
        _exit(::write(ends[1], &identity, sizeof identity) == sizeof identity ? 0 : 1);
    }
    ProcessIdentity identity;
    ASSERT_EQ(::read(ends[0], &identity, sizeof identity), static_cast<ssize_t>(sizeof identity));
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(identity.host_key, own_identity(true).value().host_key);
    EXPECT_EQ(identity.pid, child);
    ::close(ends[0]);
    ::close(ends[1]);
}

}  // namespace
}  // namespace ddict::ucx
