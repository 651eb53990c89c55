// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/segments.h"

#include <utility>

#include "shm/directory_segment.h"
#include "shm/pool.h"
#include "store/reply_memory.h"

namespace ddict::launcher {
namespace {

void remove_files_of(const std::string& pool_name) {
    shm::Segment::remove(pool_name);
    shm::Segment::remove(shm::reply_segment_name(pool_name));
    shm::remove_socket(pool_name);
}

}  // namespace

Result<void> NodeSegments::make(const std::function<Result<void>()>& look_up) {
    const std::uint64_t id = plan_.identity.dictionary_id;
    auto directory = shm::create_directory_segment(id);
    if (!directory) return directory.error();
    directory_.emplace(*std::move(directory));
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        auto segment =
            shm::Segment::create(shm::pool_segment_name(id, identity_.first_manager + i), plan_.pool_bytes);
        if (!segment) return segment.error();
        pool_names_.push_back(segment->name());
        const auto replies = store::ReplyMemory::create_segment(shm::reply_segment_name(segment->name()));
        if (!replies) return replies.error();
        if (const auto formatted = format(*segment, i); !formatted) return formatted;
        if (const auto good = look_up(); !good) return good;
    }
    return {};
}

Result<void> NodeSegments::format_again() const {
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        auto pool = shm::Segment::open(pool_names_[i], shm::Access::read_write);
        if (!pool) return pool.error();
        if (const auto formatted = format(*pool, i); !formatted) return formatted;
    }
    return {};
}

Result<void> NodeSegments::format(shm::Segment& pool, std::uint32_t local) const {
    return shm::Pool::format(pool, {.dictionary_id = plan_.identity.dictionary_id,
                                    .secret = plan_.identity.secret,
                                    .manager = identity_.first_manager + local,
                                    .node = identity_.node});
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
}

}  // namespace ddict::launcher
