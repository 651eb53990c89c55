// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/file_writer.h"

#include <cstring>
#include <span>
#include <utility>

#include "base/assert.h"

namespace ddict::persist {
namespace {

// An extent that is not full yet takes one pair more, and its zeros.
constexpr std::uint64_t buffer_bytes = aligned(extent_bytes + FileWriter::pair_bytes_max);
constexpr std::byte zeros[alignment]{};

}  // namespace

FileWriter::FileWriter(std::unique_ptr<Output> output, const FileHeader& header)
    : output_(std::move(output)),
      header_(sealed(header)),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(buffer_bytes)) {}

Result<FileWriter> FileWriter::create(const Place& folder, const FileHeader& header) {
    Result<std::unique_ptr<Output>> output = create_output(folder.in(file_name(header.manager)));
    if (!output) return output.error();
    FileWriter writer(*std::move(output), header);
    std::memset(writer.buffer_.get(), 0, alignment);
    std::memcpy(writer.buffer_.get(), &writer.header_, sizeof writer.header_);
    const Result<void> written = writer.output_->write(Bytes(writer.buffer_.get(), alignment));
    if (!written) return written.error();
    return writer;
}

Result<void> FileWriter::add(const Record& record, std::uint64_t shard_hash) {
    if (record.value.size() > large_value_bytes) {
        if (const Result<void> begun = begin_large(record, record.value.size(), shard_hash); !begun)
            return begun;
        if (const Result<void> added = add_piece(record.value); !added) return added;
        return keep_large();
    }
    const std::uint64_t front = record_front_bytes(record);
    const Result<std::byte*> to = reserve(front + record.value.size());
    if (!to) return to.error();
    write_record_front(record, record.value.size(), *to);
    if (!record.value.empty()) std::memcpy(*to + front, record.value.data(), record.value.size());
    keep(front + record.value.size(), record.value.size(), shard_hash);
    return {};
}

Result<std::byte*> FileWriter::reserve(std::uint64_t bytes) {
    DDICT_ASSERT(bytes <= pair_bytes_max, "a larger pair comes in pieces");
    if (used_ >= extent_bytes) {
        if (const Result<void> flushed = flush(); !flushed) return flushed.error();
    }
    return buffer_.get() + used_;
}

void FileWriter::keep(std::uint64_t bytes, std::uint64_t value_bytes, std::uint64_t shard_hash) noexcept {
    if (open_.pairs == 0) open_.first_hash = shard_hash;
    DDICT_ASSERT(shard_hash >= (open_.pairs == 0 ? open_.first_hash : open_.last_hash),
                 "pairs come in the order of their shard hashes");
    open_.last_hash = shard_hash;
    ++open_.pairs;
    used_ += bytes;
    footer_.value_bytes += value_bytes;
}

Result<void> FileWriter::write(Bytes bytes) {
    if (const Result<void> written = output_->write(bytes); !written) return written;
    offset_ += bytes.size();
    return {};
}

Result<void> FileWriter::flush() {
    if (used_ == 0) return {};
    open_.offset = offset_;
    open_.bytes = used_;
    const std::uint64_t all = aligned(used_);
    std::memset(buffer_.get() + used_, 0, all - used_);
    open_.checksum = checksum_of(Bytes(buffer_.get(), all));
    if (const Result<void> written = write(Bytes(buffer_.get(), all)); !written) return written;
    used_ = 0;
    end_extent();
    return {};
}

void FileWriter::end_extent() {
    open_.plain_bytes = open_.bytes;
    footer_.pairs += open_.pairs;
    extents_.push_back(std::exchange(open_, {}));
}

Result<void> FileWriter::begin_large(const Record& front, std::uint64_t value_bytes,
                                     std::uint64_t shard_hash) {
    if (const Result<void> flushed = flush(); !flushed) return flushed;
    std::byte bytes[record_front_bytes_max];
    write_record_front(front, value_bytes, bytes);
    open_ = {.offset = offset_, .pairs = 1, .first_hash = shard_hash, .last_hash = shard_hash};
    large_value_bytes_ = value_bytes;
    checksum_.reset();
    return add_piece(Bytes(bytes, record_front_bytes(front)));
}

Result<void> FileWriter::add_piece(Bytes piece) {
    checksum_.add(piece);
    open_.bytes += piece.size();
    return write(piece);
}

Result<void> FileWriter::keep_large() {
    const Bytes fill(zeros, aligned(open_.bytes) - open_.bytes);
    checksum_.add(fill);
    open_.checksum = checksum_.value();
    if (!fill.empty()) {
        if (const Result<void> written = write(fill); !written) return written;
    }
    footer_.value_bytes += large_value_bytes_;
    end_extent();
    return {};
}

Result<void> FileWriter::drop_large() {
    offset_ = open_.offset;
    open_ = {};
    return output_->cut(offset_);
}

Result<CommittedFile> FileWriter::finish() {
    if (const Result<void> flushed = flush(); !flushed) return flushed.error();
    const Bytes table = std::as_bytes(std::span(extents_));
    footer_.table_offset = offset_;
    footer_.extents = extents_.size();
    footer_.table_checksum = checksum_of(table);
    footer_.header_checksum = header_.checksum;
    footer_ = sealed(footer_);
    for (const Bytes part : {table, std::as_bytes(std::span(&footer_, 1))}) {
        if (const Result<void> written = write(part); !written) return written.error();
    }
    if (const Result<void> synced = output_->finish(); !synced) return synced.error();
    return CommittedFile{.name = file_name(header_.manager),
                         .manager = header_.manager,
                         .bytes = offset_,
                         .pairs = footer_.pairs,
                         .value_bytes = footer_.value_bytes,
                         .checksum = footer_.checksum};
}

}  // namespace ddict::persist
