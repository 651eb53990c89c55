// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/segments.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <system_error>
#include <thread>
#include <utility>

#include "launcher/launch_loop.h"
#include "os/pages.h"
#include "shm/directory_segment.h"
#include "shm/pool.h"
#include "store/reply_memory.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds orphans_grace{3};
constexpr std::chrono::milliseconds look_again{20};
constexpr std::uint64_t touched_at_once = std::uint64_t{64} << 20;

void remove_files_of(const std::string& pool_name) {
    shm::Segment::remove(pool_name);
    shm::Segment::remove(shm::reply_segment_name(pool_name));
    shm::remove_socket(pool_name);
}

}  // namespace

std::string no_huge_pages(const NodePlan& plan) {
    return plan.huge_pages ? os::why_no_huge_pages("/dev/shm") : std::string();
}

Result<void> NodeSegments::make(const std::function<Result<void>()>& look_up) {
    const std::uint64_t id = plan_.identity.dictionary_id;
    auto directory = shm::create_directory_segment(id);
    if (!directory) return directory.error();
    directory_.emplace(*std::move(directory));
    const std::vector<std::uint32_t>& missing = found_.on_node.missing;
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        const std::uint32_t manager = identity_.first_manager + i;
        pool_names_.push_back(shm::pool_segment_name(id, manager));
        is_kept_.push_back(found_.mark &&
                           std::find(missing.begin(), missing.end(), manager) == missing.end());
    }
    auto made = create_missing(look_up);
    if (const auto good = look_up(); !good) return good;
    for (const auto& one : made)
        if (one && !*one) return one->error();
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        const auto done = is_kept_[i] ? take_kept(i, look_up) : prepare_new(i, *std::move(made[i]));
        if (!done) return done;
        if (const auto good = look_up(); !good) return good;
    }
    return {};
}

/// Of each pool that was not kept; nothing of those that it has not come to when one fails, or look_up()
/// does. The kernel takes the memory of a file by one processor, which is nearly all that a start waits for,
/// so all processors make one each.
std::vector<std::optional<Result<shm::Segment>>> NodeSegments::create_missing(
    const std::function<Result<void>()>& look_up) const {
    std::vector<std::optional<Result<shm::Segment>>> made(plan_.managers_per_node);
    std::atomic<std::uint32_t> next{0};
    std::atomic<bool> goes_on{true};  // until one has failed: the others would fill what is free for nothing
    const auto make_one = [&] {
        const std::uint32_t i = next++;
        if (i >= made.size() || !goes_on) return false;
        if (is_kept_[i]) return true;
        made[i].emplace(create_pool(i));
        if (!*made[i]) goes_on = false;
        return true;
    };
    std::vector<std::thread> others;
    try {
        while (others.size() + 1 < std::min<std::size_t>(made.size(), std::thread::hardware_concurrency()))
            others.emplace_back([&] {
                while (make_one()) {
                }
            });
    } catch (const std::system_error&) {  // no more threads to be had: the others do it
    }
    while (make_one()) {
        if (!look_up()) goes_on = false;  // make() hears it again
    }
    for (std::thread& other : others)
        other.join();
    return made;
}

/// Where its manager is. A kernel that refuses is worth a word, and no reason not to start.
void NodeSegments::prepare_pool(std::uint32_t local, std::byte* data, std::uint64_t bytes) const {
    if (local < places_.size()) {
        const Place& place = places_[local];
        const auto done = place.has_memory
                              ? os::prefer_numa_domain(data, bytes, place.domain)
                              : Result<void>(Error(Errc::system, "this process may use no memory of domain " +
                                                                     std::to_string(place.domain)));
        const std::lock_guard lock(far_memory_mutex_);
        if (!done) far_memory_ = reason(done.error());
    }
    if (!plan_.huge_pages || !no_huge_pages(plan_).empty() || !os::want_huge_pages(data, bytes)) return;
    // Those that are reserved without being touched are small. What cannot be had, reserving says in words.
    const std::uint64_t now = plan_.prefault ? std::min(bytes, shm::Pool::bytes_at_first) : bytes;
    for (std::uint64_t at = 0; at < now; at += touched_at_once)
        if (!os::populate(data + at, std::min(touched_at_once, now - at))) return;
}

Result<shm::Segment> NodeSegments::create_pool(std::uint32_t local) const {
    const auto prepare = [&](std::byte* data, std::uint64_t bytes) { prepare_pool(local, data, bytes); };
    return plan_.prefault ? shm::Pool::create_sparse_segment(pool_names_[local], plan_.pool_bytes, prepare)
                          : shm::Segment::create(pool_names_[local], plan_.pool_bytes, prepare);
}

std::string NodeSegments::far_memory() const {
    const std::lock_guard lock(far_memory_mutex_);
    return far_memory_;
}

Result<void> NodeSegments::make_new(std::uint32_t local) {
    return prepare_new(local, create_pool(local));
}

Result<void> NodeSegments::prepare_new(std::uint32_t local, Result<shm::Segment> segment) const {
    if (!segment) return segment.error();
    const auto replies = store::ReplyMemory::create_segment(shm::reply_segment_name(segment->name()));
    if (!replies) return replies.error();
    const auto formatted = shm::Pool::format(*segment, pool_identity(local), plan_.working_set);
    if (formatted && plan_.resume) shm::Pool::set_without_kept(*segment);
    return formatted;
}

Result<void> NodeSegments::take_kept(std::uint32_t local, const std::function<Result<void>()>& look_up) {
    const std::string kept = kept_pool_name(local);
    const auto replies =
        shm::Segment::add_name(shm::reply_segment_name(kept), shm::reply_segment_name(pool_names_[local]));
    if (!replies) return replies;
    if (const auto named = shm::Segment::add_name(kept, pool_names_[local]); !named) return named;
    return hand_over(local, look_up);
}

/// A manager of another attempt to resume it, whose node launcher was killed, may need a moment to end.
Result<void> NodeSegments::hand_over(std::uint32_t local,
                                     const std::function<Result<void>()>& look_up) const {
    auto pool = shm::Segment::open(pool_names_[local], shm::Access::read_write);
    if (!pool) return pool.error();
    const auto deadline = std::chrono::steady_clock::now() + orphans_grace;
    for (;;) {
        const auto owned = pool->own();
        if (owned) {
            const auto done = shm::Pool::hand_over(*pool, pool_identity(local));
            return done && !plan_.prefault ? take_all(*pool, look_up) : done;
        }
        if (owned.error().code != Errc::busy || std::chrono::steady_clock::now() > deadline) return owned;
        if (const auto good = look_up(); !good) return good;
        std::this_thread::sleep_for(look_again);
    }
}

/// Of a pool that was kept before all of it was there.
Result<void> NodeSegments::take_all(const shm::Segment& pool, const std::function<Result<void>()>& look_up) {
    if (pool.missing_bytes() == 0) return {};
    for (std::uint64_t from = 0; from < pool.size(); from += touched_at_once) {
        const auto taken = pool.reserve(from, std::min(pool.size(), from + touched_at_once));
        if (!taken) return taken;
        if (const auto good = look_up(); !good) return good;
    }
    return {};
}

Result<void> NodeSegments::format_again() const {
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        if (is_kept_[i]) {
            const auto again = hand_over(i, [] { return Result<void>(); });
            if (!again) return again;
            continue;
        }
        auto pool = shm::Segment::open(pool_names_[i], shm::Access::read_write);
        if (!pool) return pool.error();
        if (const auto formatted = shm::Pool::format(*pool, pool_identity(i), plan_.working_set); !formatted)
            return formatted;
        if (plan_.resume) shm::Pool::set_without_kept(*pool);
    }
    return {};
}

const KeptOnNode& NodeSegments::find_kept() {
    found_ = launcher::find_kept(plan_.name, identity_.node);
    return found_.on_node;
}

std::uint32_t NodeSegments::pools_kept() const {
    return found_.mark ? plan_.managers_per_node - static_cast<std::uint32_t>(found_.on_node.missing.size())
                       : 0;
}

std::uint64_t NodeSegments::kept_missing_bytes() const {
    if (!found_.mark) return 0;
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        const auto pool = shm::Segment::open(kept_pool_name(i), shm::Access::read_only);
        if (pool) bytes += pool->missing_bytes();
    }
    return bytes;
}

Result<void> NodeSegments::make_empty(std::uint32_t local) {
    remove_files_of(pool_names_[local]);
    is_kept_[local] = false;
    return make_new(local);
}

/// The mark first: what is killed behind this leaves names that are stale, of memory that is in use.
void NodeSegments::settle() {
    if (!found_.mark) return;
    shm::Segment::remove(found_.mark->name());
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i)
        remove_files_of(kept_pool_name(i));
    found_.mark.reset();
}

std::string NodeSegments::kept_pool_name(std::uint32_t local) const {
    return shm::pool_segment_name(found_.on_node.kept->dictionary_id, identity_.first_manager + local);
}

shm::PoolIdentity NodeSegments::pool_identity(std::uint32_t local) const {
    return {.dictionary_id = plan_.identity.dictionary_id,
            .secret = plan_.identity.secret,
            .manager = identity_.first_manager + local,
            .node = identity_.node};
}

Result<void> NodeSegments::write_directory(std::uint32_t ucx_version,
                                           const std::vector<DirectoryEntry>& entries) {
    return shm::write_directory(*directory_,
                                {.dictionary_id = plan_.identity.dictionary_id,
                                 .secret = plan_.identity.secret,
                                 .ucx_version = ucx_version,
                                 .first_local_manager = identity_.first_manager,
                                 .local_managers = plan_.managers_per_node},
                                entries);
}

void NodeSegments::mark_gone(std::uint32_t local) {
    if (local < withdrawn_.size() && withdrawn_[local]) shm::Pool::mark_gone(*withdrawn_[local]);
    shm::Pool::mark_gone(pool_names_[local]);
}

void NodeSegments::withdraw_names() {
    for (const std::string& name : pool_names_) {
        auto pool = shm::Segment::open(name, shm::Access::read_write);
        withdrawn_.push_back(pool ? std::optional(*std::move(pool)) : std::nullopt);
        remove_files_of(name);
    }
    if (directory_) shm::Segment::remove(directory_->name());
}

/// The mark before the directory goes: without either the pools are stale.
Result<void> NodeSegments::keep() {
    if (are_names_withdrawn())
        return Error(Errc::system,
                     "the job is ending, and its memory with it: save the pairs to disk instead");
    for (const std::string& name : pool_names_) {
        shm::Pool::mark_gone(name);
        shm::remove_socket(name);
    }
    const auto kept = shm::keep({.dictionary_id = plan_.identity.dictionary_id,
                                 .name = plan_.name,
                                 .nodes = plan_.nodes,
                                 .managers_per_node = plan_.managers_per_node,
                                 .first_manager = identity_.first_manager,
                                 .pool_bytes = plan_.pool_bytes,
                                 .working_set = plan_.working_set,
                                 .kept_at = std::time(nullptr)});
    if (!kept) return kept;
    pool_names_.clear();
    shm::mark_kept(*directory_);
    shm::Segment::remove(directory_->name());
    directory_.reset();
    return {};
}

/// The directory last: without it the others count as stale.
void NodeSegments::remove() {
    for (const auto& pool : withdrawn_)
        if (pool) shm::Pool::mark_gone(*pool);
    for (const std::string& name : pool_names_) {
        shm::Pool::mark_gone(name);
        remove_files_of(name);
    }
    withdrawn_.clear();
    pool_names_.clear();
    if (directory_) shm::Segment::remove(directory_->name());
    directory_.reset();
    found_.mark.reset();  // others may take it over
}

}  // namespace ddict::launcher
