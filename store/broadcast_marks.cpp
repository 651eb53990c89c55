// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "store/broadcast_marks.h"

namespace ddict::store {

bool BroadcastMarks::holds(KeyBytes key) const {
    if (stored_ == 0) return false;
    const Mark* mark = find(key);
    return mark != nullptr && mark->stored;
}

bool BroadcastMarks::is_copy(KeyBytes key) const {
    if (copies_ == 0) return false;
    const Mark* mark = find(key);
    return mark != nullptr && mark->stored && !mark->own;
}

const BroadcastMarks::Mark* BroadcastMarks::find(KeyBytes key) const {
    const auto found = marks_.find(key);
    return found == marks_.end() ? nullptr : &found->second;
}

std::uint64_t BroadcastMarks::version_of(KeyBytes key, std::uint64_t hash) const {
    const Mark* mark = find(key);
    if (mark != nullptr || erased_before_.empty()) return mark == nullptr ? 0 : mark->version;
    const auto before = erased_before_.find(hash);
    return before == erased_before_.end() ? 0 : before->second;
}

BroadcastProgress* BroadcastMarks::progress(KeyBytes key) {
    const auto found = marks_.find(key);
    return found == marks_.end() ? nullptr : &found->second.progress;
}

void BroadcastMarks::set(KeyBytes key, std::uint64_t version, bool stored, bool own) {
    auto found = marks_.find(key);
    if (found == marks_.end()) found = marks_.emplace(OwnedKey(key), Mark{}).first;
    Mark& mark = found->second;
    count(mark, stored, own);
    mark.version = version;
    mark.progress.under_way = BroadcastProgress::none;
    mark.progress.code = Errc{};
    mark.progress.is_unknown = false;
    if (!stored) {
        erased_.push_back({found->first, version});
        forget_some();
    }
}

void BroadcastMarks::clear() {
    for (auto& [key, mark] : marks_) {
        if (!mark.stored) continue;
        count(mark, false, mark.own);
        erased_.push_back({key, mark.version});
    }
    forget_some();
}

/// The oldest ones, beyond the bound. One that was stored again meanwhile, or is under way, stays.
void BroadcastMarks::forget_some() {
    for (; erased_.size() > erased_max; erased_.pop_front()) {
        const Erased& oldest = erased_.front();
        const auto found = marks_.find(oldest.key);
        if (found == marks_.end()) continue;
        const Mark& mark = found->second;
        if (!mark.stored && mark.version == oldest.version &&
            mark.progress.under_way == BroadcastProgress::none)
            marks_.erase(found);
    }
}

void BroadcastMarks::count(Mark& mark, bool stored, bool own) noexcept {
    stored_ -= mark.stored ? 1 : 0;
    copies_ -= mark.stored && !mark.own ? 1 : 0;
    mark.stored = stored;
    mark.own = own;
    stored_ += stored ? 1 : 0;
    copies_ += stored && !own ? 1 : 0;
}

}  // namespace ddict::store
