// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Whatever happens to the files of a checkpoint is found out, and harms nothing else.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "base/checksum.h"
#include "persist/folder.h"
#include "tests/persist/samples.h"

namespace ddict::persist {
namespace {

class Damage : public testing::Test {
  protected:
    void SetUp() override {
        for (int i = 0; i < 2; ++i) {
            auto saved = save(dir_.path(), "d", {some_pairs(), {{.key = "other", .value = "file"}}});
            ASSERT_TRUE(saved) << saved.error().message();
            folder_ = saved->folder;
        }
        before_ = folder_.parent_path() / "000001";
    }
    /// What comes of reading all of the newest checkpoint.
    Result<void> read() const {
        const Result<Checkpoint> found = find_checkpoint(dir_.path());
        if (!found) return found.error();
        return verify(*found, nullptr);
    }
    void expect(Errc code, std::string_view name, const std::string& what) const {
        const Result<void> outcome = read();
        ASSERT_FALSE(outcome) << what;
        EXPECT_EQ(outcome.error().code, code) << what << ": " << outcome.error().message();
        EXPECT_NE(outcome.error().message().find(name), std::string::npos) << outcome.error().message();
    }
    void expect_older_readable() const {
        const Result<Checkpoint> older = find_checkpoint(before_);
        ASSERT_TRUE(older) << older.error().message();
        EXPECT_TRUE(verify(*older, nullptr));
    }
    /// With another byte at one place, and what is a checksum of it as it should be.
    template <class T, class Change>
    void rewrite(const fs::path& path, std::size_t offset, Change change) {
        std::string content = content_of(path);
        T record;
        std::memcpy(&record, content.data() + offset, sizeof record);
        change(record);
        const T with_checksum = sealed(record);
        std::memcpy(content.data() + offset, &with_checksum, sizeof with_checksum);
        write_content(path, content);
    }

    TemporaryFolder dir_;
    fs::path folder_;
    fs::path before_;
};

TEST_F(Damage, EveryFlippedBitIsFound) {
    for (const std::string& name : {file_name(0), file_name(1), std::string(commit_name)}) {
        const std::string good = content_of(folder_ / name);
        for (std::size_t at = 0; at < good.size(); ++at) {
            std::string bad = good;
            bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
            write_content(folder_ / name, bad);
            const Result<void> outcome = read();
            ASSERT_FALSE(outcome) << name << " byte " << at;
            ASSERT_TRUE(outcome.error().code == Errc::protocol || outcome.error().code == Errc::incompatible)
                << name << " byte " << at << ": " << outcome.error().message();
            ASSERT_NE(outcome.error().message().find(name), std::string::npos) << outcome.error().message();
        }
        write_content(folder_ / name, good);
    }
    EXPECT_TRUE(read());
    expect_older_readable();
}

TEST_F(Damage, EveryCutIsFound) {
    for (const std::string& name : {file_name(0), std::string(commit_name)}) {
        const std::string good = content_of(folder_ / name);
        for (std::size_t size = 0; size < good.size(); ++size) {
            write_content(folder_ / name, std::string_view(good).substr(0, size));
            ASSERT_FALSE(read()) << name << " cut at " << size;
        }
        write_content(folder_ / name, good + '\0');
        ASSERT_FALSE(read()) << name << " is longer";
        write_content(folder_ / name, good);
    }
    EXPECT_TRUE(read());
}

TEST_F(Damage, SwappedFiles) {
    fs::rename(folder_ / file_name(0), folder_ / "aside");
    fs::rename(folder_ / file_name(1), folder_ / file_name(0));
    fs::rename(folder_ / "aside", folder_ / file_name(1));
    fs::remove(folder_ / "aside");
    expect(Errc::protocol, file_name(0), "swapped with each other");
}

TEST_F(Damage, AFileOfAnotherCheckpoint) {
    fs::copy_file(before_ / file_name(0), folder_ / file_name(0), fs::copy_options::overwrite_existing);
    expect(Errc::protocol, file_name(0), "of the one before");
    expect_older_readable();
}

TEST_F(Damage, ACommitFileOfAnotherCheckpoint) {
    fs::copy_file(before_ / commit_name, folder_ / commit_name, fs::copy_options::overwrite_existing);
    expect(Errc::protocol, commit_name, "of the one before");
    expect_older_readable();
}

TEST_F(Damage, AMissingFile) {
    fs::remove(folder_ / file_name(1));
    expect(Errc::protocol, file_name(1), "missing");
}

TEST_F(Damage, AFolderInPlaceOfAFile) {
    fs::remove(folder_ / file_name(1));
    fs::create_directory(folder_ / file_name(1));
    expect(Errc::protocol, file_name(1), "a folder");
}

TEST_F(Damage, AForeignFile) {
    write_content(folder_ / file_name(2), "not named by the commit file");
    expect(Errc::protocol, file_name(2), "foreign");
}

TEST_F(Damage, AMissingCommitFileIsNoCheckpoint) {
    fs::remove(folder_ / commit_name);
    const auto found = find_checkpoint(dir_.path());
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->commit.generation, 1u);
    EXPECT_EQ(find_checkpoint(folder_).error().code, Errc::not_found);
    EXPECT_EQ(list_checkpoints(dir_.path())->at(1).state, CheckpointState::unfinished);
    ASSERT_TRUE(save(dir_.path(), "d", {some_pairs()}));
    EXPECT_TRUE(fs::exists(folder_)) << "somebody may be about to put it there";
    std::ofstream(folder_ / writing_name).close();
    ASSERT_TRUE(save(dir_.path(), "d", {some_pairs()}));
    EXPECT_FALSE(fs::exists(folder_)) << "what a dead save has left is removed by the next";
}

TEST_F(Damage, APipeInPlaceOfAFileDoesNotHangAnybody) {
    for (const std::string& name : {std::string(commit_name), file_name(1)}) {
        const fs::path path = folder_ / name;
        const std::string content = content_of(path);
        fs::remove(path);
        ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
        EXPECT_FALSE(find_checkpoint(folder_) && verify(*find_checkpoint(folder_), {}));
        fs::remove(path);
        write_content(path, content);
    }
}

TEST_F(Damage, WhatIsNoCheckpointIsNotRemoved) {
    const fs::path other = dir_.path() / "d" / "000077";
    fs::create_directory(other);
    write_content(other / commit_name, "of a user");
    EXPECT_EQ(remove_checkpoint(other).error().code, Errc::invalid_argument);
    EXPECT_TRUE(fs::exists(other / commit_name));
}

TEST_F(Damage, ADamagedCommitFileIsToldAndKept) {
    write_content(folder_ / commit_name, "not a commit file");
    expect(Errc::protocol, commit_name, "damaged");
    EXPECT_EQ(list_checkpoints(dir_.path())->at(1).state, CheckpointState::damaged);
    ASSERT_TRUE(save(dir_.path(), "d", {some_pairs()}));
    EXPECT_TRUE(fs::exists(folder_));
    expect_older_readable();
}

TEST_F(Damage, AnotherVersionIsTold) {
    rewrite<FileHeader>(folder_ / file_name(0), 0,
                        [](FileHeader& header) { header.version = file_version + 1; });
    expect(Errc::incompatible, "version " + std::to_string(file_version + 1), "a file of a newer version");
}

TEST_F(Damage, AnotherByteOrderIsTold) {
    rewrite<FileHeader>(folder_ / file_name(0), 0,
                        [](FileHeader& header) { header.byte_order = 0x04030201; });
    expect(Errc::incompatible, "byte order", "of a big-endian machine");
}

TEST_F(Damage, ACommitFileOfAnotherVersionIsTold) {
    std::string content = content_of(folder_ / commit_name);
    content[8] = 9;
    write_content(folder_ / commit_name, content);
    expect(Errc::incompatible, "version 9", "a commit file of a newer version");
}

/// Good in its checksums, but not in what it says.
TEST_F(Damage, AnUnknownCodecIsTold) {
    const std::string content = content_of(folder_ / file_name(0));
    Footer footer;
    std::memcpy(&footer, content.data() + content.size() - sizeof footer, sizeof footer);
    std::string table = content.substr(footer.table_offset, sizeof(Extent));
    Extent extent;
    std::memcpy(&extent, table.data(), sizeof extent);
    extent.codec = codec_zstd + 1;
    std::memcpy(table.data(), &extent, sizeof extent);
    footer.table_checksum = checksum_of(bytes_of(table));
    EXPECT_EQ(table_of(bytes_of(table), footer).error().code, Errc::incompatible);
    for (const std::uint64_t bytes : {std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0} - 4095}) {
        extent.codec = 0;
        extent.bytes = extent.plain_bytes = bytes;
        std::memcpy(table.data(), &extent, sizeof extent);
        footer.table_checksum = checksum_of(bytes_of(table));
        EXPECT_EQ(table_of(bytes_of(table), footer).error().code, Errc::protocol) << bytes;
    }
}

}  // namespace
}  // namespace ddict::persist
