// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Reads that clients count where managers see them.
#include "shm/read_counts.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "shm/directory_segment.h"

namespace ddict::shm {
namespace {

constexpr std::uint32_t first_local = 3;
constexpr std::uint32_t locals = 11;  // whose counts take two cache lines

class ReadCountsTest : public testing::Test {
  protected:
    ReadCountsTest() {
        std::random_device device;
        id_ = (std::uint64_t{device()} << 32) | device();
        segment_.emplace(create_directory_segment(id_).value());
        std::vector<DirectoryEntry> entries(first_local + locals);
        for (std::uint32_t i = 0; i < entries.size(); ++i)
            entries[i].shard = ShardId{i};
        write_directory(*segment_,
                        {.dictionary_id = id_, .first_local_manager = first_local, .local_managers = locals},
                        entries)
            .value();
        directory_.emplace(DirectorySegment::open(id_).value());
    }
    ~ReadCountsTest() override { Segment::remove(directory_segment_name(id_)); }

    ReadCounts counts() const { return ReadCounts::open(*directory_).value(); }
    ReadTotal total(std::uint32_t place) const { return {*directory_, first_local + place}; }

    std::uint64_t id_ = 0;
    std::optional<Segment> segment_;
    std::optional<DirectorySegment> directory_;
};

TEST_F(ReadCountsTest, EachManagerSeesItsOwnReads) {
    std::vector<ReadTotal> totals;
    for (std::uint32_t place = 0; place < locals; ++place)
        totals.push_back(total(place));
    {
        ReadCounts one = counts(), another = counts();
        AtomicWord* const columns[] = {one.take_column(), one.take_column(), another.take_column()};
        for (AtomicWord* const column : columns) {
            for (std::uint32_t place = 0; place < locals; ++place)
                column[place].fetch_add(place + 1);
        }
        for (std::uint32_t place = 0; place < locals; ++place)
            EXPECT_EQ(totals[place].advance(), 3 * (place + 1));
        columns[0][2].fetch_add(5);
    }
    // They stay when those have gone who have counted.
    EXPECT_EQ(totals[2].advance(), 9u + 5);
    EXPECT_EQ(total(2).advance(), 0u) << "a manager that begins counts from there on";
    EXPECT_EQ(directory_->entry(ShardId{0})->shard, ShardId{0}) << "and the directory is as it was";
}

TEST_F(ReadCountsTest, ThreadsShareColumnsOnlyWhenThereAreNoOthers) {
    ReadCounts mine = counts(), others = counts();
    std::set<std::ptrdiff_t> taken;
    std::vector<AtomicWord*> columns;
    const auto first = mine.take_column();
    columns.push_back(first);
    for (std::uint32_t i = 1; i < read_columns; ++i)
        columns.push_back(mine.take_column());
    for (const AtomicWord* const column : columns)
        taken.insert(column - first);
    EXPECT_EQ(taken.size(), read_columns);
    // One that has been released is the first to be taken again.
    mine.release(columns[17]);
    others.take_column()[0].fetch_add(1);
    EXPECT_EQ(columns[17][0].load(), 1u);
    // And more threads than columns are dealt out evenly.
    std::multiset<const AtomicWord*> second;
    for (std::uint32_t i = 0; i < read_columns; ++i)
        second.insert(mine.take_column());
    for (const AtomicWord* const column : columns)
        EXPECT_EQ(second.count(column), 1u);
    // Released more often than taken: no number wraps.
    for (int i = 0; i < 5; ++i)
        mine.release(columns[3]);
    EXPECT_EQ(mine.take_column(), columns[3]);
}

TEST_F(ReadCountsTest, NothingIsLostWhereThreadsShareAColumn) {
    ReadTotal seen = total(4);
    constexpr unsigned threads = 8;
    constexpr std::uint64_t reads = 100'000;
    ReadCounts shared = counts();
    AtomicWord* const column = shared.take_column();
    std::vector<std::thread> readers;
    for (unsigned t = 0; t < threads; ++t)
        readers.emplace_back([column] {
            for (std::uint64_t i = 0; i < reads; ++i)
                column[4].fetch_add(1, std::memory_order_relaxed);
        });
    std::uint64_t before = 0;
    for (int i = 0; i < 100; ++i) {
        const std::uint64_t now = seen.advance();
        EXPECT_GE(now, before);
        before = now;
    }
    for (std::thread& reader : readers)
        reader.join();
    EXPECT_EQ(seen.advance(), threads * reads);
}

TEST_F(ReadCountsTest, WhatAKilledProcessHasCountedStays) {
    ReadTotal seen = total(0);
    const pid_t child = ::fork();
    if (child == 0) {
        ReadCounts own = counts();
        AtomicWord* const column = own.take_column();
        for (int i = 0; i < 1234; ++i)
            column[0].fetch_add(1, std::memory_order_relaxed);
        ::raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(seen.advance(), 1234u);
}

TEST_F(ReadCountsTest, NonsenseIsNotCounted) {
    ReadTotal seen = total(1);
    ReadCounts liar = counts();
    AtomicWord* const column = liar.take_column();
    AtomicWord& count = column[1];
    count = 100;
    EXPECT_EQ(seen.advance(), 100u);
    count = 40;  // it has shrunk
    EXPECT_EQ(seen.advance(), 100u);
    count = 45;
    EXPECT_EQ(seen.advance(), 105u);
    count = ~std::uint64_t{0};
    EXPECT_EQ(seen.advance(), 105u);
    count.fetch_add(3);  // beyond the end of the number
    EXPECT_EQ(seen.advance(), 108u);
    std::uint64_t before = 108;
    for (int i = 0; i < 20'000; ++i) {  // as fast as it is believed
        count.fetch_add((std::uint64_t{1} << 48) - 1);
        const std::uint64_t now = seen.advance();
        ASSERT_GE(now, before);
        ASSERT_LE(now, ReadTotal::reads_max);
        before = now;
    }
    EXPECT_EQ(before, ReadTotal::reads_max);
}

TEST_F(ReadCountsTest, OnlyThePartIsMapped) {
    const std::uint64_t offset = directory_->read_counts_offset();
    const std::uint64_t bytes = read_counts_bytes(locals);
    EXPECT_EQ(offset % page_bytes, 0u);
    EXPECT_EQ(offset + bytes, segment_->size());
    const std::string& name = segment_->name();
    EXPECT_TRUE(SegmentPart::open(name, offset, bytes));
    EXPECT_EQ(SegmentPart::open(name, offset, bytes + 1).error().code, Errc::protocol);
    EXPECT_EQ(SegmentPart::open(name, offset + page_bytes, bytes).error().code, Errc::protocol);
    EXPECT_EQ(SegmentPart::open(name, ~std::uint64_t{0}, bytes).error().code, Errc::protocol);
    Segment::remove(name);
    EXPECT_EQ(ReadCounts::open(*directory_).error().code, Errc::dictionary_gone);
}

}  // namespace
}  // namespace ddict::shm
