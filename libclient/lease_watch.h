// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Whose lease has run out: who has counted no further for the length of the lease, by the clock of the one
// that looks. No I/O.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace ddict::client {

class LeaseWatch {
  public:
    using Holder = std::uint64_t;
    using Time = std::chrono::steady_clock::time_point;

    /// Notes a count that was read at some time between `asked` and `answered`, however long whoever looks
    /// was held up in between. Whether it has stood still for the lease.
    bool has_run_out(Holder holder, std::int64_t count, Time asked, Time answered,
                     std::chrono::milliseconds lease) {
        const auto [seen, is_new] = seen_.try_emplace(holder, Seen{count, answered});
        if (is_new) return false;
        if (seen->second.count == count) return asked - seen->second.since >= lease;
        seen->second = {count, answered};
        return false;
    }
    void forget(Holder holder) { seen_.erase(holder); }
    /// Nobody could have counted: all have a whole lease from now on.
    void forget_all() { seen_.clear(); }
    /// `holders` are sorted.
    void forget_all_but(const std::vector<Holder>& holders) {
        std::erase_if(seen_, [&](const auto& one) {
            return !std::binary_search(holders.begin(), holders.end(), one.first);
        });
    }
    std::size_t size() const { return seen_.size(); }

  private:
    /// When a count was seen to move last, and what it was then.
    struct Seen {
        std::int64_t count;
        Time since;
    };
    std::unordered_map<Holder, Seen> seen_;
};

}  // namespace ddict::client
