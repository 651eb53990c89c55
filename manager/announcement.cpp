// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/announcement.h"

namespace ddict::manager {

Announcement::Announcement(Requester& requester, const DirectoryView& directory, ShardId own,
                           const DirectoryEntry& entry)
    : requester_(requester), directory_(directory), own_(own), about_(entry.shard) {
    pack(entry, packed_);
}

bool Announcement::advance(Time now) {
    std::erase_if(under_way_, [this](Requester::OperationId one) {
        if (!requester_.done(one)) return false;
        static_cast<void>(requester_.take(one));
        return true;
    });
    for (; next_ < directory_.manager_count() && under_way_.size() < at_once_max; ++next_) {
        const ShardId shard{next_};
        if (shard != own_ && shard != about_) tell(shard, now);
    }
    return next_ == directory_.manager_count() && under_way_.empty();
}

void Announcement::cease() {
    next_ = directory_.manager_count();
    for (const Requester::OperationId one : under_way_) {
        if (!requester_.done(one)) requester_.give_up(one);
    }
}

void Announcement::tell(ShardId shard, Time now) {
    if (requester_.known_manager(shard) == nullptr) {
        const Result<DirectoryEntry> entry = directory_.entry(shard);
        if (!entry) return;
        requester_.add_manager(*entry);
    }
    Request request;
    request.verb = wire::Verb::directory;
    request.shard = shard;
    request.flags = wire::directory_newer;
    request.value = packed_;
    under_way_.push_back(requester_.begin(request, now, now + limits::announcement_time_max));
}

}  // namespace ddict::manager
