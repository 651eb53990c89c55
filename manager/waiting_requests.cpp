// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/waiting_requests.h"

#include <algorithm>

#include "base/assert.h"

namespace ddict::manager {

void WaitingRequests::add(KeyBytes key, Request request) {
    DDICT_ASSERT(!full(), "more requests wait than may");
    if (free_.empty()) {
        free_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.request = std::move(request);
    slot.used = true;
    slot.dated = false;
    slot.of_key = slot.of_session = {};
    ++slot.use;
    auto found = by_key_.find(key);
    if (found == by_key_.end()) found = by_key_.emplace(OwnedKey(key), List{}).first;
    slot.key = &*found;  // stays where it is when the table grows
    append(found->second, &Slot::of_key, index);
    append(by_session_[slot.request.header.session], &Slot::of_session, index);
    undated_.emplace_back(index, slot.use);
    ++requests_;
}

void WaitingRequests::drop_session(std::uint64_t session) {
    for (auto found = by_session_.find(session); found != by_session_.end();
         found = by_session_.find(session))
        remove(found->second.first);
}

std::optional<wire::RequestHeader> WaitingRequests::take(std::uint64_t session, std::uint64_t request) {
    const auto found = by_session_.find(session);
    if (found == by_session_.end()) return std::nullopt;
    for (std::uint32_t slot = found->second.first; slot != none; slot = slots_[slot].of_session.next) {
        const wire::RequestHeader header = slots_[slot].request.header;
        if (header.request != request) continue;
        remove(slot);
        return header;
    }
    return std::nullopt;
}

void WaitingRequests::append(List& list, Links Slot::*links, std::uint32_t slot) {
    (slots_[slot].*links).previous = list.last;
    if (list.last == none) {
        list.first = slot;
    } else {
        (slots_[list.last].*links).next = slot;
    }
    list.last = slot;
}

bool WaitingRequests::unlink(List& list, Links Slot::*links, std::uint32_t slot) {
    const Links& gone = slots_[slot].*links;
    (gone.previous == none ? list.first : (slots_[gone.previous].*links).next) = gone.next;
    (gone.next == none ? list.last : (slots_[gone.next].*links).previous) = gone.previous;
    return list.first == none;
}

void WaitingRequests::remove(std::uint32_t index) {
    Slot& slot = slots_[index];
    DDICT_ASSERT(slot.used, "a request is removed once");
    if (unlink(slot.key->second, &Slot::of_key, index)) by_key_.erase(by_key_.find(slot.key->first));
    const auto session = by_session_.find(slot.request.header.session);
    if (unlink(session->second, &Slot::of_session, index)) by_session_.erase(session);
    if (slot.dated) {
        deadlines_.erase({slot.deadline, index});
    } else if (!undated_.empty() && undated_.back() == std::pair(index, slot.use)) {
        undated_.pop_back();
    }
    slot.used = false;
    slot.key = nullptr;
    slot.request = {};
    free_.push_back(index);
    if (--requests_ == 0) undated_.clear();
}

/// Gives a deadline to those who came since the last tick.
void WaitingRequests::date(Time now) {
    for (const auto& [index, use] : undated_) {
        Slot& slot = slots_[index];
        if (!slot.used || slot.dated || slot.use != use) continue;
        constexpr std::uint64_t longest =
            std::chrono::duration_cast<std::chrono::microseconds>(limits::wait_max).count();
        const std::uint64_t wait = std::min(slot.request.header.argument, longest);
        slot.deadline = now + std::chrono::microseconds(wait);
        slot.dated = true;
        deadlines_.emplace(slot.deadline, index);
    }
    undated_.clear();
}

std::string WaitingRequests::inconsistency() const {
    std::size_t used = 0, dated = 0;
    for (const Slot& slot : slots_) {
        used += slot.used ? 1u : 0u;
        dated += slot.used && slot.dated ? 1u : 0u;
    }
    const auto linked = [&](const auto& lists, Links Slot::*links) {
        std::size_t count = 0;
        for (const auto& [name, list] : lists) {
            for (std::uint32_t slot = list.first; slot != none; slot = (slots_[slot].*links).next)
                count += slots_[slot].used ? 1u : 0u;
        }
        return count;
    };
    if (used != requests_) return "the number of waiting requests is not what was counted";
    if (linked(by_key_, &Slot::of_key) != requests_) return "not each waiting request is found by its key";
    if (linked(by_session_, &Slot::of_session) != requests_)
        return "not each waiting request is found by its session";
    if (deadlines_.size() != dated) return "not each waiting request has its deadline";
    if (undated_.size() + dated < used) return "a waiting request will never get a deadline";
    if (requests_ == 0 && !(by_key_.empty() && by_session_.empty() && undated_.empty()))
        return "nothing waits, but there are traces of what did";
    return {};
}

}  // namespace ddict::manager
