// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <memory>
#include <thread>

#include "persist/folder.h"
#include "tests/persist/samples.h"

namespace ddict::persist {
namespace {

std::vector<Pair> many_pairs(std::size_t count, std::size_t value_bytes) {
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < count; ++i)
        pairs.push_back(
            {.key = "key " + std::to_string(i), .value = std::string(value_bytes, static_cast<char>(i))});
    return pairs;
}

TEST(Checkpoint, HasAllThatWasSaved) {
    const TemporaryFolder dir;
    const auto saved = save(dir.path(), "d", {some_pairs(), {}});
    ASSERT_TRUE(saved) << saved.error().message();
    EXPECT_EQ(saved->folder, dir.path() / "d" / "000001");
    const auto found = find_checkpoint(dir.path());
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->commit, saved->commit);
    EXPECT_EQ(found->commit.pairs(), some_pairs().size());
    EXPECT_TRUE(verify(*found, nullptr));
    EXPECT_EQ(pairs_of(*found).value(), sorted(some_pairs()));
}

TEST(Checkpoint, LargeValuesHaveExtentsOfTheirOwn) {
    const TemporaryFolder dir;
    std::vector<Pair> pairs = many_pairs(5, large_value_bytes + 1);
    for (const Pair& small : some_pairs())
        pairs.push_back(small);
    pairs.push_back({.key = "just small", .value = std::string(large_value_bytes, 'x')});
    const auto saved = save(dir.path(), "d", {pairs});
    ASSERT_TRUE(saved) << saved.error().message();
    EXPECT_EQ(pairs_of(*saved).value(), sorted(pairs));
    const auto reader = FileReader::open(saved->folder, saved->commit, saved->commit.files[0]);
    ASSERT_TRUE(reader) << reader.error().message();
    EXPECT_GE(reader->extents().size(), 6u);
}

TEST(Checkpoint, ExtentsAreOfAFewMebibytes) {
    const TemporaryFolder dir;
    const auto saved = save(dir.path(), "d", {many_pairs(150'000, 70)});
    ASSERT_TRUE(saved) << saved.error().message();
    const auto reader = FileReader::open(saved->folder, saved->commit, saved->commit.files[0]);
    ASSERT_TRUE(reader) << reader.error().message();
    ASSERT_GE(reader->extents().size(), 3u);
    for (const Extent& extent : reader->extents().first(reader->extents().size() - 1)) {
        EXPECT_GE(extent.bytes, extent_bytes);
        EXPECT_LE(extent.bytes, extent_bytes + FileWriter::pair_bytes_max);
        EXPECT_EQ(extent.offset % alignment, 0u);
    }
    std::uint64_t bytes = 0;
    ASSERT_TRUE(verify(*saved, [&](std::uint64_t read) { return bytes += read, true; }));
    EXPECT_LE(bytes, saved->commit.bytes());
    EXPECT_GE(bytes + 2 * alignment + 64 * 64, saved->commit.bytes());
    EXPECT_EQ(verify(*saved, [](std::uint64_t) { return false; }).error().code, Errc::timeout);
}

TEST(Checkpoint, ALargePairThatIsDroppedLeavesNoTrace) {
    const TemporaryFolder dir;
    auto checkpoint = NewCheckpoint::begin(dir.path(), {.name = "d", .dictionary_id = 1, .managers = 1});
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    auto writer = FileWriter::create(checkpoint->folder(), checkpoint->header(0));
    ASSERT_TRUE(writer) << writer.error().message();
    const Pair pair{.key = "large", .value = std::string(3 * large_value_bytes, 'v')};
    for (const bool keep : {false, true}) {
        ASSERT_TRUE(writer->begin_large(pair.record(), pair.value.size(), order_of(pair)));
        ASSERT_TRUE(writer->add_piece(bytes_of(pair.value).first(large_value_bytes)));
        if (keep) break;
        ASSERT_TRUE(writer->drop_large());
    }
    ASSERT_TRUE(writer->add_piece(bytes_of(pair.value).subspan(large_value_bytes)));
    ASSERT_TRUE(writer->keep_large());
    auto file = writer->finish();
    ASSERT_TRUE(file) << file.error().message();
    EXPECT_EQ(file->pairs, 1u);
    EXPECT_EQ(file->value_bytes, pair.value.size());
    EXPECT_EQ(file->bytes, fs::file_size(checkpoint->folder() / file->name));
    const auto commit = checkpoint->commit({*file});
    ASSERT_TRUE(commit) << commit.error().message();
    EXPECT_EQ(pairs_of({checkpoint->folder(), *commit}).value(), std::vector<Pair>{pair});
}

TEST(Checkpoint, TheNewestIsFound) {
    const TemporaryFolder dir;
    for (const char* value : {"1", "2", "3"}) {
        const auto saved = save(dir.path(), "d", {{{.key = "k", .value = value}}});
        ASSERT_TRUE(saved) << saved.error().message();
    }
    const auto newest = find_checkpoint(dir.path() / "d");
    ASSERT_TRUE(newest) << newest.error().message();
    EXPECT_EQ(newest->commit.generation, 3u);
    EXPECT_EQ(pairs_of(*newest).value()[0].value, "3");
    const auto second = find_checkpoint(dir.path() / "d" / "000002");
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_EQ(pairs_of(*second).value()[0].value, "2");
    EXPECT_EQ(list_checkpoints(dir.path())->size(), 3u);
}

TEST(Checkpoint, DictionariesBesideEachOther) {
    const TemporaryFolder dir;
    for (const char* name : {"a", "a_b", "a/b", ".a", ""})
        ASSERT_TRUE(save(dir.path(), name, {{{.key = "k", .value = name}}}));
    for (const char* name : {"a", "a_b", "a/b", ".a", ""}) {
        const auto found = find_checkpoint(dir.path() / folder_name(name));
        ASSERT_TRUE(found) << found.error().message();
        EXPECT_EQ(found->commit.name, name);
        EXPECT_EQ(pairs_of(*found).value()[0].value, name);
    }
    const auto all = find_checkpoint(dir.path());
    ASSERT_FALSE(all);
    EXPECT_EQ(all.error().code, Errc::invalid_argument);
    EXPECT_EQ(list_checkpoints(dir.path())->size(), 5u);
}

TEST(Checkpoint, WhatIsNotThere) {
    const TemporaryFolder dir;
    EXPECT_EQ(find_checkpoint(dir.path() / "none").error().code, Errc::not_found);
    EXPECT_EQ(find_checkpoint(dir.path()).error().code, Errc::not_found);
    EXPECT_EQ(list_checkpoints(dir.path() / "none").error().code, Errc::not_found);
    EXPECT_EQ(remove_checkpoint(dir.path() / "none").error().code, Errc::not_found);
    EXPECT_EQ(remove_checkpoint(dir.path()).error().code, Errc::invalid_argument);
    const auto begun =
        NewCheckpoint::begin(dir.path() / "no" / "such", {.name = "d", .dictionary_id = 1, .managers = 1});
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().code, Errc::system);
}

TEST(Checkpoint, OneThatIsNotCommittedIsRemoved) {
    const TemporaryFolder dir;
    ASSERT_TRUE(save(dir.path(), "d", {some_pairs()}));
    fs::path folder;
    {
        auto checkpoint = NewCheckpoint::begin(dir.path(), {.name = "d", .dictionary_id = 1, .managers = 2});
        ASSERT_TRUE(checkpoint);
        folder = checkpoint->folder();
        auto file = write_file(*checkpoint, 0, some_pairs());
        ASSERT_TRUE(file);
        EXPECT_EQ(list_checkpoints(dir.path())->at(1).state, CheckpointState::writing);
        EXPECT_EQ(find_checkpoint(dir.path())->commit.generation, 1u);
        EXPECT_EQ(remove_checkpoint(folder).error().code, Errc::busy);
        EXPECT_EQ(checkpoint->commit({*file}).error().code, Errc::invalid_argument);  // one is missing
    }
    EXPECT_FALSE(fs::exists(folder));
    EXPECT_EQ(list_checkpoints(dir.path())->size(), 1u);
}

TEST(Checkpoint, TwoSavesAtOnce) {
    const TemporaryFolder dir;
    auto one = NewCheckpoint::begin(dir.path(), {.name = "d", .dictionary_id = 1, .managers = 1});
    auto other = NewCheckpoint::begin(dir.path(), {.name = "d", .dictionary_id = 2, .managers = 1});
    ASSERT_TRUE(one && other);
    EXPECT_NE(one->folder(), other->folder());
    auto of_one = write_file(*one, 0, {{.key = "k", .value = "one"}});
    auto of_other = write_file(*other, 0, {{.key = "k", .value = "other"}});
    ASSERT_TRUE(of_one && of_other);
    ASSERT_TRUE(other->commit({*of_other}));
    ASSERT_TRUE(one->commit({*of_one}));
    EXPECT_EQ(pairs_of(*find_checkpoint(one->folder())).value()[0].value, "one");
    EXPECT_EQ(pairs_of(*find_checkpoint(other->folder())).value()[0].value, "other");
    EXPECT_EQ(find_checkpoint(dir.path())->commit.dictionary_id, 2u);
}

TEST(Checkpoint, RemovesItsFilesAndNoOthers) {
    const TemporaryFolder dir;
    for (int i = 0; i < 2; ++i)
        ASSERT_TRUE(save(dir.path(), "d", {some_pairs(), some_pairs()}));
    const fs::path first = dir.path() / "d" / "000001";
    ASSERT_TRUE(remove_checkpoint(first.string() + "/"));
    EXPECT_FALSE(fs::exists(first));
    EXPECT_EQ(find_checkpoint(dir.path())->commit.generation, 2u);
    const fs::path second = dir.path() / "d" / "000002";
    write_content(second / "notes", "mine");
    EXPECT_EQ(remove_checkpoint(second).error().code, Errc::invalid_argument);
    EXPECT_EQ(content_of(second / "notes"), "mine");
    EXPECT_FALSE(fs::exists(second / "commit"));
    EXPECT_FALSE(fs::exists(second / file_name(0)));
}

/// A checkpoint has a file for each manager, and a process may have 1024 files open.
/// As others may put there, where they may write to the folder.
TEST(Checkpoint, NothingIsMadeThroughALink) {
    const TemporaryFolder dir;
    const auto nowhere = dir.path() / "nowhere";
    const auto folder = dir.path() / "d" / "000001";
    std::filesystem::create_directories(folder);
    std::filesystem::create_symlink(nowhere, folder / writing_name);
    std::filesystem::create_symlink(nowhere, dir.path() / "d" / lock_name);
    EXPECT_EQ(holder_of(folder), Holder::unknown);
    EXPECT_FALSE(hold(folder));
    EXPECT_TRUE(remove_files(folder));
    const Result<FileLock> locked = lock_folder(dir.path() / "d");
    ASSERT_FALSE(locked);
    EXPECT_NE(locked.error().message().find("it is a link"), std::string::npos) << locked.error().message();
    EXPECT_FALSE(std::filesystem::exists(nowhere));
    EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST(Checkpoint, ThousandsOfFilesAreReadWithFewDescriptors) {
    constexpr std::size_t managers = 2048;
    const TemporaryFolder dir;
    std::vector<std::vector<Pair>> of_managers(managers);
    for (std::size_t i = 0; i < managers; ++i)
        of_managers[i] = {{.key = "key " + std::to_string(i), .value = "v"}};
    const auto saved = save(dir.path(), "d", of_managers);
    ASSERT_TRUE(saved) << saved.error().message();
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit tight{64, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    const auto files = std::make_shared<OpenFiles>();
    std::vector<FileReader> readers;
    std::atomic<std::size_t> records{0};
    for (const CommittedFile& file : saved->commit.files) {
        auto reader = FileReader::open(saved->folder, saved->commit, file, files);
        if (reader) readers.push_back(*std::move(reader));
    }
    const auto read = [&] {
        ExtentBuffer buffer;
        for (const FileReader& reader : readers)
            for (const Extent& extent : reader.extents())
                if (reader.read(extent, buffer)) ++records;
    };
    std::jthread other(read);
    read();
    other.join();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(readers.size(), managers);
    EXPECT_EQ(records, 2 * managers);
}

TEST(Checkpoint, MemoryForExtentsStaysUntilASmallerOneComes) {
    constexpr std::size_t mebibyte = 1 << 20;
    ExtentBuffer buffer;
    const std::byte* const first = buffer.of(6 * mebibyte).data();
    EXPECT_EQ(buffer.of(4 * mebibyte).data(), first);
    EXPECT_EQ(buffer.of(4 * mebibyte).size(), 4 * mebibyte);
    const MutableBytes large = buffer.of(64 * mebibyte);
    std::fill(large.begin(), large.end(), std::byte{1});
    EXPECT_EQ(buffer.of(60 * mebibyte).data(), large.data()) << "of one large value after the other";
    const MutableBytes small = buffer.of(100);
    std::fill(small.begin(), small.end(), std::byte{2});
    EXPECT_EQ(small.size(), 100u);
}

TEST(Checkpoint, TheNewestStay) {
    const TemporaryFolder dir;
    for (int i = 0; i < 4; ++i)
        ASSERT_TRUE(save(dir.path(), "d", {some_pairs()}));
    ASSERT_TRUE(save(dir.path(), "d2", {some_pairs()}));
    ASSERT_TRUE(keep_newest(dir.path(), "d", 2));
    const auto left = list_of_dictionary(dir.path(), "d");
    ASSERT_TRUE(left);
    ASSERT_EQ(left->size(), 2u);
    EXPECT_EQ(left->front().commit.generation, 3u);
    ASSERT_TRUE(keep_newest(dir.path(), "d", 0)) << "the newest always stays";
    EXPECT_EQ(list_of_dictionary(dir.path(), "d")->size(), 1u);
    EXPECT_EQ(list_of_dictionary(dir.path(), "d2")->size(), 1u) << "of another dictionary";
    EXPECT_TRUE(keep_newest(dir.path(), "none", 1));
}

/// Of two of one id the newer one counts, until the older one is removed as well as afterwards.
TEST(Checkpoint, IsFoundByItsId) {
    using Ids = std::vector<std::uint32_t>;
    const TemporaryFolder dir;
    EXPECT_EQ(ids_of_dictionary(dir.path(), "d").value(), Ids());
    for (const std::uint32_t id : {4U, 2U, 9U, 2U, 4U})
        ASSERT_TRUE(save(dir.path(), "d", {some_pairs()}, id));
    ASSERT_TRUE(save(dir.path(), "d_2", {some_pairs()}, 7));
    EXPECT_EQ(ids_of_dictionary(dir.path(), "d").value(), (Ids{2, 4, 9}));
    const auto found = find_with_id(dir.path(), "d", 2);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->commit.generation, 4u);
    ASSERT_TRUE(remove_superseded(dir.path(), found->commit));
    EXPECT_EQ(list_of_dictionary(dir.path(), "d")->size(), 4u);
    ASSERT_TRUE(remove_superseded(dir.path(), find_with_id(dir.path(), "d", 4)->commit));
    EXPECT_EQ(list_of_dictionary(dir.path(), "d")->size(), 3u);
    EXPECT_EQ(ids_of_dictionary(dir.path(), "d").value(), (Ids{2, 4, 9}));
    EXPECT_EQ(ids_of_dictionary(dir.path(), "d_2").value(), Ids{7});
    const auto none = find_with_id(dir.path(), "d", 7);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::not_found);
    EXPECT_NE(none.error().message().find("which has 2, 4, 9"), std::string::npos);
}

/// What cannot be read may be what is looked for; what is damaged is not.
TEST(Checkpoint, AnIdThatIsNotKnownIsNotTakenForNone) {
    const TemporaryFolder dir;
    for (const std::uint32_t id : {1U, 2U, 3U})
        ASSERT_TRUE(save(dir.path(), "d", {some_pairs()}, id));
    const fs::path commit = dir.path() / "d" / "000002" / commit_name;
    fs::resize_file(commit, 30);
    EXPECT_EQ(ids_of_dictionary(dir.path(), "d").value(), (std::vector<std::uint32_t>{1, 3}));
    EXPECT_EQ(find_with_id(dir.path(), "d", 2).error().code, Errc::not_found);
    EXPECT_EQ(find_with_id(dir.path(), "d", 1)->commit.generation, 1u);
    fs::remove_all(commit.parent_path());
    fs::create_symlink("/no/such/file/system", commit.parent_path());
    EXPECT_EQ(ids_of_dictionary(dir.path(), "d").error().code, Errc::system);
    EXPECT_EQ(find_with_id(dir.path(), "d", 1).error().code, Errc::system);
}

}  // namespace
}  // namespace ddict::persist
