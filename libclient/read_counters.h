// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What this process reads from its node's memory, without a message. Each thread counts for itself: for
// profile(), and where the managers see it (shm/read_counts.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>

#include "libclient/counters.h"
#include "shm/directory_segment.h"
#include "shm/read_counts.h"

namespace ddict::client {

/// Not for several threads at once, but for what Thread says.
class ReadCounters {
  public:
    /// What one thread counts.
    class Thread {
      public:
        /// A read from the manager at this place of the node's. That thread only; costs some nanoseconds.
        void add(std::uint32_t place) noexcept {
            own_.add(1);
            column_[place].fetch_add(1, std::memory_order_relaxed);
        }

      private:
        friend ReadCounters;
        Tally own_;
        shm::AtomicWord* column_ = nullptr;
        std::unique_ptr<shm::AtomicWord[]> unseen_;  // where managers see nothing: the column
    };

    /// `directory` is null if this node has no managers: then there is nothing to count. Otherwise it must
    /// outlive this.
    explicit ReadCounters(const shm::DirectorySegment* directory) : directory_(directory) {}

    /// Of the calling thread; made when it first reads. Valid until end(). Where the counts cannot be
    /// mapped, the managers see nothing of it. Throws std::bad_alloc.
    Thread& of_this_thread();
    /// The thread has ended.
    void end(std::thread::id thread) noexcept;
    /// All have. Not in a child of fork(), whose parent's they are.
    void end_all() noexcept;
    /// Reads since the beginning. While threads read, too.
    std::uint64_t sum() const noexcept;

  private:
    std::unique_ptr<Thread> make();

    const shm::DirectorySegment* directory_;
    std::optional<Result<shm::ReadCounts>> shared_;  // none: not tried yet
    std::unordered_map<std::thread::id, std::unique_ptr<Thread>> threads_;
    std::uint64_t ended_ = 0;  // of threads that have
};

}  // namespace ddict::client
