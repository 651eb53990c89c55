// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/owned_key.h"
#include "manager/private_memory.h"
#include "rpc/request.h"
#include "wire/messages.h"

namespace ddict::manager {

/// Requests that wait for a key, or for a key's value: found by key when it is written, by session when that
/// ends, and by deadline. At most limits::waits_max. No clock: a deadline counts from the first
/// tick after the request has come.
class WaitingRequests {
  public:
    struct Request {
        wire::RequestHeader header;
        PrivateMemory::Buffer value;  // waited for, if the header says so; may be larger
    };

    bool empty() const noexcept { return requests_ == 0; }
    std::size_t size() const noexcept { return requests_; }
    bool full() const noexcept { return requests_ >= limits::waits_max; }
    /// What is wrong between its tables; empty if nothing is. Looks at everything: for tests.
    std::string inconsistency() const;

    /// Requires that it is not full.
    void add(KeyBytes key, Request request);
    void drop_session(std::uint64_t session);
    /// Forgets the session's request with this number; nothing if there is none. Looks at each of the
    /// session's.
    std::optional<wire::RequestHeader> take(std::uint64_t session, std::uint64_t request);

    /// Calls `is_over(request)` for all that wait for the key, in the order in which they came, and forgets
    /// those for which it is true.
    template <class F>
    void for_each_of_key(KeyBytes key, F is_over) {
        const auto found = by_key_.find(key);
        if (found == by_key_.end()) return;
        for (std::uint32_t slot = found->second.first; slot != none;) {
            const std::uint32_t next = slots_[slot].of_key.next;  // the list itself may go with its last one
            if (is_over(std::as_const(slots_[slot].request))) remove(slot);
            slot = next;
        }
    }

    /// Forgets those for which `is_over(header)` is true. Looks at all.
    template <class F>
    void end_if(F is_over) {
        for (std::uint32_t slot = 0; slot < slots_.size(); ++slot)
            if (slots_[slot].used && is_over(std::as_const(slots_[slot].request.header))) remove(slot);
    }

    /// Calls `on_timeout(header, key)` for those whose deadline has passed, and forgets them. Returns the
    /// next deadline; Time::max() if there is none.
    template <class F>
    Time tick(Time now, F on_timeout) {
        date(now);
        while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
            const std::uint32_t slot = deadlines_.begin()->second;
            on_timeout(slots_[slot].request.header, slots_[slot].key->first.view());
            remove(slot);
        }
        return deadlines_.empty() ? Time::max() : deadlines_.begin()->first;
    }

  private:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    struct Links {
        std::uint32_t previous = none;
        std::uint32_t next = none;
    };
    struct List {
        std::uint32_t first = none;
        std::uint32_t last = none;
    };
    using ByKey = MapByKey<List>;
    using BySession = std::unordered_map<std::uint64_t, List>;
    struct Slot {
        Request request;
        bool used = false;
        bool dated = false;
        Time deadline{};
        ByKey::value_type* key = nullptr;
        Links of_key;
        Links of_session;
        std::uint32_t use = 0;  // grows whenever the slot is given away again
    };

    void append(List& list, Links Slot::*links, std::uint32_t slot);
    bool unlink(List& list, Links Slot::*links, std::uint32_t slot);  // true if the list is empty now
    void remove(std::uint32_t slot);
    void date(Time now);

    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::size_t requests_ = 0;
    ByKey by_key_;
    BySession by_session_;
    std::set<std::pair<Time, std::uint32_t>> deadlines_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> undated_;  // slot and use
};

}  // namespace ddict::manager
