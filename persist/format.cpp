// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/format.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>

#include "base/checksum.h"
#include "base/limits.h"
#include "persist/record.h"

namespace ddict::persist {
namespace {

Error damaged(std::string_view what) {
    return Error(Errc::protocol, std::string("damaged: ") + std::string(what));
}

template <class T>
Bytes before_checksum(const T& record) noexcept {
    return std::as_bytes(std::span(&record, 1)).first(offsetof(T, checksum));
}

/// All versions up to the newest are read.
Result<void> check_version(std::uint32_t version, std::uint32_t newest, std::uint32_t byte_order) {
    if (byte_order == __builtin_bswap32(byte_order_mark))
        return Error(Errc::incompatible, "it was written by a machine with another byte order");
    if (byte_order != byte_order_mark) return damaged("it has no mark of the byte order");
    if (version == 0 || version > newest)
        return Error(Errc::incompatible, "it has format version " + std::to_string(version) +
                                             ", and this ddict reads versions up to " +
                                             std::to_string(newest));
    return {};
}

template <class Add>
std::uint64_t sum(const std::vector<CommittedFile>& files, Add add) noexcept {
    std::uint64_t all = 0;
    for (const CommittedFile& file : files)
        all += add(file);
    return all;
}

bool is_extent_good(const Extent& extent, std::uint64_t offset, std::uint64_t end,
                    std::uint64_t least_hash) noexcept {
    return extent.offset == offset && extent.bytes != 0 && extent.bytes <= end - offset &&
           extent.pairs != 0 && extent.first_hash >= least_hash && extent.last_hash >= extent.first_hash &&
           extent.zero == 0;
}

/// What its records take when they are not compressed.
bool is_size_good(const Extent& extent) noexcept {
    if (extent.codec == codec_none) return extent.plain_bytes == extent.bytes;
    const std::uint64_t most =
        record_front_bytes_max + (extent.pairs == 1
                                      ? limits::value_bytes_max
                                      : extent_bytes + record_front_bytes_max + large_value_bytes);
    return extent.plain_bytes != 0 && extent.plain_bytes <= most &&
           extent.plain_bytes / expansion_max <= extent.bytes;
}

bool take(Unpacker& in, CommittedFile& file) {
    file.name = in.take_text();
    file.manager = in.take<std::uint32_t>();
    file.bytes = in.take<std::uint64_t>();
    file.pairs = in.take<std::uint64_t>();
    file.value_bytes = in.take<std::uint64_t>();
    file.checksum = in.take<std::uint64_t>();
    return in.good() && file.name == file_name(file.manager);
}

}  // namespace

std::uint64_t Commit::pairs() const noexcept {
    return sum(files, [](const CommittedFile& file) { return file.pairs; });
}

std::uint64_t Commit::value_bytes() const noexcept {
    return sum(files, [](const CommittedFile& file) { return file.value_bytes; });
}

std::uint64_t Commit::bytes() const noexcept {
    return sum(files, [](const CommittedFile& file) { return file.bytes; });
}

FileHeader sealed(FileHeader header) noexcept {
    header.checksum = checksum_of(before_checksum(header));
    return header;
}

Footer sealed(Footer footer) noexcept {
    footer.checksum = checksum_of(before_checksum(footer));
    return footer;
}

std::string file_name(std::uint32_t manager) {
    char name[40];
    std::snprintf(name, sizeof name, "manager-%06u.ddict", manager);
    return name;
}

Result<FileHeader> header_of(Bytes page) {
    FileHeader header;
    if (page.size() < alignment) return damaged("it ends before its header does");
    std::memcpy(&header, page.data(), sizeof header);
    if (header.magic != file_magic) return damaged("it does not begin as a file of a checkpoint");
    if (const Result<void> good = check_version(header.version, file_version, header.byte_order); !good)
        return good.error();
    if (header.checksum != checksum_of(before_checksum(header)))
        return damaged("its header has another checksum");
    const Bytes rest = page.first(alignment).subspan(sizeof header);
    if (!std::ranges::all_of(rest, [](std::byte byte) { return byte == std::byte{0}; }))
        return damaged("its header is not followed by zeros");
    if (header.manager >= header.managers) return damaged("its header names a manager that is none");
    return header;
}

Result<Footer> footer_of(Bytes last_bytes, std::uint64_t file_bytes) {
    Footer footer;
    if (last_bytes.size() < sizeof footer || file_bytes < alignment + sizeof footer)
        return damaged("it is too short");
    std::memcpy(&footer, last_bytes.last(sizeof footer).data(), sizeof footer);
    if (footer.magic != footer_magic) return damaged("it does not end as a file of a checkpoint");
    if (footer.checksum != checksum_of(before_checksum(footer)))
        return damaged("its footer has another checksum");
    const std::uint64_t table_end = file_bytes - sizeof footer;
    if (footer.table_offset < alignment || footer.table_offset > table_end ||
        footer.table_offset % alignment != 0 ||
        footer.extents != (table_end - footer.table_offset) / sizeof(Extent) ||
        (table_end - footer.table_offset) % sizeof(Extent) != 0)
        return damaged("its table of extents is not where its footer says");
    return footer;
}

Result<std::vector<Extent>> table_of(Bytes table, const Footer& footer) {
    if (table.size() / sizeof(Extent) != footer.extents || table.size() % sizeof(Extent) != 0 ||
        checksum_of(table) != footer.table_checksum)
        return damaged("its table of extents has another checksum");
    std::vector<Extent> extents(footer.extents);
    if (!table.empty()) std::memcpy(extents.data(), table.data(), table.size());
    std::uint64_t offset = alignment;
    std::uint64_t hash = 0;
    std::uint64_t pairs = 0;
    for (const Extent& extent : extents) {
        if (extent.codec > codec_zstd)
            return Error(Errc::incompatible,
                         "it is compressed by codec " + std::to_string(extent.codec) + ", unknown here");
        if (!is_extent_good(extent, offset, footer.table_offset, hash) || !is_size_good(extent))
            return damaged("its table of extents makes no sense");
        offset += aligned(extent.bytes);
        hash = extent.last_hash;
        pairs += extent.pairs;
    }
    if (offset != footer.table_offset || pairs != footer.pairs)
        return damaged("its table of extents makes no sense");
    return extents;
}

void pack(const Commit& commit, std::vector<std::byte>& out) {
    const std::size_t begin = out.size();
    Packer packer(out);
    packer.put(commit_magic).put(commit_version).put(byte_order_mark);
    packer.put(hash_is_xxh3).put(placement_is_scaled);
    packer.put_text(commit.name).put(commit.dictionary_id).put(commit.save_id).put(commit.generation);
    packer.put(commit.began).put(commit.ended).put(commit.managers);
    packer.put(static_cast<std::uint32_t>(commit.files.size())).put(commit.checkpoint);
    for (const CommittedFile& file : commit.files) {
        packer.put_text(file.name).put(file.manager).put(file.bytes).put(file.pairs);
        packer.put(file.value_bytes).put(file.checksum);
    }
    packer.put(checksum_of(Bytes(out).subspan(begin)));
}

Result<Commit> commit_of(Bytes bytes) {
    Unpacker in(bytes);
    if (in.take<std::uint64_t>() != commit_magic) return damaged("it is no commit file");
    const auto version = in.take<std::uint32_t>();
    if (const Result<void> good = check_version(version, commit_version, in.take<std::uint32_t>()); !good)
        return good.error();
    const std::size_t content = bytes.size() - std::min(bytes.size(), sizeof(std::uint64_t));
    if (Unpacker(bytes.subspan(content)).take<std::uint64_t>() != checksum_of(bytes.first(content)))
        return damaged("the commit file has another checksum");
    const auto hash = in.take<std::uint32_t>();
    if (in.take<std::uint32_t>() != placement_is_scaled || hash != hash_is_xxh3)
        return Error(Errc::incompatible, "its keys were hashed or placed in a way that is unknown here");
    Commit commit;
    commit.name = in.take_text();
    commit.dictionary_id = in.take<std::uint64_t>();
    commit.save_id = in.take<std::uint64_t>();
    commit.generation = in.take<std::uint64_t>();
    commit.began = in.take<std::uint64_t>();
    commit.ended = in.take<std::uint64_t>();
    commit.managers = in.take<std::uint32_t>();
    const auto files = in.take<std::uint32_t>();
    if (version >= 2) commit.checkpoint = in.take<std::uint32_t>();
    if (!in.good() || commit.name.size() > name_bytes_max || commit.checkpoint > limits::checkpoint_id_max ||
        files != commit.managers || files > in.rest().size() / sizeof(CommittedFile::bytes))
        return damaged("the commit file makes no sense");
    for (std::uint32_t i = 0; i < files; ++i) {
        CommittedFile file;
        if (!take(in, file) || file.manager != i) return damaged("the commit file makes no sense");
        commit.files.push_back(std::move(file));
    }
    if (in.rest().size() != sizeof(std::uint64_t)) return damaged("the commit file makes no sense");
    return commit;
}

}  // namespace ddict::persist
