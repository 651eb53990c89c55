// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The bytes of docs/checkpoint_format.md, read out of the document and decoded; and checkpoints that earlier
// versions have written, which are read for ever.
#include <gtest/gtest.h>

#include <cstring>

#include "base/checksum.h"
#include "persist/folder.h"
#include "tests/persist/samples.h"
#include "tests/values/document_examples.h"

namespace ddict::persist {
namespace {

const fs::path golden = DDICT_GOLDEN_CHECKPOINTS;

class FormatDocument : public testing::Test {
  protected:
    Bytes example(const std::string& name) {
        const auto found = examples_.find(name);
        EXPECT_NE(found, examples_.end()) << name;
        return found == examples_.end() ? Bytes() : Bytes(found->second);
    }
    std::map<std::string, std::vector<std::byte>> examples_ = examples_of(DDICT_FORMAT_DOCUMENT);
};

/// The parts of the document, put together, are a file of a checkpoint.
TEST_F(FormatDocument, IsAFileOfACheckpoint) {
    ASSERT_EQ(examples_.size(), 5u);
    std::string file(text_of(example("header")));
    file.resize(alignment, '\0');
    file += text_of(example("record"));
    file.resize(2 * alignment, '\0');
    file += text_of(example("table"));
    file += text_of(example("footer"));
    EXPECT_EQ(file, content_of(golden / "v2" / file_name(1)));
    EXPECT_EQ(text_of(example("commit")), content_of(golden / "v2" / commit_name));
}

TEST_F(FormatDocument, MeansWhatItSays) {
    const auto commit = commit_of(example("commit"));
    ASSERT_TRUE(commit) << commit.error().message();
    EXPECT_EQ(commit->name, "golden");
    EXPECT_EQ(commit->dictionary_id, 77u);
    EXPECT_EQ(commit->generation, 1u);
    EXPECT_EQ(commit->checkpoint, 5u);
    EXPECT_EQ(commit->files.size(), 2u);
    std::vector<std::byte> page(example("header").begin(), example("header").end());
    page.resize(alignment);
    const auto header = header_of(page);
    ASSERT_TRUE(header) << header.error().message();
    EXPECT_EQ(header->manager, 1u);
    EXPECT_EQ(header->save_id, commit->save_id);
    const auto footer = footer_of(example("footer"), commit->files[1].bytes);
    ASSERT_TRUE(footer) << footer.error().message();
    EXPECT_EQ(footer->checksum, commit->files[1].checksum);
    const auto table = table_of(example("table"), *footer);
    ASSERT_TRUE(table) << table.error().message();
    EXPECT_EQ(table->at(0).bytes, example("record").size());
    RecordReader records(example("record"));
    Record record;
    ASSERT_TRUE(records.next(record));
    EXPECT_EQ(pair_of(record), (Pair{.key = "other", .value = "file"}));
    EXPECT_EQ(table->at(0).first_hash, shard_hash(hash_of(record.key)));
    EXPECT_TRUE(records.at_end());
}

void expect_golden(const char* version, std::uint32_t checkpoint, std::vector<Pair> pairs) {
    const TemporaryFolder dir;
    const fs::path folder = dir.path() / "golden" / "000001";
    fs::create_directories(folder);
    fs::copy(golden / version, folder, fs::copy_options::recursive);
    const auto found = find_checkpoint(dir.path());
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->commit.checkpoint, checkpoint);
    ASSERT_TRUE(verify(*found, nullptr));
    pairs.push_back({.key = "other", .value = "file"});
    EXPECT_EQ(pairs_of(*found).value(), sorted(pairs));
}

TEST(GoldenCheckpoints, OfVersion1) {
    expect_golden("v1", 0, some_pairs());
}

/// Files of version 2, with commit files of version 2.
TEST(GoldenCheckpoints, OfVersion3) {
    expect_golden("v3", 5, pairs_of_version_2());
}

TEST(GoldenCheckpoints, Compressed) {
    std::vector<Pair> pairs = pairs_of_version_2();
    pairs.push_back({.key = "large", .value = std::string(large_value_bytes + 1, 'l')});
    expect_golden("compressed", 5, pairs);
}

TEST(GoldenCheckpoints, OfVersion2) {
    expect_golden("v2", 5, some_pairs());
}

}  // namespace
}  // namespace ddict::persist
