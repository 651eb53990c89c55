// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/directory_segment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "shm/layout.h"
#include "tests/shm/chance.h"

namespace ddict::shm {
namespace {

std::vector<DirectoryEntry> entries_of(std::uint32_t managers) {
    std::vector<DirectoryEntry> entries(managers);
    for (std::uint32_t i = 0; i < managers; ++i) {
        entries[i].shard = ShardId{i};
        entries[i].node = "node" + std::to_string(i / 4);
        entries[i].process = {.host_key = i * 77,
                              .pid = static_cast<std::int32_t>(1000 + i),
                              .pid_namespace = 0,
                              .start_time = 5};
        entries[i].pool_bytes = 1'000'000 + i;
        entries[i].address.assign(79 + i % 200, static_cast<std::byte>(i));
    }
    return entries;
}

class DirectorySegmentTest : public testing::Test {
  protected:
    DirectorySegmentTest() {
        std::random_device device;
        identity_.dictionary_id = (std::uint64_t{device()} << 32) | device();
        identity_.secret.fill(std::byte{9});
        identity_.ucx_version = (1 << 16) | 13;
    }
    ~DirectorySegmentTest() override { Segment::remove(directory_segment_name(identity_.dictionary_id)); }

    void create() { segment_.emplace(create_directory_segment(identity_.dictionary_id).value()); }
    void write(std::uint32_t managers) {
        create();
        const Result<void> written = write_directory(*segment_, identity_, entries_of(managers));
        ASSERT_TRUE(written) << written.error().message();
    }
    Result<DirectorySegment> open() const { return DirectorySegment::open(identity_.dictionary_id); }
    DirectorySegmentHeader& header() { return *reinterpret_cast<DirectorySegmentHeader*>(segment_->data()); }

    DirectoryIdentity identity_;
    std::optional<Segment> segment_;
};

TEST_F(DirectorySegmentTest, TellsWhichManagersAreOfThisNode) {
    identity_.first_local_manager = 6;
    identity_.local_managers = 3;
    create();
    EXPECT_EQ(write_directory(*segment_, identity_, entries_of(8)).error().code, Errc::invalid_argument);
    ASSERT_TRUE(write_directory(*segment_, identity_, entries_of(9)));
    {
        const DirectorySegment directory = open().value();
        EXPECT_EQ(directory.identity().first_local_manager, 6U);
        EXPECT_EQ(directory.identity().local_managers, 3U);
    }
    header().local_managers = 4;
    EXPECT_EQ(open().error().code, Errc::protocol);
    header().local_managers = 1;
    header().first_local_manager = ~std::uint32_t{0};
    EXPECT_EQ(open().error().code, Errc::protocol);
}

TEST_F(DirectorySegmentTest, GivesBackWhatWasWritten) {
    constexpr std::uint32_t managers = 1000;
    write(managers);
    const Result<DirectorySegment> directory = open();
    ASSERT_TRUE(directory) << directory.error().message();
    EXPECT_EQ(directory->identity().dictionary_id, identity_.dictionary_id);
    EXPECT_EQ(directory->identity().secret, identity_.secret);
    EXPECT_EQ(directory->identity().ucx_version, identity_.ucx_version);
    EXPECT_EQ(directory->manager_count(), managers);
    const std::vector<DirectoryEntry> expected = entries_of(managers);
    for (std::uint32_t i = 0; i < managers; ++i) {
        const Result<DirectoryEntry> entry = directory->entry(ShardId{i});
        ASSERT_TRUE(entry) << entry.error().message();
        EXPECT_EQ(number_of(entry->shard), i);
        EXPECT_EQ(entry->node, expected[i].node);
        EXPECT_EQ(entry->process.host_key, expected[i].process.host_key);
        EXPECT_EQ(entry->process.pid, expected[i].process.pid);
        EXPECT_EQ(entry->process.start_time, expected[i].process.start_time);
        EXPECT_EQ(entry->pool_bytes, expected[i].pool_bytes);
        EXPECT_EQ(entry->address, expected[i].address);
    }
    EXPECT_EQ(directory->entry(ShardId{managers}).error().code, Errc::invalid_argument);
    EXPECT_EQ(header().bytes, directory_segment_bytes(expected));
}

TEST_F(DirectorySegmentTest, OfADictionaryThatIsNotThere) {
    const Result<DirectorySegment> directory = open();
    ASSERT_FALSE(directory);
    EXPECT_EQ(directory.error().code, Errc::dictionary_gone);
}

TEST_F(DirectorySegmentTest, OfADictionaryWhoseLauncherIsDead) {
    write(3);
    const Result<DirectorySegment> before = open();
    ASSERT_TRUE(before);
    EXPECT_TRUE(before->has_owner());
    segment_.reset();
    EXPECT_FALSE(before->has_owner());
    EXPECT_EQ(open().error().code, Errc::dictionary_gone);
}

TEST_F(DirectorySegmentTest, NotFilledYet) {
    create();
    EXPECT_EQ(open().error().code, Errc::dictionary_gone);
}

TEST_F(DirectorySegmentTest, IsFilledOnceAndInOrder) {
    create();
    std::vector<DirectoryEntry> entries = entries_of(3);
    std::swap(entries[0], entries[1]);
    EXPECT_EQ(write_directory(*segment_, identity_, entries).error().code, Errc::invalid_argument);
    EXPECT_EQ(write_directory(*segment_, identity_, {}).error().code, Errc::invalid_argument);
    EXPECT_TRUE(write_directory(*segment_, identity_, entries_of(3)));
    EXPECT_EQ(write_directory(*segment_, identity_, entries_of(3)).error().code, Errc::invalid_argument);
}

TEST_F(DirectorySegmentTest, OfAnotherVersion) {
    write(3);
    header().layout_version = directory_layout_version + 1;
    EXPECT_EQ(open().error().code, Errc::incompatible);
}

TEST_F(DirectorySegmentTest, WithADamagedHeader) {
    write(3);
    const auto refused = [&](auto& field, auto value) {
        const auto before = field;
        field = value;
        EXPECT_EQ(open().error().code, Errc::protocol) << value;
        field = before;
        EXPECT_TRUE(open());
    };
    refused(header().manager_count, 0U);
    refused(header().manager_count, 4000U);
    refused(header().manager_count, ~0U);
    refused(header().dictionary_id, identity_.dictionary_id + 1);
    refused(header().bytes, std::uint64_t{0});
    refused(header().bytes, segment_->size() + 1);
    refused(header().bytes, header().bytes - 1);
    refused(header().slot_bytes, 0U);
    refused(header().slot_bytes, 63U);
    refused(header().slot_bytes, ~0U);
    header().ready.store(12345);
    EXPECT_EQ(open().error().code, Errc::protocol);
}

TEST_F(DirectorySegmentTest, WithADamagedEntry) {
    write(3);
    const auto slot = [&](std::uint64_t number) {
        return reinterpret_cast<std::uint64_t*>(segment_->data() + sizeof(DirectorySegmentHeader) +
                                                number * header().slot_bytes);
    };
    const std::uint64_t version = *slot(1);
    std::uint64_t& length = slot(1)[1 + version % 2 * ((header().slot_bytes - 8) / 16)];
    for (const std::uint64_t bad :
         {std::uint64_t{0}, length - 1, length + 1, std::uint64_t{header().slot_bytes}, ~std::uint64_t{0}}) {
        const std::uint64_t before = length;
        length = bad;
        const Result<DirectorySegment> directory = open();
        ASSERT_TRUE(directory);
        EXPECT_EQ(directory->entry(ShardId{1}).error().code, Errc::protocol) << bad;
        EXPECT_TRUE(directory->entry(ShardId{2})) << "the others can still be read";
        length = before;
    }
    for (const std::uint64_t bad : {std::uint64_t{0}, version + 1}) {
        *slot(1) = bad;
        EXPECT_EQ(open()->entry(ShardId{1}).error().code, Errc::protocol) << bad;
    }
    *slot(1) = version;
    EXPECT_TRUE(open()->entry(ShardId{1}));
    std::swap_ranges(slot(0), slot(1), slot(1));
    EXPECT_EQ(open()->entry(ShardId{0}).error().code, Errc::protocol) << "it is of another shard";
}

TEST_F(DirectorySegmentTest, AnEntryIsReplacedByANewerOneOnly) {
    write(3);
    const DirectorySegment directory = open().value();
    DirectoryEntry entry = entries_of(3)[1];
    entry.address.assign(100, std::byte{42});
    EXPECT_FALSE(update_entry(*segment_, entry).value()) << "of the same epoch";
    entry.epoch = Epoch{2};
    entry.state = ServingState::lost;
    entry.reason = std::string(1000, 'r');
    EXPECT_TRUE(update_entry(*segment_, entry).value());
    const DirectoryEntry seen = directory.entry(ShardId{1}).value();
    EXPECT_EQ(seen.epoch, Epoch{2});
    EXPECT_EQ(seen.state, ServingState::lost);
    EXPECT_EQ(seen.reason, std::string(DirectoryEntry::reason_bytes_max, 'r'));
    EXPECT_EQ(seen.address, entry.address);
    for (const std::uint32_t epoch : {1u, 2u}) {
        entry.epoch = Epoch{epoch};
        EXPECT_FALSE(update_entry(*segment_, entry).value());
    }
    EXPECT_EQ(directory.entry(ShardId{0})->epoch, first_epoch) << "the others stay as they are";
    EXPECT_EQ(directory.entry(ShardId{2})->epoch, first_epoch);
    entry.epoch = Epoch{3};
    entry.shard = ShardId{3};
    EXPECT_EQ(update_entry(*segment_, entry).error().code, Errc::invalid_argument);
    entry.shard = ShardId{1};
    entry.address.assign(5000, std::byte{1});
    EXPECT_EQ(update_entry(*segment_, entry).error().code, Errc::too_large);
    EXPECT_EQ(directory.entry(ShardId{1})->epoch, Epoch{2});
}

// The one who writes an entry anew mends what stood there, whatever that was.
TEST_F(DirectorySegmentTest, AnEntryIsReplacedWhateverItsVersionWas) {
    write(2);
    for (const std::uint64_t version : {~std::uint64_t{0}, ~std::uint64_t{0} - 1, std::uint64_t{0}}) {
        std::byte* const slot = segment_->data() + sizeof(DirectorySegmentHeader) + header().slot_bytes;
        std::memset(slot, 0xff, header().slot_bytes);
        std::memcpy(slot, &version, sizeof version);
        DirectoryEntry entry = entries_of(2)[1];
        entry.epoch = next(entry.epoch);
        ASSERT_TRUE(update_entry(*segment_, entry).value()) << version;
        const Result<DirectoryEntry> read = open().value().entry(ShardId{1});
        ASSERT_TRUE(read) << version;
        EXPECT_EQ(read->address, entry.address);
    }
}

TEST_F(DirectorySegmentTest, CannotBeChangedBeforeItIsFilled) {
    create();
    EXPECT_EQ(update_entry(*segment_, entries_of(1)[0]).error().code, Errc::invalid_argument);
}

/// Who is killed in the middle of a change leaves the old entry: a change writes where nobody reads, and then
/// one word.
TEST_F(DirectorySegmentTest, AChangeThatWasNotFinishedIsNotSeen) {
    write(2);
    std::vector<std::byte> before(segment_->data(), segment_->data() + segment_->size());
    DirectoryEntry entry = entries_of(2)[1];
    entry.epoch = Epoch{2};
    entry.address.assign(150, std::byte{42});
    ASSERT_TRUE(update_entry(*segment_, entry).value());
    std::vector<std::byte> after(segment_->data(), segment_->data() + segment_->size());
    const std::uint64_t version = sizeof(DirectorySegmentHeader) + header().slot_bytes;
    ASSERT_NE(std::memcmp(&before[version], &after[version], 8), 0);
    std::memcpy(segment_->data() + version, &before[version], 8);
    EXPECT_EQ(open()->entry(ShardId{1})->epoch, first_epoch);
    EXPECT_EQ(open()->entry(ShardId{1})->address, entries_of(2)[1].address);
}

/// Each entry is as long as its epoch says, and of one byte only, so that any mixture shows.
TEST_F(DirectorySegmentTest, ReadersSeeTheOldEntryOrTheNewOne) {
    write(2);
    const DirectorySegment directory = open().value();
    const auto fill = [](DirectoryEntry& entry) {
        const std::uint32_t number = number_of(entry.epoch);
        entry.address.assign(60 + number % 100, static_cast<std::byte>(number));
        entry.node = std::string(1 + number % 50, static_cast<char>('a' + number % 26));
        entry.pool_bytes = number;
    };
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> changes_seen{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) {
        readers.emplace_back([&] {
            Epoch last = no_epoch;
            while (!over.load()) {
                const Result<DirectoryEntry> seen = directory.entry(ShardId{1});
                ASSERT_TRUE(seen) << seen.error().message();
                ASSERT_GE(seen->epoch, last) << "what is known never becomes older";
                if (seen->epoch != last) changes_seen.fetch_add(1);
                last = seen->epoch;
                if (last == first_epoch) continue;
                DirectoryEntry expected = *seen;
                fill(expected);
                ASSERT_EQ(seen->address, expected.address);
                ASSERT_EQ(seen->node, expected.node);
                ASSERT_EQ(seen->pool_bytes, expected.pool_bytes);
            }
        });
    }
    DirectoryEntry entry = entries_of(2)[1];
    for (int i = 0; i < 50'000 || (changes_seen.load() < 100 && i < 50'000'000); ++i) {
        entry.epoch = next(entry.epoch);
        fill(entry);
        ASSERT_TRUE(update_entry(*segment_, entry).value());
    }
    over = true;
    for (std::thread& reader : readers)
        reader.join();
    EXPECT_GE(changes_seen.load(), 100U);
}

// Whatever the bytes are, reading stays inside the segment and an entry is of the manager asked for.
TEST_F(DirectorySegmentTest, OfRandomDamage) {
    Chance chance;
    write(20);
    std::vector<std::byte> good(segment_->size());
    std::memcpy(good.data(), segment_->data(), good.size());
    const std::uint64_t written = header().bytes - 8;
    std::uint64_t opened = 0;
    for (int round = 0; round < 5000; ++round) {
        for (std::uint64_t i = 1 + chance.below(4); i > 0; --i)
            segment_->data()[8 + chance.below(written)] = static_cast<std::byte>(chance.number());
        const Result<DirectorySegment> directory = open();
        for (std::uint32_t i = 0; directory && i < directory->manager_count(); ++i) {
            const Result<DirectoryEntry> entry = directory->entry(ShardId{i});
            if (entry) {
                EXPECT_EQ(number_of(entry->shard), i);
            }
            ++opened;
        }
        std::memcpy(segment_->data(), good.data(), good.size());
    }
    EXPECT_GT(opened, 0U);
}

}  // namespace
}  // namespace ddict::shm
