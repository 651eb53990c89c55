// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/local_pools.h"

#include <thread>

#include "base/limits.h"
#include "libclient/coarse_clock.h"
#include "libclient/host_memory.h"
#include "rpc/lost_managers.h"

namespace ddict::client {
namespace {

// How long at the most a manager that was killed, with nobody left to say so, is taken for alive.
constexpr std::int64_t nanoseconds_between_checks = 100'000'000;
// A thread whose last look was longer ago reads so seldom that it can look each time.
constexpr std::int64_t nanoseconds_of_often = 1'000'000;

constexpr std::int64_t nanoseconds_until_retry = 1'000'000'000;

std::int64_t nanoseconds_of(std::chrono::steady_clock::time_point time) {
    return time.time_since_epoch().count();
}

constinit thread_local std::int64_t last_look = 0;

}  // namespace

LocalPools::LocalPools(const shm::DirectorySegment* directory, const Handle& handle)
    : directory_(directory),
      dictionary_id_(handle.dictionary_id),
      secret_(handle.secret),
      first_(directory == nullptr ? 0 : directory->identity().first_local_manager),
      count_(directory == nullptr ? 0 : directory->identity().local_managers),
      managers_(handle.managers),
      locals_(std::make_unique<Local[]>(count_)) {}

LocalPools::~LocalPools() = default;

/// False if it was not for the manager or its pool that this could not be done, but for this process.
bool LocalPools::try_to_map(Local& local, ShardId shard) {
    const Result<DirectoryEntry> entry = directory_->entry(shard);
    if (!entry) return true;
    local.epoch = entry->epoch;
    if (entry->state != ServingState::serving) return true;
    Result<os::ProcessWatch> watch = os::ProcessWatch::open(entry->process);
    if (!watch) return watch.error().code != Errc::system;
    if (local.mapped == nullptr) {
        auto pool = shm::PoolReader::open(
            {.dictionary_id = dictionary_id_, .secret = secret_, .manager = number_of(shard)});
        if (!pool) return pool.error().code != Errc::system;
        local.mapped = *std::move(pool);
    }
    local.watch.emplace(*std::move(watch));
    local.pool.store(local.mapped.get(), std::memory_order_release);
    return true;
}

/// The first read from this manager, or one that is to try again. Until its pool can be read messages do.
const shm::PoolReader* LocalPools::map(std::uint32_t place) {
    const std::lock_guard lock(mutex_);
    Local& local = locals_[place];
    if (local.tried.load(std::memory_order_relaxed)) return local.pool.load(std::memory_order_relaxed);
    local.again_at = try_to_map(local, ShardId{first_ + place})
                         ? 0
                         : nanoseconds_of(coarse_now()) + nanoseconds_until_retry;
    local.tried.store(true, std::memory_order_relaxed);
    return local.pool.load(std::memory_order_relaxed);
}

void LocalPools::look_at_clock() {
    const auto time = coarse_now();
    GpuWatch::look(time);
    const std::int64_t now = nanoseconds_of(time);
    reads_until_look_ = now - last_look < nanoseconds_of_often ? reads_between_looks : 0;
    last_look = now;
    std::int64_t next = next_check_.load(std::memory_order_relaxed);
    if (now < next) return;
    if (next_check_.compare_exchange_strong(next, now + nanoseconds_between_checks,
                                            std::memory_order_relaxed))
        look_at_managers(now);
}

/// Another process than the one by which it was tried.
bool LocalPools::has_successor(const Local& local, ShardId shard) const {
    if (local.epoch == no_epoch) return false;
    const Result<DirectoryEntry> entry = directory_->entry(shard);
    return entry && entry->epoch > local.epoch && entry->state == ServingState::serving;
}

/// Also lets the next read try where an earlier one could not.
void LocalPools::look_at_managers(std::int64_t now) {
    const std::lock_guard lock(mutex_);
    for (std::uint32_t place = 0; place < count_; ++place) {
        Local& local = locals_[place];
        if (local.again_at != 0 && now >= local.again_at) local.tried.store(false, std::memory_order_relaxed);
        if (local.watch && !local.watch->alive()) {
            local.pool.store(nullptr, std::memory_order_relaxed);
            local.watch.reset();
        }
        if (!local.watch && has_successor(local, ShardId{first_ + place}))
            local.tried.store(false, std::memory_order_relaxed);
    }
}

Result<shm::FrozenView> LocalPools::view(ShardId shard, KeyBytes key, std::uint64_t hash, std::uint32_t at,
                                         std::chrono::steady_clock::time_point deadline) {
    for (const auto begun = std::chrono::steady_clock::now();;) {
        Result<shm::FrozenView> view = view_now(shard, key, hash, at);
        if (view) return view;
        const auto now = std::chrono::steady_clock::now();
        const Errc code = view.error().code;
        const bool may_pass = code == Errc::manager_lost || code == Errc::busy || code == Errc::system;
        if (!may_pass || now >= deadline || !may_come_back(shard, now - begun)) return view;
        std::this_thread::sleep_for(limits::restart_look_interval);
        look_at_managers(nanoseconds_of(coarse_now()));
    }
}

/// Whether another process takes the manager's place, as the directory says; for a while, whether it may.
bool LocalPools::may_come_back(ShardId shard, std::chrono::steady_clock::duration waited) const {
    const Result<DirectoryEntry> entry = is_local(shard) ? directory_->entry(shard) : Error(Errc::not_found);
    if (!entry || entry->state == ServingState::lost || !entry->is_restartable) return false;
    return waited < (entry->state == ServingState::restarting ? limits::restart_time_max
                                                              : limits::restart_announced_max);
}

Result<shm::FrozenView> LocalPools::view_now(ShardId shard, KeyBytes key, std::uint64_t hash,
                                             std::uint32_t at) {
    if (!is_local(shard))
        return Error(Errc::invalid_argument, "the key's manager is on another node; get a copy instead");
    if (const shm::PoolReader* pool = pool_of(shard)) return pool->view(key, hash, at);
    if (ended_with_dictionary(shard)) return dictionary_ended();
    return why_unreadable(shard);
}

/// Of a pool that is not mapped, or is not read any more.
Error LocalPools::why_unreadable(ShardId shard) const {
    const Result<DirectoryEntry> entry = directory_->entry(shard);
    if (!entry) return entry.error();
    const Result<os::ProcessWatch> watch = os::ProcessWatch::open(entry->process);
    if (!watch) return watch.error();
    const auto pool = shm::PoolReader::open(
        {.dictionary_id = dictionary_id_, .secret = secret_, .manager = number_of(shard)});
    if (!pool && pool.error().code == Errc::dictionary_gone)
        return Error(
            Errc::system,
            "the name of its pool is gone, though the manager lives: the dictionary is about to end; "
            "get a copy instead");
    if (!pool) return pool.error();
    return Error(Errc::system,
                 "its pool could not be read when that was tried last, within a second; try again, or get a "
                 "copy instead");
}

bool LocalPools::ended_with_dictionary(ShardId shard) {
    if (!is_local(shard)) return false;
    {
        const std::lock_guard lock(mutex_);
        if (const auto& mapped = locals_[number_of(shard) - first_].mapped; mapped != nullptr)
            return mapped->ended_with_dictionary();
    }
    const auto pool = shm::PoolReader::open(
        {.dictionary_id = dictionary_id_, .secret = secret_, .manager = number_of(shard)});
    if (pool) return (*pool)->ended_with_dictionary();
    // The names of pools are removed while the managers live, when a job is about to be killed. Once their
    // node launcher is dead, so are they.
    return pool.error().code == Errc::dictionary_gone && count_ == managers_ && !directory_->has_owner();
}

}  // namespace ddict::client
