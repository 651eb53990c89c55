// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/broadcast_keys.h"

namespace ddict::manager {

bool BroadcastKeys::holds(Bytes key) const {
    if (stored_ == 0) return false;
    const auto found = entries_.find(text_of(key));
    return found != entries_.end() && found->second.stored;
}

bool BroadcastKeys::is_copy(Bytes key) const {
    if (copies_ == 0) return false;
    const auto found = entries_.find(text_of(key));
    return found != entries_.end() && found->second.stored && !found->second.own;
}

BroadcastKeys::Entry* BroadcastKeys::find(Bytes key) {
    const auto found = entries_.find(text_of(key));
    return found == entries_.end() ? nullptr : &found->second;
}

BroadcastKeys::Entry& BroadcastKeys::set(Bytes key, std::uint64_t version, bool stored, bool own) {
    auto found = entries_.find(text_of(key));
    if (found == entries_.end()) found = entries_.emplace(text_of(key), Entry{}).first;
    Entry& entry = found->second;
    mark(entry, stored, own);
    entry.version = version;
    entry.under_way = none;
    entry.code = Errc{};
    if (!stored) {
        erased_.push_back({found->first, version});
        forget_some();
    }
    return entry;
}

void BroadcastKeys::clear() {
    for (auto& [key, entry] : entries_) {
        if (!entry.stored) continue;
        mark(entry, false, entry.own);
        erased_.push_back({key, entry.version});
    }
    forget_some();
}

/// The oldest ones, beyond the bound. One that was stored again meanwhile, or is under way, stays.
void BroadcastKeys::forget_some() {
    for (; erased_.size() > erased_max; erased_.pop_front()) {
        const Erased& oldest = erased_.front();
        const auto found = entries_.find(oldest.key);
        if (found == entries_.end()) continue;
        const Entry& entry = found->second;
        if (!entry.stored && entry.version == oldest.version && entry.under_way == none)
            entries_.erase(found);
    }
}

void BroadcastKeys::mark(Entry& entry, bool stored, bool own) noexcept {
    stored_ -= entry.stored ? 1 : 0;
    copies_ -= entry.stored && !entry.own ? 1 : 0;
    entry.stored = stored;
    entry.own = own;
    stored_ += stored ? 1 : 0;
    copies_ += stored && !own ? 1 : 0;
}

}  // namespace ddict::manager
