// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// All pairs of a pool, read by another process while the manager writes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"
#include "shm/block.h"
#include "shm/reader.h"
#include "shm/version.h"

namespace ddict::shm {

/// Takes a value that comes in pieces.
class PieceSink {
  public:
    /// Pieces of a value with so many bytes follow; it may be of another type than when it was found.
    virtual Result<void> begin(const Pair& pair, std::uint64_t value_bytes) = 0;
    virtual Result<void> piece(Bytes bytes) = 0;
    /// Whether what has come is the value; if not, it is as if it had never begun.
    virtual Result<void> end(bool is_true) = 0;

  protected:
    ~PieceSink() = default;
};

/// Goes over the pairs in the order of their shard hashes, a segment of the index at a time. A pair that is
/// there all the while is found exactly once, one that comes or goes meanwhile once or not at all; of one
/// that changes, one of its values is found. Those with a time to live are left out: they are of the job that
/// runs, and not of what is kept of it. For one thread. Memory: the pairs of a segment, each with 4 KiB
/// of value at the most.
///
/// Why nothing is missed: the pairs of a home bucket are taken together, and count only if no bucket that
/// they can be in has changed meanwhile (layout.h, 1 and 2); those of a segment only if the directory still
/// leads to it afterwards, for its first and its last hash: a split leads to the new segment before it takes
/// anything out of the old one.
class PoolWalk {
  public:
    /// A larger value is left where it is: read() has it.
    static constexpr std::uint64_t value_bytes_here_max = 4096;
    struct Found {
        Pair pair;  // refers to memory of the walk, until next()
        std::uint64_t shard_hash = 0;
        std::uint64_t value_bytes = 0;
        bool value_is_here = false;
    };

    /// `at`: the checkpoint whose pairs are wanted. Of one that is kept no more next() says busy.
    explicit PoolWalk(std::shared_ptr<const PoolReader> pool, std::uint32_t at = limits::newest_checkpoint)
        : pool_(std::move(pool)), at_(at) {}

    /// Finds the pairs of the next segment; false: there are no more segments. Errors: manager_lost if the
    /// pool is gone; busy if the manager changes it faster than it can be read, or has died while it did:
    /// pairs from cursor() on are to be asked for by message then.
    Result<bool> next();
    std::span<const Found> pairs() const noexcept { return pairs_; }
    /// The first shard hash that next() has not looked at.
    std::uint64_t cursor() const noexcept { return cursor_; }

    /// The value of one of pairs() as it is now. Read::value: the sink has it, unless `outcome` is its error;
    /// absent: it has gone; ask: it changes too often.
    Read read(const Found& found, PieceSink& sink, Result<void>& outcome);

  private:
    struct Segment {
        const IndexSegment* at;
        std::uint64_t offset;
        std::uint64_t last_hash;
    };
    struct Staged {
        std::uint64_t key;  // offset in bytes_; the value follows
        Version version;
        Found found;
    };

    bool gather(const Segment& segment);
    bool gather_home(const Segment& segment, unsigned home);
    void leave_out_hidden(std::size_t first);
    bool take_pair(const Segment& segment, unsigned home, std::uint64_t offset);
    Result<bool> give_pieces(const PoolReader::Found& found, const Pair& pair, PieceSink& sink);

    std::shared_ptr<const PoolReader> pool_;
    std::uint32_t at_;
    std::uint64_t checkpoints_ = 0;  // that are kept: as PoolHeader has them
    std::uint32_t looked_at_ = 0;
    std::uint32_t floor_ = 0;
    std::uint64_t cursor_ = 0;
    bool at_end_ = false;
    std::vector<Staged> staged_;
    std::vector<std::byte> bytes_;
    std::vector<Found> pairs_;
    std::vector<std::byte> piece_;
};

}  // namespace ddict::shm
