// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The shared memory that UCX creates is this user's alone: what it creates for a worker, and what comes
// later.
#include "ucx/private_segments.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>

#include "base/limits.h"
#include "tests/ucx/peers.h"

namespace ddict::ucx::testing {
namespace {

/// Of a segment, which goes.
int mode_of(int id) {
    struct shmid_ds status {};
    const int looked = ::shmctl(id, IPC_STAT, &status);
    ::shmctl(id, IPC_RMID, nullptr);
    return looked == 0 ? static_cast<int>(status.shm_perm.mode) & 0777 : -1;
}

/// Mode of each System V segment that this process has created and still has mapped.
std::map<int, int> own_segments() {
    std::map<int, int> modes;
    std::FILE* file = std::fopen("/proc/self/maps", "re");
    char line[512];
    while (std::fgets(line, sizeof line, file) != nullptr) {
        unsigned long inode = 0;
        if (std::strstr(line, "/SYSV") == nullptr || std::sscanf(line, "%*s %*s %*s %*s %lu", &inode) != 1)
            continue;
        struct shmid_ds status {};
        const int id = static_cast<int>(inode);
        if (::shmctl(id, IPC_STAT, &status) == 0 && status.shm_cpid == ::getpid())
            modes[id] = status.shm_perm.mode & 0777;
    }
    std::fclose(file);
    return modes;
}

TEST(PrivateSegmentsTest, WhatAWorkerCreates) {
    const auto before = private_segments_made();
    const auto worker = make_worker(shared_memory);
    const auto segments = own_segments();
    ASSERT_FALSE(segments.empty()) << "UCX uses other shared memory here: this test looks at the wrong one";
    for (const auto& [id, mode] : segments)
        EXPECT_EQ(mode, 0600) << "segment " << id;
    EXPECT_GE(private_segments_made(), before + segments.size());
}

TEST(PrivateSegmentsTest, WhatComesWhenItsPoolsGrow) {
    const auto receiver = make_worker(shared_memory);
    const auto sender = make_worker(shared_memory);
    const std::size_t at_first = own_segments().size();
    const Card card = card_of(*receiver);
    const PeerId peer = sender->connect(card.address, card.identity).value();
    Observer kept;  // announcements of bodies that nobody fetches keep UCX's buffers
    Observer ignored;
    const auto head = order(Order::ignore, 64 + limits::key_bytes_max);
    const auto body = pattern(1 << 20, 1);
    const auto deadline = Clock::now() + patience();
    std::size_t sent = 0;
    while (own_segments().size() == at_first && Clock::now() < deadline) {
        for (int i = 0; i < 64 && sent < limits::bodies_in_flight_max; ++i)
            sender->send(peer, head, body, ++sent);
        for (int i = 0; i < 64; ++i) {
            sender->poll(ignored);
            receiver->poll(kept);
        }
    }
    const auto segments = own_segments();
    ASSERT_GT(segments.size(), at_first) << "no pool has grown after " << sent << " bodies";
    for (const auto& [id, mode] : segments)
        EXPECT_EQ(mode, 0600) << "segment " << id;
    for (const auto& message : kept.messages) {
        if (message.token != 0) receiver->discard_body(message.token);
    }
}

TEST(PrivateSegmentsTest, FilesOfSharedMemoryToo) {
    const Way way{"posix", "posix,cma,self,tcp", false};
    const mode_t before = ::umask(0);
    const auto worker = make_worker(way);
    ::umask(before);
    unsigned files = 0;
    for (int fd = 3; fd < 1024; ++fd) {
        char path[64];
        char name[256] = "";
        std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (::readlink(path, name, sizeof name - 1) < 0 || std::strncmp(name, "/dev/shm/", 9) != 0) continue;
        struct stat status {};
        ASSERT_EQ(::fstat(fd, &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0600U) << name;
        ++files;
    }
    EXPECT_GT(files, 0U) << "UCX keeps no descriptor of its files: this test looks at the wrong ones";
}

TEST(PrivateSegmentsTest, ThoseOfTheProgramAreLeftAlone) {
    const auto worker = make_worker(shared_memory);
    const int id = ::shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0660);
    ASSERT_GE(id, 0);
    EXPECT_EQ(mode_of(id), 0660);
}

TEST(PrivateSegmentsTest, WhereTheLinkersWordsAreReadOnly) {
    void* library = ::dlopen(STAND_IN_FOR_UCS, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << ::dlerror();
    auto* make = reinterpret_cast<int (*)()>(::dlsym(library, "stand_in_makes_segment"));
    ASSERT_NE(make, nullptr);
    EXPECT_EQ(mode_of(make()), 0666) << "before";
    EXPECT_TRUE(make_segments_private());
    EXPECT_EQ(mode_of(make()), 0600);
    EXPECT_TRUE(make_segments_private()) << "once more";
    EXPECT_EQ(mode_of(make()), 0600);
    ::dlclose(library);
}

}  // namespace
}  // namespace ddict::ucx::testing
