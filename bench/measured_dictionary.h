// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/stats.h>

#include "bench/options.h"
#include "bench/team.h"

namespace ddict::bench {

/// The dictionary under measurement, held by a process of its own.
class MeasuredDictionary {
  public:
    /// Creates one with so many managers, or attaches. So much memory it gets; 0: as much as the pairs need.
    MeasuredDictionary(const Options& options, std::uint32_t managers, std::uint64_t total_bytes = 0);

    /// Destroys it, if it was created. Without it, the dictionary ends with its process.
    void destroy();

    const std::string& handle() const { return handle_; }
    const std::vector<ManagerStats>& managers() const { return managers_; }
    /// What they say now.
    std::vector<ManagerStats> managers_now();
    std::uint32_t manager_count() const { return static_cast<std::uint32_t>(managers_.size()); }
    /// What the managers say of the connection to the owner: "sysv cma"; across nodes "sysv cma + tcp".
    std::string transport() const;
    /// Whether the managers are pinned: to the processors 0, 1, ...
    bool pinned() const { return pinned_; }
    /// How long it took to come up, attached and ready.
    Nanoseconds time_to_open() const { return time_to_open_; }
    Nanoseconds time_to_destroy() const { return time_to_destroy_; }
    /// One request of the owner.
    Nanoseconds time_of_request();
    void empty() { owner_.run({.task = Task::empty}); }

  private:
    Team owner_;
    std::string handle_;
    std::vector<ManagerStats> managers_;
    bool pinned_ = false;
    Nanoseconds time_to_open_{};
    Nanoseconds time_to_destroy_{};
};

}  // namespace ddict::bench
