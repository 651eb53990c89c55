// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/announcement.h"

#include <utility>

namespace ddict::manager {

Announcement::Announcement(Requester& requester, const DirectoryView& directory, ShardId own,
                           const DirectoryEntry& entry)
    : requester_(requester), directory_(directory), own_(own), about_(entry.shard) {
    pack(entry, packed_);
    for (std::uint32_t shard = directory_.manager_count(); shard > 0; --shard)
        if (ShardId{shard - 1} != own_ && ShardId{shard - 1} != about_)
            to_tell_.push_back(ShardId{shard - 1});
}

bool Announcement::advance(Time now) {
    if (!until_) until_ = now + limits::announced_for;
    std::erase_if(under_way_, [this](const UnderWay& one) {
        if (!requester_.done(one.operation)) return false;
        if (!requester_.take(one.operation)) missed_.push_back(one.to);
        return true;
    });
    if (now < next_round_) return false;
    while (!to_tell_.empty() && under_way_.size() < at_once_max) {
        const ShardId shard = to_tell_.back();
        to_tell_.pop_back();
        tell(shard, now);
    }
    if (!to_tell_.empty() || !under_way_.empty()) return false;
    if (missed_.empty() || now >= *until_) return true;
    to_tell_ = std::exchange(missed_, {});
    next_round_ = now + limits::announcement_interval;
    return false;
}

void Announcement::cease() {
    to_tell_.clear();
    missed_.clear();
    next_round_ = {};
    for (const UnderWay& one : under_way_) {
        if (!requester_.done(one.operation)) requester_.give_up(one.operation);
    }
}

/// One that is lost for good need not know.
void Announcement::tell(ShardId shard, Time now) {
    const Result<DirectoryEntry> entry = directory_.entry(shard);
    if (!entry || entry->state == ServingState::lost) return;
    if (requester_.known_manager(shard) == nullptr) requester_.add_manager(*entry);
    Request request;
    request.verb = wire::Verb::directory;
    request.shard = shard;
    request.flags = wire::directory_newer;
    request.value = packed_;
    under_way_.push_back({requester_.begin(request, now, now + limits::announcement_time_max), shard});
}

}  // namespace ddict::manager
