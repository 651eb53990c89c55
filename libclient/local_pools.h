// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The pools of this node's managers, as this process reads them: without a message.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <ddict/value_sink.h>

#include "cluster/handle.h"
#include "os/process_watch.h"
#include "shm/directory_segment.h"
#include "shm/reader.h"

namespace ddict::client {

/// Any thread may use it, without a lock but for the first read from each manager, when its pool is mapped. A
/// read makes no system call, except that at most every tenth of a second the kernel is asked whether the
/// managers still live: what a dead manager has left is served no longer than that, and then the answer is
/// `ask`, so that a message brings the truth to light. `ask` is also the answer for managers of other nodes,
/// at once; and for a while where this process lacked something to read a pool with (file descriptors,
/// memory): that is tried again once a second. When another process serves a shard whose manager was gone,
/// the pool is read again.
class LocalPools {
  public:
    using Read = shm::Read;

    /// `directory` is null if this node has no managers; otherwise it must outlive this object. Costs nothing
    /// until the first read.
    LocalPools(const shm::DirectorySegment* directory, const Handle& handle);
    ~LocalPools();
    LocalPools(const LocalPools&) = delete;
    LocalPools& operator=(const LocalPools&) = delete;

    /// `hash` is hash_of(key), and `shard` the key's. Read::value: the value is in the sink, or the sink
    /// has refused it, and then `outcome` says so; it is not touched otherwise. `at`: the checkpoint.
    Read get(ShardId shard, KeyBytes key, std::uint64_t hash, std::uint32_t at, ValueSink& sink,
             Result<void>& outcome) {
        const shm::PoolReader* pool = pool_of(shard);
        return pool == nullptr ? Read::ask : pool->get(key, hash, sink, outcome, nullptr, at);
    }
    Read contains(ShardId shard, KeyBytes key, std::uint64_t hash, std::uint32_t at,
                  ValueInfo* info = nullptr) {
        const shm::PoolReader* pool = pool_of(shard);
        return pool == nullptr ? Read::ask : pool->contains(key, hash, info, at);
    }
    /// For batches: fetches what a get of this key will look at first into the cache.
    void prefetch(ShardId shard, std::uint64_t hash) {
        if (const shm::PoolReader* pool = pool_of(shard); pool != nullptr) pool->prefetch(hash);
    }
    /// A value of a frozen dictionary without a copy. While another process takes the manager's place, waits
    /// for that. not_found; invalid_argument if the dictionary is not frozen, or the manager is on another
    /// node; manager_lost, dictionary_gone; busy; why it cannot be read.
    Result<shm::FrozenView> view(ShardId shard, KeyBytes key, std::uint64_t hash, std::uint32_t at,
                                 std::chrono::steady_clock::time_point deadline);

    /// A pool to be read whole; null where get() would ask by message. A dead manager is known within a tenth
    /// of a second: ask again afterwards.
    std::shared_ptr<const shm::PoolReader> whole(ShardId shard) {
        const shm::PoolReader* pool = pool_of(shard);
        return pool == nullptr ? nullptr : pool->shared_from_this();
    }

    /// Whether a manager of this node has left word that the dictionary ended with it. Not on the way of
    /// reads.
    bool ended_with_dictionary(ShardId shard);

    /// Whether this manager's pool is in this node's memory. It may still not be readable.
    bool is_local(ShardId shard) const noexcept { return number_of(shard) - first_ < count_; }
    /// Among the managers of this node, if it is one.
    std::uint32_t place_of(ShardId shard) const noexcept { return number_of(shard) - first_; }

  private:
    struct Local {
        std::atomic<const shm::PoolReader*> pool{nullptr};  // to be read now
        std::atomic<bool> tried{false};
        std::shared_ptr<const shm::PoolReader>
            mapped;              // also after its manager: the next one has the same pool
        Epoch epoch = no_epoch;  // of the entry by which it was tried
        std::optional<os::ProcessWatch> watch;
        std::int64_t again_at = 0;  // when to try once more, of the coarse clock; 0: no more
    };
    // How many reads a thread may do before it looks at the clock, when it reads often.
    static constexpr unsigned reads_between_looks = 16;

    const shm::PoolReader* pool_of(ShardId shard) {
        const std::uint32_t place = number_of(shard) - first_;
        if (place >= count_) return nullptr;
        if (reads_until_look_ == 0) {
            look_at_clock();
        } else {
            --reads_until_look_;
        }
        Local& local = locals_[place];
        const shm::PoolReader* pool = local.pool.load(std::memory_order_acquire);
        return pool != nullptr || local.tried.load(std::memory_order_relaxed) ? pool : map(place);
    }
    const shm::PoolReader* map(std::uint32_t place);
    Result<shm::FrozenView> view_now(ShardId shard, KeyBytes key, std::uint64_t hash, std::uint32_t at);
    bool may_come_back(ShardId shard, std::chrono::steady_clock::duration waited) const;
    Error why_unreadable(ShardId shard) const;
    void look_at_clock();
    void look_at_managers(std::int64_t now);
    bool try_to_map(Local& local, ShardId shard);
    bool has_successor(const Local& local, ShardId shard) const;

    static inline constinit thread_local unsigned reads_until_look_ = 0;

    const shm::DirectorySegment* directory_;
    const std::uint64_t dictionary_id_;
    const Secret secret_;
    const std::uint32_t first_;
    const std::uint32_t count_;
    const std::uint32_t managers_;  // of the whole dictionary
    const std::unique_ptr<Local[]> locals_;
    std::atomic<std::int64_t> next_check_{0};  // of the coarse clock, in nanoseconds
    std::mutex mutex_;                         // guards what is not atomic in Local
};

}  // namespace ddict::client
