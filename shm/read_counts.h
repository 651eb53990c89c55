// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How often clients have read from the pools of this node without a message: counted by the clients, in a
// part of the node's directory segment, and seen by the managers.
//
//   part   := users:u32*  column*      read_columns of each
//   column := count:u64*               one for each manager of the node; filled up to a cache line
//
// Invariants:
//   1. A count only grows, and nothing is ever taken back: what a thread has counted stays when it ends, and
//      when its process is killed.
//   2. Every addition is atomic. So it does not matter to the sum how many threads share a column, and
//      `users` only has each new thread take the column with the fewest: whoever is killed leaves its column
//      in use, which makes it the last to be taken, and no more.
//   3. Any process of the user can write here: a manager believes no count, but adds up by how much each has
//      grown since it last looked, within bounds (ReadTotal).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include <ddict/result.h>

#include "base/bytes.h"
#include "shm/layout.h"
#include "shm/segment.h"

namespace ddict::shm {

class DirectorySegment;

/// Threads beyond share columns with others, which costs time.
inline constexpr std::uint32_t read_columns = 240;
/// What the part takes for so many managers on the node: whole pages.
std::uint64_t read_counts_bytes(std::uint32_t local_managers) noexcept;

/// For a client: the counts, to be written. Threads: all may, also of several processes.
class ReadCounts {
  public:
    /// Maps them, and nothing else of the segment. Errors as of SegmentPart::open(). A few system calls.
    static Result<ReadCounts> open(const DirectorySegment& directory);

    /// A column for the calling thread: the counts of the node's managers, the first of them first. It is
    /// there as long as this object.
    AtomicWord* take_column() noexcept;
    /// The thread has ended, or does not read any more; the counts stay.
    void release(const AtomicWord* column) noexcept;

  private:
    ReadCounts(SegmentPart part, std::uint64_t column_bytes)
        : part_(std::move(part)), column_bytes_(column_bytes) {}
    std::atomic<std::uint32_t>& users(std::uint32_t column) const noexcept;

    SegmentPart part_;
    std::uint64_t column_bytes_;
};

/// For a manager: the reads from its pool since this was made. One thread.
class ReadTotal {
  public:
    /// Beyond it a client has written nonsense.
    static constexpr std::uint64_t reads_max = std::uint64_t{1} << 62;

    /// Requires that the manager is one of the directory's node; `directory` must outlive this.
    ReadTotal(const DirectorySegment& directory, std::uint32_t manager);

    /// Looks at all columns. Never less than before, and never above reads_max.
    std::uint64_t advance() noexcept;

  private:
    const AtomicWord& count(std::uint32_t column) const noexcept;

    const std::byte* first_;
    std::uint64_t column_bytes_;
    std::array<std::uint64_t, read_columns> seen_;
    std::uint64_t total_ = 0;
};

}  // namespace ddict::shm
