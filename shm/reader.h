// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Reads pairs straight out of a manager's pool, from any process of the same user on the node, without a
// message, a lock or a system call, while the manager writes. layout.h says why what is read is true.
#pragma once

#include <cstdint>
#include <memory>

#include <ddict/result.h>
#include <ddict/value_sink.h>
#include <ddict/value_type.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "shm/layout.h"
#include "shm/segment.h"

namespace ddict::shm {

/// What a read has come to.
enum class Read {
    value,   ///< the key is there
    absent,  ///< the key is not there
    ask,     ///< not to be had this way: ask the manager by message
};

struct PoolOwner {
    std::uint64_t dictionary_id = 0;
    Secret secret{};
    std::uint32_t manager = 0;
};

class PoolReader;
class PoolWalk;

/// A value of a frozen dictionary, where it lies: nothing is copied. Keeps the pool mapped. May be copied and
/// used from any thread.
class FrozenView {
  public:
    /// The value. invalid_argument if the dictionary has been unfrozen since the view was made.
    Result<Bytes> bytes() const;
    /// Whether the freeze still lasts. Ask after the bytes have been used: if so, then they were right.
    bool valid() const noexcept;

    std::uint64_t size() const noexcept { return bytes_.size(); }
    std::uint16_t value_type() const noexcept { return value_type_; }
    std::uint64_t checkpoint() const noexcept { return checkpoint_; }

  private:
    friend class PoolReader;
    FrozenView(std::shared_ptr<const PoolReader> pool, Bytes bytes, std::uint16_t value_type,
               std::uint64_t checkpoint, std::uint64_t freeze_epoch)
        : pool_(std::move(pool)),
          bytes_(bytes),
          checkpoint_(checkpoint),
          freeze_epoch_(freeze_epoch),
          value_type_(value_type) {}

    std::shared_ptr<const PoolReader> pool_;
    Bytes bytes_;
    std::uint64_t checkpoint_;
    std::uint64_t freeze_epoch_;
    std::uint16_t value_type_;
};

/// Any number of threads may use it at once. Reads retry a bounded number of times when a writer comes in
/// between, and then answer `ask`; so they also do once the manager has marked its pool as gone, or if
/// anything in the pool makes no sense. Whether a manager that was killed still lives, the caller has to find
/// out.
class PoolReader : public std::enable_shared_from_this<PoolReader> {
  public:
    /// Maps the pool of this manager, read-only. dictionary_gone if there is none; protocol if the segment is
    /// cut or damaged; incompatible if another version of ddict formatted it; access_denied if it is another
    /// dictionary's, another manager's, or the secret is not its own; not_attached if no manager has taken it
    /// over yet.
    static Result<std::shared_ptr<const PoolReader>> open(const PoolOwner& owner);
    /// The same with a segment that has been opened already.
    static Result<std::shared_ptr<const PoolReader>> open(Segment segment, const PoolOwner& owner);

    PoolReader(const PoolReader&) = delete;
    PoolReader& operator=(const PoolReader&) = delete;

    /// Copies the value into the buffer that the sink prepares, which may be asked more than once: the last
    /// time counts. If the sink refuses the value, `outcome` says so, and the read has come to `value`.
    /// `outcome` is not touched otherwise. The buffer holds nothing of meaning if it does not come to
    /// `value`.
    /// `at`: the checkpoint, of which the value is the newest that is not newer; `checkpoint`, if wanted, is
    /// the one at which it was written. Of one that is kept no more the manager has to be asked, and of a key
    /// that is not there if a get waits for it.
    Read get(KeyBytes key, std::uint64_t hash, ValueSink& sink, Result<void>& outcome,
             std::uint64_t* checkpoint = nullptr, std::uint32_t at = limits::newest_checkpoint) const;
    /// `info`, if wanted, is of the value, and of no meaning unless it comes to `value`.
    Read contains(KeyBytes key, std::uint64_t hash, ValueInfo* info = nullptr,
                  std::uint32_t at = limits::newest_checkpoint) const noexcept;
    /// Fetches what get() will look at first into the cache; for batches.
    void prefetch(std::uint64_t hash) const noexcept;

    /// not_found; invalid_argument if the dictionary is not frozen; manager_lost if the pool is gone; busy if
    /// it cannot be read just now.
    Result<FrozenView> view(KeyBytes key, std::uint64_t hash,
                            std::uint32_t at = limits::newest_checkpoint) const;
    bool frozen() const noexcept { return (freeze_epoch() & 1) != 0; }

    bool gone() const noexcept { return header().gone.load(std::memory_order_acquire) != life_; }
    /// Whether the manager has said that the dictionary ends with it, or the pool is another dictionary's.
    bool ended_with_dictionary() const noexcept {
        const std::uint64_t now = header().gone.load(std::memory_order_acquire);
        return life_in(now) != life_ || end_in(now) == static_cast<std::uint64_t>(PoolEnd::dictionary);
    }

  private:
    friend class FrozenView;
    friend class PoolWalk;
    enum class Look {
        found,
        absent,
        again,
        ask,  // the manager: the checkpoint is kept no more
    };
    struct Found;

    PoolReader(Segment segment, const std::byte* pool, std::uint64_t pool_bytes);

    const PoolHeader& header() const noexcept { return *reinterpret_cast<const PoolHeader*>(pool_); }
    std::uint64_t freeze_epoch() const noexcept {
        return header().freeze_epoch.load(std::memory_order_acquire);
    }
    template <class T>
    const T& at(std::uint64_t offset) const noexcept {
        return *reinterpret_cast<const T*>(pool_ + offset);
    }
    bool inside(std::uint64_t offset, std::uint64_t bytes) const noexcept {
        return offset <= pool_bytes_ && bytes <= pool_bytes_ - offset;
    }
    std::uint64_t segment_of(std::uint64_t shard_hash, const AtomicWord*& entry) const noexcept;
    Look find(KeyBytes key, std::uint64_t hash, std::uint32_t at, Found& found) const noexcept;
    [[gnu::noinline, gnu::cold]] Look find_version(KeyBytes key, std::uint64_t hash, std::uint32_t at,
                                                   Found& found) const noexcept;
    template <class F>
    Look find_among(KeyBytes key, std::uint64_t hash, std::uint64_t structure_epoch, F take) const noexcept;
    std::uint32_t floor_at(std::uint32_t at, std::uint64_t checkpoints) const noexcept;
    /// Whether a get of a key that is not there waits for it, which is the manager's business.
    bool may_come() const noexcept {
        return may_be_transient_in(header().checkpoints.load(std::memory_order_relaxed));
    }
    bool still_true(const Found& found) const noexcept;
    Look find_true(KeyBytes key, std::uint64_t hash, std::uint32_t at, Found& found) const noexcept;

    Segment segment_;
    const std::byte* pool_;
    std::uint64_t pool_bytes_;
    std::uint64_t life_;  // see life_in()
};

}  // namespace ddict::shm
