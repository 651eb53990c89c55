// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Extents that are compressed: what is read is what was saved, they are smaller where that pays, and nothing
// that has happened to them is taken for a value.
#include "persist/compression.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <random>

#include "base/checksum.h"
#include "persist/folder.h"
#include "tests/persist/samples.h"

namespace ddict::persist {
namespace {

std::string random_value(std::size_t bytes) {
    static std::mt19937_64 generator(7);
    std::string value(bytes, '\0');
    for (char& c : value)
        c = static_cast<char>(generator());
    return value;
}

/// Of one manager, compressed.
Checkpoint compressed(const TemporaryFolder& dir, const std::vector<Pair>& pairs) {
    const auto saved = save(dir.path(), "d", {pairs}, 0, true);
    EXPECT_TRUE(saved) << saved.error().message();
    EXPECT_EQ(pairs_of(*saved).value(), sorted(pairs));
    EXPECT_TRUE(verify(*saved, nullptr));
    return *saved;
}

std::vector<Extent> extents_of(const Checkpoint& checkpoint) {
    const auto reader = FileReader::open(checkpoint.folder, checkpoint.commit, checkpoint.commit.files.at(0));
    EXPECT_TRUE(reader) << reader.error().message();
    return {reader->extents().begin(), reader->extents().end()};
}

TEST(Compression, IsThere) {
    EXPECT_NE(make_compressor(), nullptr);
    EXPECT_NE(make_decompressor({}), nullptr);
}

TEST(Compression, ManySmallPairsTakeLess) {
    const TemporaryFolder dir;
    std::vector<Pair> pairs = some_pairs();
    for (int i = 0; i < 100'000; ++i)
        pairs.push_back({.key = "cell/" + std::to_string(i), .value = std::string(70, static_cast<char>(i))});
    const Checkpoint saved = compressed(dir, pairs);
    EXPECT_LT(saved.commit.bytes(), 100'000u * 70 / 2);
    std::uint64_t plain = 0;
    for (const Extent& extent : extents_of(saved)) {
        EXPECT_EQ(extent.codec, codec_zstd);
        EXPECT_LT(extent.bytes, extent.plain_bytes);
        plain += extent.plain_bytes;
    }
    EXPECT_GT(plain, 100'000u * 70);
}

TEST(Compression, LargeValuesTakeLessWhateverTheirPieces) {
    const TemporaryFolder dir;
    std::vector<Pair> pairs = some_pairs();
    for (int i = 0; i < 3; ++i)
        pairs.push_back({.key = "large " + std::to_string(i),
                         .value = random_value(1000) + std::string(5 * large_value_bytes, 'v')});
    const Checkpoint saved = compressed(dir, pairs);
    EXPECT_LT(saved.commit.bytes(), 3 * large_value_bytes);
    EXPECT_GE(extents_of(saved).size(), 4u);
}

TEST(Compression, WhatDoesNotGetSmallerIsStoredAsItIs) {
    const TemporaryFolder dir;
    const Checkpoint saved =
        compressed(dir, {{.key = "small", .value = random_value(100'000)},
                         {.key = "large", .value = random_value(3 * large_value_bytes)}});
    for (const Extent& extent : extents_of(saved)) {
        EXPECT_EQ(extent.codec, codec_none);
        EXPECT_EQ(extent.bytes, extent.plain_bytes);
    }
}

/// A value is judged by its beginning: what follows may take more than it has.
TEST(Compression, AValueOfWhichOnlyTheBeginningGetsSmaller) {
    const TemporaryFolder dir;
    const Checkpoint saved = compressed(
        dir, {{.key = "large",
               .value = std::string(large_value_bytes, 'x') + random_value(3 * large_value_bytes)}});
    EXPECT_EQ(extents_of(saved).at(0).codec, codec_zstd);
}

TEST(Compression, ALargePairThatIsDroppedLeavesNoTrace) {
    const TemporaryFolder dir;
    auto checkpoint = NewCheckpoint::begin(dir.path(), {.name = "d", .dictionary_id = 1, .managers = 1});
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    auto writer = FileWriter::create(checkpoint->folder(), checkpoint->header(0), true);
    ASSERT_TRUE(writer) << writer.error().message();
    const Pair dropped{.key = "large", .value = std::string(3 * large_value_bytes, 'd')};
    const Pair kept{.key = "large", .value = std::string(2 * large_value_bytes, 'k')};
    for (const Pair* pair : {&dropped, &kept}) {
        ASSERT_TRUE(writer->begin_large(pair->record(), pair->value.size(), order_of(*pair)));
        for (std::size_t at = 0; at < pair->value.size(); at += 100'000)
            ASSERT_TRUE(writer->add_piece(bytes_of(std::string_view(pair->value).substr(at, 100'000))));
        ASSERT_TRUE(pair == &kept ? writer->keep_large() : writer->drop_large());
    }
    auto file = writer->finish();
    ASSERT_TRUE(file) << file.error().message();
    const auto commit = checkpoint->commit({*std::move(file)});
    ASSERT_TRUE(commit) << commit.error().message();
    const Checkpoint saved{.folder = checkpoint->folder(), .commit = *commit};
    EXPECT_EQ(pairs_of(saved).value(), std::vector<Pair>{kept});
    EXPECT_LT(commit->bytes(), large_value_bytes);
}

TEST(Compression, EveryFlippedBitAndEveryCutIsFound) {
    const TemporaryFolder dir;
    const Checkpoint saved = compressed(dir, {{.key = "text", .value = std::string(500, 't')}});
    ASSERT_EQ(extents_of(saved).at(0).codec, codec_zstd);
    const fs::path path = saved.folder / file_name(0);
    const std::string good = content_of(path);
    for (std::size_t at = 0; at < good.size(); ++at) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
        write_content(path, bad);
        ASSERT_FALSE(verify(saved, nullptr)) << "byte " << at;
        write_content(path, std::string_view(good).substr(0, at));
        ASSERT_FALSE(verify(saved, nullptr)) << "cut at " << at;
    }
    write_content(path, good);
    EXPECT_TRUE(verify(saved, nullptr));
}

class Frames : public testing::Test {
  protected:
    Frames() : frame_(1000) {
        const std::size_t bytes = make_compressor()->compress(bytes_of(plain_), frame_);
        EXPECT_GT(bytes, 0u);
        frame_.resize(bytes);
    }
    /// Whether the frame, in pieces of so many bytes, is one of so many bytes.
    static bool is_frame_of(std::size_t bytes, Bytes frame, std::size_t piece_bytes = 1000) {
        std::vector<std::byte> into(bytes);
        const auto decompressor = make_decompressor(into);
        for (std::size_t at = 0; at < frame.size(); at += piece_bytes)
            decompressor->add(frame.subspan(at, std::min(piece_bytes, frame.size() - at)));
        return decompressor->is_complete();
    }
    std::string plain_ = random_value(100) + std::string(700, 'p') + random_value(50);
    std::vector<std::byte> frame_;
};

TEST_F(Frames, MayComeInPiecesOfAnySize) {
    for (const std::size_t piece : {1u, 2u, 7u, 100u, 1000u})
        EXPECT_TRUE(is_frame_of(plain_.size(), frame_, piece)) << piece;
}

TEST_F(Frames, AreOfTheirSizeOnly) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, plain_.size() - 1, plain_.size() + 1})
        EXPECT_FALSE(is_frame_of(bytes, frame_)) << bytes;
}

TEST_F(Frames, AreWhole) {
    for (std::size_t bytes = 0; bytes < frame_.size(); ++bytes)
        EXPECT_FALSE(is_frame_of(plain_.size(), Bytes(frame_).first(bytes))) << bytes;
}

TEST_F(Frames, AreFollowedByNothing) {
    std::vector<std::byte> longer = frame_;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(is_frame_of(plain_.size(), longer));
    std::vector<std::byte> twice = frame_;
    twice.insert(twice.end(), frame_.begin(), frame_.end());
    EXPECT_FALSE(is_frame_of(plain_.size(), twice));
    EXPECT_FALSE(is_frame_of(2 * plain_.size(), twice));
}

/// Good in its checksums, but not in what it says.
TEST(CompressedTable, SizesThatCannotBeAreRefused) {
    const auto outcome_of = [](Extent extent) -> std::optional<Errc> {
        extent.offset = alignment;
        extent.codec = codec_zstd;
        Footer footer{.table_offset = alignment + aligned(extent.bytes), .extents = 1, .pairs = extent.pairs};
        const Bytes table = std::as_bytes(std::span(&extent, 1));
        footer.table_checksum = checksum_of(table);
        const auto read = table_of(table, footer);
        if (read) return std::nullopt;
        return read.error().code;
    };
    EXPECT_EQ(outcome_of({.bytes = 100, .plain_bytes = 1000, .pairs = 2}), std::nullopt);
    EXPECT_EQ(outcome_of({.bytes = 100, .plain_bytes = 0, .pairs = 2}), Errc::protocol);
    EXPECT_EQ(outcome_of({.bytes = 100, .plain_bytes = 100 * expansion_max, .pairs = 1}), std::nullopt);
    EXPECT_EQ(outcome_of({.bytes = 100, .plain_bytes = 101 * expansion_max, .pairs = 1}), Errc::protocol);
    EXPECT_EQ(outcome_of({.bytes = 10'000, .plain_bytes = 8 * extent_bytes, .pairs = 2}), Errc::protocol);
    EXPECT_EQ(outcome_of({.bytes = 10'000, .plain_bytes = 8 * extent_bytes, .pairs = 1}), std::nullopt);
}

}  // namespace
}  // namespace ddict::persist
