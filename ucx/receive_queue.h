// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// UCX's shared-memory receive queues, and their repair after a sender was killed in the middle of a write.
//
// All senders of a host write into one queue of the receiver: a sender claims the next element by advancing
// `head`, fills it, and marks it as written. One that is killed in between leaves an element that will never
// be marked, and the receiver waits for it for ever: it hears from nobody on this host any more. (Seen once
// in about a thousand kills of processes that send small messages, and in every other kill of one that sends
// 4 KiB messages without a pause.) UCX, all versions up to 1.22 at the least, has no remedy. Ours: the
// receiver marks the element itself, as a message that UCX ignores. The queue is memory of this process; its
// layout is what processes of different UCX versions agree on, has been the same from 1.12 to 1.22, and is
// verified when the worker is made. Where it is not recognized the process does without shared memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include <ddict/result.h>

namespace ddict::ucx {

/// One queue, in memory of this process that other processes write to.
class ReceiveQueue {
  public:
    /// The size of its mapping.
    static std::size_t mapped_bytes();
    /// Whether there is a receive queue of this process at `memory` (or a copy of one), a fresh one that
    /// nobody has written to.
    static bool recognize(const void* memory, std::size_t bytes);
    explicit ReceiveQueue(void* memory) : memory_(static_cast<std::byte*>(memory)) {}

    static constexpr std::uint64_t no_hole = UINT64_MAX;
    /// The first element that has been claimed but not written, or no_hole.
    std::uint64_t first_hole() const noexcept;
    /// Makes UCX skip the element. Requires index == first_hole(), and that its writer will not come back.
    void fill(std::uint64_t index) noexcept;

  private:
    std::byte* element(std::uint64_t index) const noexcept;
    std::byte* memory_;
};

/// The receive queues of one worker, and the decision when a hole is one for ever.
class ReceiveQueues {
  public:
    using Clock = std::chrono::steady_clock;

    /// A shared mapping of this process. The inode tells it from what was at the same address before.
    struct Mapping {
        std::uintptr_t begin = 0;
        std::size_t bytes = 0;
        std::uint64_t inode = 0;
        bool operator==(const Mapping&) const = default;
    };
    /// What is mapped before a worker is made... Empty where this process may not know. Errors: system: it
    /// could not be found out.
    static Result<std::vector<Mapping>> mapped();
    /// ...and, after it was made, the queues that have come since. Other threads may map and unmap meanwhile,
    /// as the connections of their workers come and go, but may not make workers. Errors: as above.
    static Result<ReceiveQueues> find(const std::vector<Mapping>& mapped_before);

    bool empty() const noexcept { return queues_.empty(); }
    bool any_hole() const noexcept;
    /// A process that may have been writing has ended.
    void note_death(Clock::time_point now) noexcept { last_death_ = now; }
    /// To be called every now and then; returns how many holes it has filled. A hole is filled when it is
    /// older than a write can take: soon after a death, late otherwise (the dead may be somebody whom this
    /// process did not know, but the writer may also have been stopped by a debugger). `writer_may_return` is
    /// asked before.
    template <class Ask>
    unsigned check(Clock::time_point now, Ask&& writer_may_return) {
        unsigned filled = 0;
        for (Watched& watched : queues_) {
            if (ripe(watched, now) && !writer_may_return()) {
                watched.queue.fill(watched.hole);
                watched.hole = ReceiveQueue::no_hole;
                ++filled;
            }
        }
        return filled;
    }

  private:
    ReceiveQueues() = default;
    struct Watched {
        explicit Watched(ReceiveQueue q) : queue(q) {}
        ReceiveQueue queue;
        std::uint64_t hole = ReceiveQueue::no_hole;
        Clock::time_point since;
    };
    bool ripe(Watched& watched, Clock::time_point now) const noexcept;

    std::vector<Watched> queues_;
    Clock::time_point last_death_;
};

}  // namespace ddict::ucx
