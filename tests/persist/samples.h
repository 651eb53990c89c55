// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Small checkpoints for tests, and what is in them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "cluster/placement.h"
#include "persist/checkpoint.h"
#include "persist/file_writer.h"
#include "persist/new_checkpoint.h"
#include "tests/own_host/temporary_folder.h"

namespace ddict::persist {

namespace fs = std::filesystem;

struct Pair {
    std::string key;
    std::string value;
    std::uint16_t key_type = type_text;
    std::uint16_t value_type = type_bytes;
    KeyPlacement placement{};
    std::uint32_t checkpoint = 0;
    bool broadcast = false;
    bool transient = false;

    Record record() const {
        return {.key = {bytes_of(key), key_type},
                .value = bytes_of(value),
                .value_type = value_type,
                .placement = placement,
                .checkpoint = checkpoint,
                .broadcast = broadcast,
                .transient = transient};
    }
    auto tie() const {
        return std::tie(key, key_type, value, value_type, placement.by, placement.value, checkpoint,
                        broadcast, transient);
    }
    friend bool operator==(const Pair& a, const Pair& b) { return a.tie() == b.tie(); }
    friend bool operator<(const Pair& a, const Pair& b) { return a.tie() < b.tie(); }
};

inline std::ostream& operator<<(std::ostream& out, const Pair& pair) {
    return out << "pair with key of " << pair.key.size() << " bytes and value of " << pair.value.size();
}

inline Pair pair_of(const Record& record) {
    return {.key = std::string(text_of(record.key)),
            .value = std::string(text_of(record.value)),
            .key_type = record.key.type(),
            .value_type = record.value_type,
            .placement = record.placement,
            .checkpoint = record.checkpoint,
            .broadcast = record.broadcast,
            .transient = record.transient};
}

inline std::uint64_t order_of(const Pair& pair) {
    return shard_hash(hash_of(pair.record().key));
}

/// A pair of each kind.
inline std::vector<Pair> some_pairs() {
    return {
        {.key = "Hello", .value = "Dragon", .value_type = type_text},
        {.key = std::string("\x2a\0\0\0\0\0\0\0", 8), .value = "int", .key_type = key_type_int64},
        {.key = "number", .value = std::string(8, '\x01'), .value_type = 0x0113},
        {.key = "empty", .value = ""},
        {.key = "by hash", .value = "x", .placement = {.by = PlacedBy::hash, .value = 0x0123456789abcdef}},
        {.key = "by number", .value = "y", .placement = {.by = PlacedBy::number, .value = 7}},
        {.key = "everywhere", .value = "z", .broadcast = true},
        {.key = "later", .value = "c", .checkpoint = 3}};
}

/// With what files have had since version 2.
inline std::vector<Pair> pairs_of_version_2() {
    std::vector<Pair> pairs = some_pairs();
    pairs.push_back({.key = "once", .value = "t", .checkpoint = 5, .transient = true});
    return pairs;
}

inline Result<CommittedFile> write_file(const NewCheckpoint& checkpoint, std::uint32_t manager,
                                        std::vector<Pair> pairs, bool compress = false) {
    std::sort(pairs.begin(), pairs.end(),
              [](const Pair& a, const Pair& b) { return order_of(a) < order_of(b); });
    Result<FileWriter> writer = FileWriter::create(checkpoint.folder(), checkpoint.header(manager), compress);
    if (!writer) return writer.error();
    for (const Pair& pair : pairs) {
        if (const Result<void> added = writer->add(pair.record(), order_of(pair)); !added)
            return added.error();
    }
    return writer->finish();
}

/// Of a dictionary with one manager for each list of pairs.
inline Result<Checkpoint> save(const fs::path& dir, const std::string& name,
                               const std::vector<std::vector<Pair>>& of_managers, std::uint32_t id = 0,
                               bool compress = false) {
    Result<NewCheckpoint> checkpoint =
        NewCheckpoint::begin(dir, {.name = name,
                                   .dictionary_id = 77,
                                   .managers = static_cast<std::uint32_t>(of_managers.size()),
                                   .checkpoint = id});
    if (!checkpoint) return checkpoint.error();
    std::vector<CommittedFile> files;
    for (std::uint32_t manager = 0; manager < of_managers.size(); ++manager) {
        Result<CommittedFile> file = write_file(*checkpoint, manager, of_managers[manager], compress);
        if (!file) return file.error();
        files.push_back(*std::move(file));
    }
    Result<Commit> commit = checkpoint->commit(std::move(files));
    if (!commit) return commit.error();
    return Checkpoint{.folder = checkpoint->folder(), .commit = *std::move(commit)};
}

inline Result<std::vector<Pair>> pairs_of(const Checkpoint& checkpoint) {
    std::vector<Pair> pairs;
    const Result<void> read = for_each(checkpoint, [&](const Record& record) -> Result<void> {
        pairs.push_back(pair_of(record));
        return {};
    });
    if (!read) return read.error();
    std::sort(pairs.begin(), pairs.end());
    return pairs;
}

inline std::vector<Pair> sorted(std::vector<Pair> pairs) {
    std::sort(pairs.begin(), pairs.end());
    return pairs;
}

inline std::string content_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_content(const fs::path& path, std::string_view content) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
}

}  // namespace ddict::persist
