// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ddict/result.h>

#include "base/checksum.h"
#include "persist/compression.h"
#include "persist/format.h"
#include "persist/place.h"
#include "persist/record.h"

namespace ddict::persist {

/// Writes the file of one manager, in extents. For one thread. Records have to come in the order of their
/// shard hashes. Memory: one extent, two if they are compressed. After an error only the destructor may
/// follow: the file is left, and is worth nothing.
class FileWriter {
  public:
    /// The file must not be there. `header` says whose it is. `compress`: extents are compressed that get
    /// smaller by an eighth at the least. Errors: system; invalid_argument if ddict is built without that.
    static Result<FileWriter> create(const Place& folder, const FileHeader& header, bool compress = false);

    /// Copies the pair.
    Result<void> add(const Record& record, std::uint64_t shard_hash);
    /// Memory for a pair that the caller fills in itself: front and value. keep() adds it; without, nothing
    /// has happened. Requires bytes <= pair_bytes_max, and the same order.
    static constexpr std::uint64_t pair_bytes_max = record_front_bytes_max + large_value_bytes;
    Result<std::byte*> reserve(std::uint64_t bytes);
    void keep(std::uint64_t bytes, std::uint64_t value_bytes, std::uint64_t shard_hash) noexcept;

    /// Whether drop_large() works: not where what is written stays written.
    bool can_drop_large() const noexcept { return output_->can_cut(); }
    // A pair whose value comes in pieces, in an extent of its own: begin, as many pieces as it takes, and
    // then keep or drop it.
    Result<void> begin_large(const Record& front, std::uint64_t value_bytes, std::uint64_t shard_hash);
    Result<void> add_piece(Bytes piece);
    Result<void> keep_large();
    /// The pair is as if it had never begun.
    Result<void> drop_large();

    /// Writes what is left, table and footer, and returns when all is on the medium.
    Result<CommittedFile> finish();

    std::uint64_t pairs() const noexcept { return footer_.pairs + open_.pairs; }
    std::uint64_t value_bytes() const noexcept { return footer_.value_bytes; }

  private:
    FileWriter(std::unique_ptr<Output> output, const FileHeader& header,
               std::unique_ptr<Compressor> compressor);
    Result<void> flush();
    void end_extent();
    Result<void> write(Bytes bytes);
    bool pays(Bytes piece);
    Result<void> store_piece(Bytes piece);
    Result<void> write_piece(Bytes bytes);

    std::unique_ptr<Output> output_;
    FileHeader header_;
    std::unique_ptr<std::byte[]> buffer_;
    std::unique_ptr<Compressor> compressor_;   // null: nothing is compressed
    std::unique_ptr<std::byte[]> compressed_;  // as large as buffer_, if there is a compressor
    std::uint64_t used_ = 0;
    std::uint64_t offset_ = alignment;  // where the next write goes
    Extent open_;                       // the extent that is being filled
    std::uint64_t large_value_bytes_ = 0;
    std::uint64_t large_front_bytes_ = 0;  // what of a large pair waits in buffer_ for its first piece
    Checksum checksum_;                    // of a large pair's extent
    std::vector<Extent> extents_;
    Footer footer_;
};

}  // namespace ddict::persist
