// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/epoll_targets.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "os/file_descriptor.h"

namespace ddict::os {
namespace {

/// None of these is closed on exec at first.
FileDescriptor epoll_set() {
    return FileDescriptor(epoll_create(1));
}
FileDescriptor event() {
    return FileDescriptor(eventfd(0, 0));
}
FileDescriptor unconnected() {
    return FileDescriptor(socket(AF_UNIX, SOCK_DGRAM, 0));
}
Pipe inherited_pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe(ends.data()), 0);
    return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

void add(const FileDescriptor& set, int fd) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    ASSERT_EQ(epoll_ctl(set.fd(), EPOLL_CTL_ADD, fd, &wanted), 0);
}

bool is_closed_on_exec(const FileDescriptor& fd) {
    return (fcntl(fd.fd(), F_GETFD) & FD_CLOEXEC) != 0;
}

TEST(EpollTargetsTest, WhatIsRegisteredIsMarkedAndNothingElse) {
    const FileDescriptor outer = epoll_set();
    const FileDescriptor inner = epoll_set();
    const FileDescriptor innermost = epoll_set();
    const FileDescriptor of_user = epoll_set();
    const FileDescriptor a = unconnected();
    const FileDescriptor b = event();
    const FileDescriptor c = unconnected();
    const FileDescriptor users = unconnected();
    const FileDescriptor in_no_set = unconnected();
    add(outer, inner.fd());
    add(outer, a.fd());
    add(inner, innermost.fd());
    add(inner, b.fd());
    add(innermost, c.fd());
    add(of_user, users.fd());

    EXPECT_EQ(close_registered_on_exec(outer.fd(), Registered::in_set), 0);
    EXPECT_TRUE(is_closed_on_exec(inner) && is_closed_on_exec(a));
    EXPECT_FALSE(is_closed_on_exec(innermost) || is_closed_on_exec(b) || is_closed_on_exec(c));

    EXPECT_EQ(close_registered_on_exec(outer.fd(), Registered::in_nested_sets), 0);
    EXPECT_TRUE(is_closed_on_exec(innermost) && is_closed_on_exec(b) && is_closed_on_exec(c));
    for (const FileDescriptor* other : {&outer, &of_user, &users, &in_no_set})
        EXPECT_FALSE(is_closed_on_exec(*other)) << other->fd();
}

TEST(EpollTargetsTest, AllOfManyAreMarked) {
    const FileDescriptor set = epoll_set();
    std::vector<FileDescriptor> many;
    for (int i = 0; i < 400; ++i) {
        many.push_back(unconnected());
        ASSERT_TRUE(many.back().is_open());
        add(set, many.back().fd());
    }
    EXPECT_EQ(close_registered_on_exec(set.fd(), Registered::in_nested_sets), 0);
    for (const FileDescriptor& one : many)
        EXPECT_TRUE(is_closed_on_exec(one)) << one.fd();
}

/// The kernel lists the number that a file had when it was registered, as long as the file is open anywhere.
TEST(EpollTargetsTest, ANumberThatIsSomebodyElsesNowIsLeftAlone) {
    const FileDescriptor set = epoll_set();
    FileDescriptor registered = unconnected();
    add(set, registered.fd());
    const FileDescriptor elsewhere(dup(registered.fd()));
    const int number = registered.fd();
    registered.reset();
    const FileDescriptor of_user = unconnected();
    ASSERT_EQ(of_user.fd(), number);
    EXPECT_EQ(close_registered_on_exec(set.fd(), Registered::in_nested_sets), 0);
    EXPECT_FALSE(is_closed_on_exec(of_user));
    EXPECT_EQ(epoll_set_with(number), -1);
}

TEST(EpollTargetsTest, TheSetOfADescriptorIsFound) {
    const FileDescriptor one = epoll_set();
    const FileDescriptor other = epoll_set();
    const FileDescriptor in_one = unconnected();
    const FileDescriptor in_other = unconnected();
    const FileDescriptor in_none = unconnected();
    add(one, in_one.fd());
    add(other, in_other.fd());
    EXPECT_EQ(epoll_set_with(in_one.fd()), one.fd());
    EXPECT_EQ(epoll_set_with(in_other.fd()), other.fd());
    EXPECT_EQ(epoll_set_with(in_none.fd()), -1);
    EXPECT_EQ(epoll_set_with(-1), -1);
}

TEST(EpollTargetsTest, OtherEndsOfPipesAreMarked) {
    const FileDescriptor set = epoll_set();
    const Pipe registered = inherited_pipe();
    const Pipe of_user = inherited_pipe();
    add(set, registered.read_end.fd());
    EXPECT_EQ(close_other_pipe_ends_on_exec(set.fd()), 0);
    EXPECT_TRUE(is_closed_on_exec(registered.write_end));
    EXPECT_FALSE(is_closed_on_exec(of_user.read_end) || is_closed_on_exec(of_user.write_end));
}

TEST(EpollTargetsTest, WhatKeepsItFromFindingOutIsTold) {
    EXPECT_EQ(close_registered_on_exec(-1, Registered::in_set), EBADF);
    const FileDescriptor set = epoll_set();
    const FileDescriptor one = unconnected();
    add(set, one.fd());
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 0;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_EQ(close_registered_on_exec(set.fd(), Registered::in_set), EMFILE);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_FALSE(is_closed_on_exec(one));
    EXPECT_EQ(close_registered_on_exec(set.fd(), Registered::in_set), 0);
    EXPECT_TRUE(is_closed_on_exec(one));
}

}  // namespace
}  // namespace ddict::os
