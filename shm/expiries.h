// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <utility>

#include "shm/block.h"

namespace ddict::shm {

/// When the pairs with a time to live are over: visible blocks, in the order of their ends. Private memory of
/// their manager, some 64 bytes each, made anew from the blocks when a pool is recovered. Logarithmic time.
class Expiries {
  public:
    bool empty() const noexcept { return ends_.empty(); }
    /// Requires that it is not empty.
    std::uint64_t next_end() const noexcept { return ends_.begin()->first; }
    std::uint64_t next_block() const noexcept { return ends_.begin()->second; }

    /// Nothing, if it has no end.
    void add(std::uint64_t block, std::uint64_t until) {
        if (until != no_end) ends_.emplace(until, block);
    }
    void remove(std::uint64_t block, std::uint64_t until) noexcept { ends_.erase({until, block}); }
    /// It lies elsewhere now.
    void move(std::uint64_t from, std::uint64_t to, std::uint64_t until) {
        auto entry = ends_.extract({until, from});
        if (entry.empty()) return;
        entry.value().second = to;
        ends_.insert(std::move(entry));
    }
    void clear() noexcept { ends_.clear(); }

    /// All of them: for tests.
    const std::set<std::pair<std::uint64_t, std::uint64_t>>& ends() const noexcept { return ends_; }

  private:
    std::set<std::pair<std::uint64_t, std::uint64_t>> ends_;
};

}  // namespace ddict::shm
