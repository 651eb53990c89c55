// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <random>

#include "base/hex.h"
#include "cluster/directory.h"
#include "shm/directory_segment.h"
#include "tests/own_host/own_host.h"
#include "tests/shm/chance.h"
#include "tests/shm/child.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

bool exists(const std::string& name) {
    return std::filesystem::exists("/dev/shm/" + name);
}

/// An id of no dictionary that exists.
std::uint64_t fresh_id() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
}

TEST(SegmentTest, IsOfZerosAndCanBeOpenedByName) {
    const std::string name = test_segment_name();
    Result<Segment> made = Segment::create(name, 3 * mebibyte + 1);
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(made->size(), 3 * mebibyte + 1);
    EXPECT_EQ(made->name(), name);
    EXPECT_TRUE(std::all_of(made->data(), made->data() + made->size(),
                            [](std::byte b) { return b == std::byte{0}; }));
    Result<Segment> reader = Segment::open(name, Access::read_only);
    Result<Segment> writer = Segment::open(name, Access::read_write);
    ASSERT_TRUE(reader && writer);
    writer->data()[5] = std::byte{42};
    EXPECT_EQ(reader->data()[5], std::byte{42});
    EXPECT_EQ(reader->size(), made->size());
    EXPECT_TRUE(Segment::remove(name));
    EXPECT_FALSE(Segment::remove(name));
    EXPECT_EQ(reader->data()[5], std::byte{42}) << "what is mapped stays";
}

std::uint64_t used_bytes(const std::string& name) {
    struct stat info {};
    EXPECT_EQ(::stat(("/dev/shm/" + name).c_str(), &info), 0);
    return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

TEST(SegmentTest, ASparseOneTakesWhatIsReserved) {
    const std::string name = test_segment_name();
    Segment made = Segment::create_sparse(name, 64 * mebibyte, mebibyte).value();
    EXPECT_EQ(made.size(), 64 * mebibyte);
    EXPECT_EQ(used_bytes(name), mebibyte);
    Segment again = Segment::open(name, Access::read_write).value();
    ASSERT_TRUE(again.reserve(8 * mebibyte, 10 * mebibyte));
    EXPECT_EQ(used_bytes(name), 3 * mebibyte);
    again.data()[9 * mebibyte] = std::byte{7};
    EXPECT_EQ(made.data()[9 * mebibyte], std::byte{7});
    ASSERT_TRUE(made.reserve(8 * mebibyte, 10 * mebibyte)) << "again, by another";
    EXPECT_EQ(made.data()[9 * mebibyte], std::byte{7}) << "what is there stays";
    EXPECT_EQ(used_bytes(name), 3 * mebibyte);
    const Result<void> too_much = made.reserve(0, std::uint64_t{1} << 50);
    ASSERT_FALSE(too_much);
    EXPECT_EQ(too_much.error().code, Errc::no_space);
    EXPECT_TRUE(Segment::remove(name));
}

TEST(SegmentDeathTest, AReaderCannotWrite) {
    const std::string name = test_segment_name();
    Segment made = Segment::create(name, mebibyte).value();
    Segment reader = Segment::open(name, Access::read_only).value();
    Segment::remove(name);
    EXPECT_DEATH(reader.data()[0] = std::byte{1}, "");
}

TEST(SegmentTest, OnlyItsUserMayOpenIt) {
    const mode_t before = ::umask(0);
    const std::string name = test_segment_name();
    const Result<Segment> segment = Segment::create(name, 1);
    ::umask(0777);
    const std::string other = test_segment_name();
    const Result<Segment> tight = Segment::create(other, 1);
    ::umask(before);
    for (const std::string& each : {name, other}) {
        struct stat info {};
        ASSERT_EQ(::stat(("/dev/shm/" + each).c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 07777, 0600U);
        Segment::remove(each);
    }
    EXPECT_TRUE(segment && tight);
}

TEST(SegmentTest, ANameIsTakenOnce) {
    const std::string name = test_segment_name();
    const Result<Segment> first = Segment::create(name, mebibyte);
    const Result<Segment> second = Segment::create(name, 2 * mebibyte);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::invalid_argument);
    EXPECT_EQ(std::filesystem::file_size("/dev/shm/" + name), mebibyte) << "the first is as it was";
    Segment::remove(name);
}

TEST(SegmentTest, BadNamesAndSizesAreRefused) {
    for (const std::string& name :
         {std::string(), std::string("a/b"), std::string("../x"), std::string(300, 'x')})
        EXPECT_EQ(Segment::create(name, 1).error().code, Errc::invalid_argument) << name;
    EXPECT_EQ(Segment::create(test_segment_name(), 0).error().code, Errc::invalid_argument);
    EXPECT_EQ(Segment::create(test_segment_name(), ~std::uint64_t{0}).error().code, Errc::no_space);
}

TEST(SegmentTest, WhatIsNotThereIsGone) {
    EXPECT_EQ(Segment::open(test_segment_name(), Access::read_only).error().code, Errc::dictionary_gone);
}

TEST(SegmentTest, AnEmptyFileIsNoSegment) {
    const std::string name = test_segment_name();
    ::close(::open(("/dev/shm/" + name).c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    EXPECT_EQ(Segment::open(name, Access::read_only).error().code, Errc::protocol);
    Segment::remove(name);
}

TEST(SegmentTest, MovesWithItsMemory) {
    Segment first = nameless_segment(mebibyte);
    std::byte* const data = first.data();
    Segment second = std::move(first);
    EXPECT_EQ(second.data(), data);
    second = nameless_segment(2 * mebibyte);
    EXPECT_EQ(second.size(), 2 * mebibyte);
}

TEST(SegmentTest, GrowsAndKeepsItsContents) {
    Segment segment = nameless_segment(100);
    segment.data()[99] = std::byte{7};
    ASSERT_TRUE(segment.grow(5 * mebibyte));
    EXPECT_EQ(segment.size(), 5 * mebibyte);
    EXPECT_EQ(segment.data()[99], std::byte{7});
    segment.data()[5 * mebibyte - 1] = std::byte{8};
    EXPECT_TRUE(segment.grow(1));
    EXPECT_EQ(segment.size(), 5 * mebibyte);
}

TEST(SegmentTest, MoreThanThereIsIsRefusedAtOnce) {
    const std::uint64_t free = shared_memory_free_bytes().value();
    ASSERT_GT(free, 0U);
    const std::string name = test_segment_name();
    const std::uint64_t need = free + (std::uint64_t{1} << 30);
    const Result<Segment> segment = Segment::create(name, need);
    ASSERT_FALSE(segment);
    EXPECT_EQ(segment.error().code, Errc::no_space);
    EXPECT_EQ(segment.error().need_bytes, need);
    EXPECT_GT(segment.error().have_bytes, 0U);
    EXPECT_FALSE(exists(name));
}

/// What a process sees whose /dev/shm has 4 MiB. Each failed expectation has an exit status of its own.
int in_a_small_shared_memory() {
    if (::mount("none", "/dev/shm", "tmpfs", 0, "size=4m,mode=1777") != 0) return 2;
    if (shared_memory_free_bytes().value() != 4 * mebibyte) return 10;
    Result<Segment> first = Segment::create("first", 3 * mebibyte);
    if (!first) return 11;
    const Result<Segment> second = Segment::create("second", 2 * mebibyte);
    if (second || second.error().code != Errc::no_space) return 12;
    if (second.error().need_bytes != 2 * mebibyte || second.error().have_bytes != mebibyte) return 13;
    if (exists("second") || shared_memory_free_bytes().value() != mebibyte) return 14;
    if (first->grow(5 * mebibyte) || first->size() != 3 * mebibyte) return 15;
    if (shared_memory_free_bytes().value() != mebibyte) return 16;
    if (!first->grow(4 * mebibyte) || shared_memory_free_bytes().value() != 0) return 17;
    // All of it is really there: no SIGBUS.
    std::fill_n(first->data(), 4 * mebibyte, std::byte{1});
    if (Segment::create("third", 1)) return 18;
    return 0;
}

TEST(SegmentTest, AFullSharedMemoryIsAnError) {
    constexpr int no_namespace = 3;
    Child child(
        [](int) { return testing::enter_own_host().empty() ? in_a_small_shared_memory() : no_namespace; });
    const int status = child.wait();
    ASSERT_NE(status, no_namespace) << "this host gives no mount namespace to have a small /dev/shm in";
    EXPECT_EQ(status, 0);
}

TEST(SegmentTest, OwnersAreSeenUntilTheyEnd) {
    const std::string name = test_segment_name();
    std::optional<Segment> owner = Segment::create(name, mebibyte).value();
    const Segment other = Segment::open(name, Access::read_only).value();
    EXPECT_TRUE(owner->has_owner());
    EXPECT_TRUE(other.has_owner());
    owner.reset();
    EXPECT_FALSE(other.has_owner());
    Segment::remove(name);
}

TEST(SegmentTest, AKilledOwnerIsNoticed) {
    const std::string name = test_segment_name();
    Child owner([&](int progress) {
        const Result<Segment> segment = Segment::create(name, mebibyte);
        if (!segment) return 1;
        Child::report(progress);
        for (;;)
            ::pause();
    });
    ASSERT_TRUE(owner.hear(1));
    const Segment segment = Segment::open(name, Access::read_only).value();
    EXPECT_TRUE(segment.has_owner());
    owner.kill();
    EXPECT_FALSE(segment.has_owner());
    Segment::remove(name);
}

TEST(StaleSegmentsTest, OnlyThoseWithoutAnOwnerGo) {
    const std::uint64_t living = fresh_id();
    const std::uint64_t killed = fresh_id();
    const std::uint64_t headless = fresh_id();
    const std::string replies_of_killed = reply_segment_name(pool_segment_name(killed, 1));
    const Result<Segment> directory = create_directory_segment(living);
    const std::string pool = pool_segment_name(living, 12345);
    const Result<Segment> pool_segment = Segment::create(pool, mebibyte);
    const Result<Segment> orphan = Segment::create(pool_segment_name(headless, 0), mebibyte);
    Child owner([&](int progress) {
        const Result<Segment> own_directory = create_directory_segment(killed);
        const Result<Segment> own_pool = Segment::create(pool_segment_name(killed, 1), mebibyte);
        const Result<Segment> own_replies = Segment::create(replies_of_killed, mebibyte);
        if (!own_directory || !own_pool || !own_replies) return 1;
        Child::report(progress);
        for (;;)
            ::pause();
    });
    ASSERT_TRUE(owner.hear(1));

    const std::vector<std::string> none = remove_stale_segments();
    EXPECT_EQ(std::count(none.begin(), none.end(), pool_segment_name(headless, 0)), 1) << "no directory";
    EXPECT_TRUE(exists(directory_segment_name(killed)) && exists(pool_segment_name(killed, 1)));
    owner.kill();
    const std::vector<std::string> removed = remove_stale_segments();
    EXPECT_EQ(std::count(removed.begin(), removed.end(), directory_segment_name(killed)), 1);
    EXPECT_EQ(std::count(removed.begin(), removed.end(), pool_segment_name(killed, 1)), 1);
    EXPECT_FALSE(exists(directory_segment_name(killed)) || exists(pool_segment_name(killed, 1)) ||
                 exists(replies_of_killed));

    EXPECT_TRUE(exists(directory_segment_name(living)) && exists(pool)) << "its owner lives";
    Segment::remove(pool);
    Segment::remove(directory_segment_name(living));
}

TEST(StaleSegmentsTest, WhatIsNotOursStays) {
    const std::string id = "ddict-" + hex(fresh_id());
    const std::vector<std::string> foreign = {id,
                                              id + "-m",
                                              id + "-mx",
                                              id + "-m1x",
                                              id + "-d",
                                              id + "-m1-replies2",
                                              id + "-replies",
                                              "x" + id,
                                              id + "-directory2",
                                              id + "0-m1",
                                              id + "-M1",
                                              "ddict-m1-" + std::to_string(::getpid())};
    for (const std::string& name : foreign)
        ::close(::open(("/dev/shm/" + name).c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    remove_stale_segments();
    for (const std::string& name : foreign)
        EXPECT_TRUE(Segment::remove(name)) << name;
}

// A sweep at any moment leaves a dictionary alone that is just being made or taken down.
TEST(StaleSegmentsTest, ASweepNeverHitsADictionaryInTheMaking) {
    // Every dictionary has an id of its own: a sweep may look for the owner of one that has ended just before
    // another one of the same id begins.
    const std::uint64_t first_id = fresh_id() & ~std::uint64_t{511};
    Child maker([&](int progress) {
        for (std::uint64_t id = first_id; id < first_id + 300; ++id) {
            {
                const Result<Segment> directory = create_directory_segment(id);
                const Result<Segment> pool = Segment::create(pool_segment_name(id, 0), 65536);
                if (!directory || !pool) return 1;
                if (!Segment::remove(pool_segment_name(id, 0))) return 2;
                if (!Segment::remove(directory_segment_name(id))) return 3;
            }
            Child::report(progress);
        }
        return 0;
    });
    const std::string prefix = hex(first_id).substr(0, 13);
    for (int round = 0; round < 300; ++round) {
        for (const std::string& name : remove_stale_segments())
            EXPECT_EQ(name.find(prefix), std::string::npos) << name;
        if (!maker.hear(1)) break;
    }
    EXPECT_EQ(maker.wait(), 0);
}

// Killed at any instruction, a maker leaves nothing that the next sweep does not find.
TEST(StaleSegmentsTest, AKilledMakerLeavesNothingForLong) {
    Chance chance;
    const std::uint64_t id = fresh_id();
    for (int round = 0; round < 40; ++round) {
        Child maker([&](int progress) {
            for (;;) {
                const Result<Segment> directory = create_directory_segment(id);
                Child::report(progress);
                const Result<Segment> pool = Segment::create(pool_segment_name(id, 0), mebibyte);
                Child::report(progress);
                if (!directory || !pool) return 1;
                Segment::remove(pool_segment_name(id, 0));
                Segment::remove(directory_segment_name(id));
            }
        });
        ASSERT_TRUE(maker.hear(1 + chance.below(10)));
        maker.kill();
        remove_stale_segments();
        ASSERT_FALSE(exists(directory_segment_name(id)) || exists(pool_segment_name(id, 0)));
    }
}

}  // namespace
}  // namespace ddict::shm
