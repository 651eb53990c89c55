// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/file_writer.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/assert.h"

namespace ddict::persist {
namespace {

// An extent that is not full yet takes one pair more, and its zeros.
constexpr std::uint64_t buffer_bytes = aligned(extent_bytes + FileWriter::pair_bytes_max);
constexpr std::byte zeros[alignment]{};
// A large value is judged by so much of it.
constexpr std::uint64_t sample_bytes = std::uint64_t{256} << 10;

/// What compressed bytes may take to be worth the reader's time.
constexpr std::uint64_t worthwhile(std::uint64_t plain_bytes) {
    return plain_bytes - plain_bytes / 8;
}

}  // namespace

FileWriter::FileWriter(std::unique_ptr<Output> output, const FileHeader& header,
                       std::unique_ptr<Compressor> compressor)
    : output_(std::move(output)),
      header_(sealed(header)),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(buffer_bytes)),
      compressor_(std::move(compressor)) {
    if (compressor_ != nullptr) compressed_ = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
}

Result<FileWriter> FileWriter::create(const Place& folder, const FileHeader& header, bool compress) {
    std::unique_ptr<Compressor> compressor = compress ? make_compressor() : nullptr;
    if (compress && compressor == nullptr)
        return Error(Errc::invalid_argument,
                     "this ddict is built without zstd: save without compression, or build it with libzstd");
    Result<std::unique_ptr<Output>> output = create_output(folder.in(file_name(header.manager)));
    if (!output) return output.error();
    FileWriter writer(*std::move(output), header, std::move(compressor));
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
    open_.plain_bytes = used_;
    open_.bytes = used_;
    std::byte* stored = buffer_.get();
    if (compressor_ != nullptr) {
        const std::size_t bytes = compressor_->compress(Bytes(buffer_.get(), used_),
                                                        MutableBytes(compressed_.get(), worthwhile(used_)));
        if (bytes != 0) {
            open_.codec = codec_zstd;
            open_.bytes = bytes;
            stored = compressed_.get();
        }
    }
    const std::uint64_t all = aligned(open_.bytes);
    std::memset(stored + open_.bytes, 0, all - open_.bytes);
    open_.checksum = checksum_of(Bytes(stored, all));
    if (const Result<void> written = write(Bytes(stored, all)); !written) return written;
    used_ = 0;
    end_extent();
    return {};
}

void FileWriter::end_extent() {
    footer_.pairs += open_.pairs;
    extents_.push_back(std::exchange(open_, {}));
}

Result<void> FileWriter::begin_large(const Record& front, std::uint64_t value_bytes,
                                     std::uint64_t shard_hash) {
    if (const Result<void> flushed = flush(); !flushed) return flushed;
    write_record_front(front, value_bytes, buffer_.get());
    large_front_bytes_ = record_front_bytes(front);
    open_ = {.offset = offset_, .pairs = 1, .first_hash = shard_hash, .last_hash = shard_hash};
    large_value_bytes_ = value_bytes;
    checksum_.reset();
    return {};
}

/// Of a copy: the piece may change meanwhile.
bool FileWriter::pays(Bytes piece) {
    const std::uint64_t bytes = std::min<std::uint64_t>(piece.size(), sample_bytes);
    std::byte* const copy = buffer_.get() + aligned(large_front_bytes_);
    std::memcpy(copy, piece.data(), bytes);
    return compressor_->compress(Bytes(copy, bytes), MutableBytes(compressed_.get(), worthwhile(bytes))) != 0;
}

Result<void> FileWriter::add_piece(Bytes piece) {
    if (const std::uint64_t front = large_front_bytes_; front != 0) {
        if (compressor_ != nullptr && pays(piece)) {
            compressor_->begin();
            open_.codec = codec_zstd;
        }
        large_front_bytes_ = 0;
        if (const Result<void> stored = store_piece(Bytes(buffer_.get(), front)); !stored) return stored;
    }
    return store_piece(piece);
}

Result<void> FileWriter::store_piece(Bytes piece) {
    open_.plain_bytes += piece.size();
    if (open_.codec == codec_none) return write_piece(piece);
    return compressor_->add(piece, [this](Bytes bytes) { return write_piece(bytes); });
}

Result<void> FileWriter::write_piece(Bytes bytes) {
    checksum_.add(bytes);
    open_.bytes += bytes.size();
    return write(bytes);
}

Result<void> FileWriter::keep_large() {
    if (open_.codec == codec_zstd) {
        const Result<void> ended = compressor_->end([this](Bytes bytes) { return write_piece(bytes); });
        if (!ended) return ended;
    }
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
