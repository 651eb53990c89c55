// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a checkpoint, without its files: docs/checkpoint_format.md has the grammar. What reads them
// trusts nothing, and allocates no more than the bytes that are there can need.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"

namespace ddict::persist {

// Of the files of managers; in 1 no record is transient.
inline constexpr std::uint32_t file_version = 2;
inline constexpr std::uint32_t commit_version = 2;  // of commit files; 1 has no checkpoint id
inline constexpr std::uint32_t byte_order_mark = 0x0102'0304;
inline constexpr std::uint64_t file_magic = 0x31'6576'6173'6464ULL;    // "ddsave1"
inline constexpr std::uint64_t footer_magic = 0x31'746f'6f66'6464ULL;  // "ddfoot1"
inline constexpr std::uint64_t commit_magic = 0x31'6d6d'6f63'6464ULL;  // "ddcomm1"

// How an extent's records are stored.
inline constexpr std::uint32_t codec_none = 0;
inline constexpr std::uint32_t codec_zstd = 1;  // as one frame of zstd
/// No frame of zstd makes more of its bytes.
inline constexpr std::uint64_t expansion_max = 32768;

/// Where extents begin, and what the header takes.
inline constexpr std::uint64_t alignment = 4096;
/// An extent is closed when it has as much; one that holds a single large value has more.
inline constexpr std::uint64_t extent_bytes = std::uint64_t{4} << 20;
/// A larger value has an extent of its own.
inline constexpr std::uint64_t large_value_bytes = std::uint64_t{1} << 20;
inline constexpr std::uint32_t hash_is_xxh3 = 1;
inline constexpr std::uint32_t placement_is_scaled = 1;
inline constexpr std::size_t name_bytes_max = 255;
inline constexpr std::size_t commit_bytes_max = std::size_t{256} << 20;

constexpr std::uint64_t aligned(std::uint64_t bytes) noexcept {
    return (bytes + alignment - 1) & ~(alignment - 1);
}

/// The first page of a file, without the zeros that fill it.
struct FileHeader {
    std::uint64_t magic = file_magic;
    std::uint32_t version = file_version;
    std::uint32_t byte_order = byte_order_mark;
    std::uint64_t dictionary_id = 0;
    std::uint64_t save_id = 0;  // the same in all files of a checkpoint, and in no other
    std::uint64_t generation = 0;
    std::uint32_t manager = 0;
    std::uint32_t managers = 0;
    std::uint64_t checksum = 0;  // of what stands before it
};
static_assert(sizeof(FileHeader) == 56);

/// Of the table of extents.
struct Extent {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;  // of records as they are stored; zeros follow to the next multiple of 4096
    std::uint64_t plain_bytes = 0;  // of records
    std::uint64_t pairs = 0;
    std::uint64_t first_hash = 0;  // shard hashes, of the first and the last record
    std::uint64_t last_hash = 0;
    std::uint64_t checksum = 0;  // of the stored bytes and the zeros
    std::uint32_t codec = codec_none;
    std::uint32_t zero = 0;
};
static_assert(sizeof(Extent) == 64);

/// The last bytes of a file.
struct Footer {
    std::uint64_t magic = footer_magic;
    std::uint64_t table_offset = 0;
    std::uint64_t extents = 0;
    std::uint64_t pairs = 0;
    std::uint64_t value_bytes = 0;
    std::uint64_t table_checksum = 0;
    std::uint64_t header_checksum = 0;
    std::uint64_t checksum = 0;  // of what stands before it: stands for the whole file
};
static_assert(sizeof(Footer) == 64);

/// What the commit file says of a file.
struct CommittedFile {
    std::string name;
    std::uint32_t manager = 0;
    std::uint64_t bytes = 0;
    std::uint64_t pairs = 0;
    std::uint64_t value_bytes = 0;
    std::uint64_t checksum = 0;  // Footer::checksum
    friend bool operator==(const CommittedFile&, const CommittedFile&) = default;
};

/// What makes a folder with files a checkpoint.
struct Commit {
    std::string name;  // the dictionary's
    std::uint64_t dictionary_id = 0;
    std::uint64_t save_id = 0;
    std::uint64_t generation = 0;
    std::uint64_t began = 0;  // nanoseconds since 1970
    std::uint64_t ended = 0;
    std::uint32_t managers = 0;
    std::uint32_t checkpoint = 0;  // the id, in memory, of what was saved
    std::vector<CommittedFile> files;
    friend bool operator==(const Commit&, const Commit&) = default;

    std::uint64_t pairs() const noexcept;
    std::uint64_t value_bytes() const noexcept;
    std::uint64_t bytes() const noexcept;
};

/// With the checksum that belongs to it.
FileHeader sealed(FileHeader header) noexcept;
Footer sealed(Footer footer) noexcept;
/// Appends.
void pack(const Commit& commit, std::vector<std::byte>& out);

// Errors: protocol, which says what is damaged; incompatible for what another version has written.
Result<FileHeader> header_of(Bytes page);
/// `file_bytes` is the size of the file that ends with these bytes.
Result<Footer> footer_of(Bytes last_bytes, std::uint64_t file_bytes);
Result<std::vector<Extent>> table_of(Bytes table, const Footer& footer);
Result<Commit> commit_of(Bytes bytes);

/// "manager-000003.ddict"
std::string file_name(std::uint32_t manager);

}  // namespace ddict::persist
