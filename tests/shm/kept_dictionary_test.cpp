// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What stays in shared memory of a dictionary that is kept, and a pool that another dictionary goes on with.
#include "shm/kept_dictionary.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/limits.h"
#include "shm/directory_segment.h"
#include "shm/layout.h"
#include "shm/reader.h"
#include "tests/shm/chance.h"
#include "tests/shm/child.h"
#include "tests/shm/store_points.h"
#include "tests/shm/string_sink.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

bool exists(const std::string& name) {
    return std::filesystem::exists("/dev/shm/" + name);
}

class KeptDictionaryTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::random_device device;
        id_ = (std::uint64_t{device()} << 32) | device();
        kept_ = {.dictionary_id = id_,
                 .name = "kept-test-" + std::to_string(::getpid()),
                 .nodes = 2,
                 .managers_per_node = 2,
                 .first_manager = 2,
                 .pool_bytes = limits::pool_bytes_min,
                 .kept_at = 1'800'000'000,
                 .layout_version = pool_layout_version};
        for (const std::uint32_t manager : {2U, 3U}) {
            const std::string pool = pool_segment_name(id_, manager);
            ASSERT_TRUE(Segment::create(pool, page_bytes));
            ASSERT_TRUE(Segment::create(reply_segment_name(pool), page_bytes));
            std::ofstream(socket_path(pool)) << "in the place of a socket";
        }
    }
    void TearDown() override {
        Segment::remove(kept_segment_name(id_));
        remove_stale_segments();
        for (const auto& file : std::filesystem::directory_iterator("/dev/shm"))
            EXPECT_EQ(file.path().filename().string().find(pool_segment_name(id_, 2).substr(0, 22)),
                      std::string::npos)
                << file.path();
    }
    std::vector<KeptDictionary> listed() const {
        std::vector<KeptDictionary> all = list_kept().value();
        std::erase_if(all, [&](const KeptDictionary& one) { return one.dictionary_id != id_; });
        return all;
    }
    bool all_is_there() const {
        bool there = exists(kept_segment_name(id_));
        for (const std::uint32_t manager : {2U, 3U}) {
            const std::string pool = pool_segment_name(id_, manager);
            there = there && exists(pool) && exists(reply_segment_name(pool));
        }
        return there;
    }

    std::uint64_t id_ = 0;
    KeptDictionary kept_;
};

TEST_F(KeptDictionaryTest, StaysWhenWhatIsStaleIsRemoved) {
    ASSERT_TRUE(create_directory_segment(id_)) << "whose owner has gone already";
    ASSERT_TRUE(keep(kept_));
    remove_stale_segments();
    EXPECT_TRUE(all_is_there());
    EXPECT_FALSE(exists(directory_segment_name(id_)));
    EXPECT_FALSE(std::filesystem::exists(socket_path(pool_segment_name(id_, 2)))) << "nobody listens there";
    ASSERT_EQ(listed().size(), 1U);
    EXPECT_EQ(listed()[0], kept_);
    struct stat info {};
    ASSERT_EQ(::stat(("/dev/shm/" + kept_segment_name(id_)).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
}

TEST_F(KeptDictionaryTest, IsGivenBackWhenItIsDiscarded) {
    ASSERT_TRUE(keep(kept_));
    ASSERT_TRUE(discard_kept(id_));
    EXPECT_FALSE(exists(kept_segment_name(id_)));
    EXPECT_FALSE(exists(pool_segment_name(id_, 2)));
    EXPECT_FALSE(exists(reply_segment_name(pool_segment_name(id_, 3))));
    EXPECT_EQ(discard_kept(id_).error().code, Errc::dictionary_gone);
    EXPECT_TRUE(listed().empty());
}

TEST_F(KeptDictionaryTest, OneAtATimeMayTakeItOver) {
    ASSERT_TRUE(keep(kept_));
    Segment late = Segment::open(kept_segment_name(id_), Access::read_write).value();
    {
        Segment owner = Segment::open(kept_segment_name(id_), Access::read_write).value();
        ASSERT_TRUE(owner.own());
        EXPECT_TRUE(late.has_owner());
        EXPECT_EQ(late.own().error().code, Errc::busy);
        EXPECT_EQ(discard_kept(id_).error().code, Errc::busy);
        EXPECT_TRUE(all_is_there());
    }
    ASSERT_TRUE(late.own()) << "an owner that has ended is none";
    late = Segment::open(kept_segment_name(id_), Access::read_write).value();
    ASSERT_TRUE(discard_kept(id_));
    EXPECT_EQ(late.own().error().code, Errc::dictionary_gone) << "it was discarded since this was opened";
}

/// As if its writer had been killed in the middle, or somebody else had written there.
TEST_F(KeptDictionaryTest, AMarkThatIsNotWellFormedKeepsNothing) {
    Chance chance;
    ASSERT_TRUE(keep(kept_));
    {
        Segment mark = Segment::open(kept_segment_name(id_), Access::read_write).value();
        mark.data()[chance.below(120)] ^= std::byte{1};
    }
    EXPECT_FALSE(is_kept(kept_segment_name(id_)));
    EXPECT_TRUE(listed().empty());
    remove_stale_segments();
    EXPECT_FALSE(exists(kept_segment_name(id_)));
    EXPECT_FALSE(exists(pool_segment_name(id_, 2)));
    EXPECT_FALSE(exists(reply_segment_name(pool_segment_name(id_, 3))));
}

/// Lets this process open so many files more.
void permit_files_more(rlim_t files) {
    const int next = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    ::close(next);
    const rlim_t limit = static_cast<rlim_t>(next) + files;
    const rlimit descriptors{.rlim_cur = limit, .rlim_max = limit};
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
}

/// What is mapped stays so, but nothing comes to it.
[[maybe_unused]] void permit_no_more_memory() {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit memory{.rlim_cur = pages * page_bytes, .rlim_max = pages * page_bytes};
    ::setrlimit(RLIMIT_AS, &memory);
}

TEST_F(KeptDictionaryTest, StaysWhereItsMarkCannotBeOpened) {
    ASSERT_TRUE(keep(kept_));
    const std::string mark = kept_segment_name(id_);
    Child asking([&](int) {
        permit_files_more(0);
        if (Segment::open(mark, Access::read_only)) return 2;
        return is_kept(mark) ? 0 : 1;
    });
    EXPECT_EQ(asking.wait(), 0);
    Child sweeping([&](int) {
        permit_files_more(1);  // the folder
        remove_stale_segments();
        return 0;
    });
    EXPECT_EQ(sweeping.wait(), 0);
    EXPECT_FALSE(std::filesystem::exists(socket_path(pool_segment_name(id_, 2)))) << "it did list the folder";
    EXPECT_TRUE(all_is_there());
}

// A sanitizer itself needs more memory all the time, and ends the process without it.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(KeptDictionaryTest, StaysWhereItsMarkCannotBeMapped) {
    ASSERT_TRUE(keep(kept_));
    const std::string mark = kept_segment_name(id_);
    Child sweeping([&](int) {
        permit_no_more_memory();
        if (Segment::open(mark, Access::read_only)) return 2;
        if (!is_kept(mark)) return 1;
        remove_stale_segments();
        return 0;
    });
    EXPECT_EQ(sweeping.wait(), 0);
    EXPECT_TRUE(all_is_there());
}
#endif

/// What cannot be looked at is not said to be nothing.
TEST_F(KeptDictionaryTest, IsNotOverlookedForWantOfDescriptors) {
    ASSERT_TRUE(keep(kept_));
    for (const rlim_t more : {0U, 1U}) {  // for the folder, and none for the mark in it
        Child looking([&](int) {
            permit_files_more(more);
            const Result<std::vector<KeptDictionary>> all = list_kept();
            if (all) return 1;
            const std::string why = all.error().detail.data();
            if (all.error().code != Errc::system || why.find("files") == std::string::npos) return 2;
            return 0;
        });
        EXPECT_EQ(looking.wait(), 0) << more;
    }
    EXPECT_EQ(listed().size(), 1U);
}

/// Root may read it in spite of its mode, and finds it well formed.
TEST_F(KeptDictionaryTest, StaysWhereItsMarkMayNotBeRead) {
    ASSERT_TRUE(keep(kept_));
    ASSERT_EQ(::chmod(("/dev/shm/" + kept_segment_name(id_)).c_str(), 0), 0);
    EXPECT_TRUE(is_kept(kept_segment_name(id_)));
    remove_stale_segments();
    EXPECT_TRUE(all_is_there());
    if (::geteuid() != 0) {
        EXPECT_EQ(list_kept().error().code, Errc::system);
        ASSERT_EQ(::chmod(("/dev/shm/" + kept_segment_name(id_)).c_str(), 0600), 0);
    }
    EXPECT_EQ(listed().size(), 1U);
}

TEST_F(KeptDictionaryTest, WhatIsNoMarkKeepsNothing) {
    const std::string mark = kept_segment_name(id_);
    const std::string path = "/dev/shm/" + mark;
    EXPECT_FALSE(is_kept(mark)) << "there is none";
    std::ofstream(path).close();
    EXPECT_FALSE(is_kept(mark)) << "it is empty";
    std::filesystem::remove(path);
    std::filesystem::create_symlink("/dev/shm/" + pool_segment_name(id_, 2), path);
    EXPECT_FALSE(is_kept(mark)) << "it is a link";
    std::filesystem::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_FALSE(is_kept(mark)) << "it is a pipe";
    EXPECT_TRUE(listed().empty());
    std::filesystem::remove(path);
    remove_stale_segments();
    EXPECT_FALSE(exists(pool_segment_name(id_, 2)));
}

TEST_F(KeptDictionaryTest, ADirectoryTellsWhoHasItMapped) {
    Segment written = create_directory_segment(id_).value();
    DirectoryEntry entry;
    entry.node = "n1";
    entry.address = {std::byte{1}};
    ASSERT_TRUE(write_directory(written, {.dictionary_id = id_, .local_managers = 1}, {entry}));
    const DirectorySegment mapped = DirectorySegment::open(id_).value();
    EXPECT_FALSE(mapped.is_kept());
    mark_kept(written);
    EXPECT_TRUE(mapped.is_kept());
    EXPECT_EQ(DirectorySegment::open(id_).error().code, Errc::dictionary_gone);
    Segment::remove(written.name());
}

// ---- a pool in its next dictionary ----

class HandedOverTest : public ::testing::Test {
  protected:
    HandedOverTest() {
        Segment segment = Segment::create(name_, bytes).value();
        Pool::format(segment, test_identity()).value();
        pool_ = Pool::attach(std::move(segment)).value();
        for (std::uint64_t i = 0; i < 1000; ++i)
            put(*pool_, numbered_key(i), std::to_string(i)).value();
        next_.dictionary_id = 77;
        next_.secret[3] = std::byte{9};
        next_.manager = 7;
        next_.node = "n3";
    }
    ~HandedOverTest() override { Segment::remove(name_); }
    Segment opened(Access access = Access::read_write) const { return Segment::open(name_, access).value(); }
    Result<std::shared_ptr<const PoolReader>> reader_of(const PoolIdentity& identity) const {
        return PoolReader::open(opened(Access::read_only), {.dictionary_id = identity.dictionary_id,
                                                            .secret = identity.secret,
                                                            .manager = identity.manager});
    }
    static Read get(const PoolReader& reader, std::string_view key) {
        StringSink sink;
        Result<void> outcome;
        return reader.get(bytes_of(key), hash_of(bytes_of(key)), sink, outcome);
    }
    void expect_all(const Pool& pool) const {
        EXPECT_EQ(pool.size(), 1000U);
        for (std::uint64_t i = 0; i < 1000; ++i)
            ASSERT_EQ(value_of(pool, numbered_key(i)), std::to_string(i));
        EXPECT_EQ(pool.inconsistency(), "");
    }

    static constexpr std::uint64_t bytes = limits::pool_bytes_min;
    const std::string name_ = test_segment_name();
    std::unique_ptr<Pool> pool_;
    PoolIdentity next_;
};

TEST_F(HandedOverTest, IsTheNextDictionarysWithAllPairs) {
    pool_->mark_gone(PoolEnd::dictionary);
    pool_.reset();
    Segment segment = opened();
    EXPECT_FALSE(Pool::was_kept(segment));
    ASSERT_TRUE(Pool::hand_over(segment, next_));
    EXPECT_TRUE(Pool::was_kept(segment));
    EXPECT_TRUE(Pool::was_attached(segment)) << "it is to be recovered";
    EXPECT_EQ(reader_of(next_).error().code, Errc::not_attached) << "before its manager has it";

    RecoveryReport report;
    const auto pool = Pool::recover(opened(), {}, report).value();
    EXPECT_EQ(report.pairs, 1000U);
    expect_all(*pool);
    EXPECT_EQ(pool->identity().dictionary_id, next_.dictionary_id);
    EXPECT_EQ(pool->identity().node, "n3");
    EXPECT_EQ(pool->recoveries(), 0U) << "nobody has died in this dictionary";
    EXPECT_FALSE(pool->is_without_kept());
    EXPECT_FALSE(pool->gone());
    EXPECT_EQ(get(**reader_of(next_), numbered_key(5)), Read::value);
    EXPECT_EQ(reader_of(test_identity()).error().code, Errc::access_denied);
    EXPECT_FALSE(Pool::was_kept(segment)) << "a manager that is killed now is recovered as any";
}

TEST_F(HandedOverTest, WhoHasItMappedReadsNothingOfTheNextDictionary) {
    const auto before = reader_of(test_identity()).value();
    ASSERT_EQ(get(*before, numbered_key(5)), Read::value);
    pool_->mark_gone(PoolEnd::dictionary);
    EXPECT_TRUE(before->ended_with_dictionary());
    pool_.reset();
    for (int life = 0; life < 3; ++life) {
        Segment segment = opened();
        ASSERT_TRUE(Pool::hand_over(segment, next_));
        EXPECT_EQ(get(*before, numbered_key(5)), Read::ask);
        RecoveryReport report;
        const auto pool = Pool::recover(opened(), {}, report).value();
        EXPECT_EQ(get(*before, numbered_key(5)), Read::ask);
        EXPECT_TRUE(before->gone());
        EXPECT_TRUE(before->ended_with_dictionary());
        const auto now = reader_of(next_).value();
        EXPECT_EQ(get(*now, numbered_key(5)), Read::value);
        Pool::mark_gone(segment);
        EXPECT_TRUE(now->gone());
        EXPECT_FALSE(now->ended_with_dictionary()) << "its manager has ended alone";
        RecoveryReport again;
        const auto restarted = Pool::recover(opened(), {}, again).value();
        EXPECT_EQ(restarted->recoveries(), 1U);
        EXPECT_EQ(get(*now, numbered_key(5)), Read::value) << "as after any restart";
        EXPECT_EQ(get(*before, numbered_key(5)), Read::ask);
    }
}

TEST_F(HandedOverTest, KilledAtAnyStoreItCanBeDoneAgain) {
    pool_->mark_gone(PoolEnd::dictionary);
    pool_.reset();
    const std::string image_name = test_segment_name();
    Segment image = Segment::create(image_name, bytes).value();
    Segment segment = opened();
    std::byte* const memory = segment.data();
    StorePoints points({{memory, bytes}}, [&] {
        if (HasFatalFailure()) return;
        std::memcpy(image.data(), memory, bytes);
        Segment again = Segment::open(image_name, Access::read_write).value();
        ASSERT_TRUE(Pool::hand_over(again, next_));
        RecoveryReport report;
        const auto pool = Pool::recover(std::move(again), {}, report).value();
        EXPECT_EQ(pool->recoveries(), 0U);
        expect_all(*pool);
    });
    EXPECT_GT(points.run([&] { Pool::hand_over(segment, next_).value(); }), 5U);
    Segment::remove(image_name);
}

TEST_F(HandedOverTest, OnlyAPoolThatAManagerHasLeft) {
    Segment fresh = nameless_segment(bytes);
    EXPECT_EQ(Pool::hand_over(fresh, next_).error().code, Errc::protocol) << "not formatted";
    Pool::format(fresh, test_identity()).value();
    EXPECT_EQ(Pool::hand_over(fresh, next_).error().code, Errc::system) << "no manager has had it";
    Pool::set_without_kept(fresh);
    EXPECT_TRUE(Pool::attach(std::move(fresh)).value()->is_without_kept());
    reinterpret_cast<PoolHeader*>(opened().data())->layout_version = pool_layout_version + 1;
    Segment other = opened();
    EXPECT_EQ(Pool::hand_over(other, next_).error().code, Errc::incompatible);
}

}  // namespace
}  // namespace ddict::shm
