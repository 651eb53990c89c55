// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "shm/layout.h"

namespace ddict::shm {

/// While one lives, readers know that more of a pool is being exchanged than one bucket tells.
class StructureChange {
  public:
    explicit StructureChange(PoolHeader& header) noexcept
        : header_(header), epoch_(header.structure_epoch.load(std::memory_order_relaxed)) {
        header_.structure_epoch.store(epoch_ | 1, std::memory_order_relaxed);
        fence();
    }
    ~StructureChange() {
        fence();
        // During a recovery, or within another change, it is odd all the while.
        if ((epoch_ & 1) == 0) header_.structure_epoch.store(epoch_ + 2, std::memory_order_relaxed);
    }
    StructureChange(const StructureChange&) = delete;
    StructureChange& operator=(const StructureChange&) = delete;

  private:
// As in index.cpp.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
    static void fence() noexcept {
        std::atomic_thread_fence(std::memory_order_release);
    }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

    PoolHeader& header_;
    std::uint64_t epoch_;
};

}  // namespace ddict::shm
