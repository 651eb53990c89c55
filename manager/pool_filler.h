// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A thread that has a pool's memory there before pairs need it. It reserves pages and maps them, and neither
// reads nor writes what stands in them; the manager's own thread does all else, and does not wait for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

#include <ddict/result.h>

#include "shm/segment.h"

namespace ddict::manager {

class PoolFiller {
  public:
    struct Filled {
        Result<void>
            result;  // no_space: what is missing is taken when pairs need it, if it is to be had then
        std::uint64_t bytes = 0;
        std::chrono::milliseconds took{0};
    };
    /// `memory` must outlive it, and stay where it is. `huge_pages`: it has been asked to be of
    /// these. `on_end` is called by that thread, once, unless it is
    /// stopped before.
    PoolFiller(const shm::Segment& memory, bool huge_pages, std::function<void(const Filled&)> on_end);
    PoolFiller(const PoolFiller&) = delete;
    PoolFiller& operator=(const PoolFiller&) = delete;
    /// Stops it, after one piece at the most: some milliseconds.
    ~PoolFiller() = default;

  private:
    void run(const std::stop_token& stop);
    Result<void> fill(std::uint64_t from, std::uint64_t to) const;

    const shm::Segment& memory_;
    const bool huge_pages_;
    const std::function<void(const Filled&)> on_end_;
    std::jthread thread_;  // the last: it uses the others
};

}  // namespace ddict::manager
