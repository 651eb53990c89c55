// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the requesters of a process remember of managers on other hosts that do not answer, so that only the
// first of many calls waits for one. Calls to a lost manager end at once, save one every
// limits::lost_probe_interval: that one asks again, and waits for limits::lost_probe_timeout. A manager that
// has answered is forgotten here, and so is one of which nothing was noted for limits::lost_remembered.
//
// Threads: any number at once. Cost: while no manager is lost, a read of an atomic where a connection is
// made; nothing where there is one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>

#include <ddict/error.h>

#include "cluster/ids.h"

namespace ddict {

class LostManagers {
  public:
    using Time = std::chrono::steady_clock::time_point;
    enum class Look {
        not_lost,  ///< nothing is known against it
        lost,      ///< the call is to end with `why`
        probe,     ///< the caller is the one that asks again
    };

    /// Whether any manager is remembered, or the dictionary has ended.
    bool any() const noexcept { return notes_.load(std::memory_order_relaxed) != 0; }
    Look look(ShardId shard, Time now, Error& why);
    /// The same, but never `probe`.
    bool is_lost(ShardId shard, Time now);
    /// It has not answered, or could not be reached. Again: it still does not.
    void remember(ShardId shard, const Error& why, Time now);
    /// It has answered.
    void forget(ShardId shard);

    /// A manager has said that the dictionary has ended. For good.
    void note_end(const Error& why);
    bool dictionary_has_ended() const noexcept { return ended_.load(std::memory_order_acquire); }

    /// Asked when the process of a manager on this host has ended: whether it has left word that the
    /// dictionary ended with it. Set before the first requester is made.
    std::function<bool(ShardId shard)> ended_in_order;

  private:
    struct Note {
        Error why;
        Time noted;
        Time next_probe;
    };
    Note* find(ShardId shard, Time now);

    std::atomic<std::uint64_t> notes_{0};
    std::atomic<bool> ended_{false};
    std::mutex mutex_;  // guards what follows
    std::unordered_map<ShardId, Note> lost_;
    Error why_ended_;
};

/// What the end of a dictionary is called.
Error dictionary_ended();

}  // namespace ddict
