// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What becomes of the shard of a manager that has ended, and what the directory says of it meanwhile: another
// process takes its place, at once; if that one does not come to serve, another, later each time. Unless all
// that has been of no use. It is told everything, the time by a clock that can be any, and does nothing
// itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/directory.h"

namespace ddict::launcher {

class Restarts {
  public:
    using Clock = std::chrono::steady_clock;

    struct Options {
        bool enabled = true;
        std::function<Clock::time_point()> now = Clock::now;
    };
    explicit Restarts(Options options) : options_(std::move(options)) {}

    bool enabled() const { return options_.enabled; }
    /// What the directory says of this node's managers in the beginning.
    void begin(std::vector<DirectoryEntry> entries);

    struct End {
        std::string_view how;      // "was killed by signal 9"
        bool is_wanted = false;    // somebody has asked for it: then it does not count
        bool may_restart = true;   // nothing else speaks against it
        bool is_hopeless = false;  // it could not take over what is there, and nobody else can
    };
    /// A manager that served, or was about to serve again, has ended. The entry that the directory is to have
    /// now says whether it is to be started again (restarting; take_due() says when), or is given up (lost,
    /// with the reason).
    const DirectoryEntry& on_end(std::uint32_t local, const End& end);
    /// Its process could not be made: counts like one that has ended before it served.
    const DirectoryEntry& on_failed_start(std::uint32_t local, std::string_view why);
    /// It is not to be started again, for another reason.
    const DirectoryEntry& give_up(std::uint32_t local, std::string_view why);

    /// Those that are to be started now. Each is returned once.
    std::vector<std::uint32_t> take_due();
    /// How long until there are some, rounded up; nothing if none is waited for.
    std::optional<std::chrono::milliseconds> next_due_in() const;

    struct Back {
        const DirectoryEntry& entry;       // for the directory
        std::string how;                   // it had ended
        std::chrono::milliseconds down{};  // between the first end and now
    };
    /// Another process serves: `announced` is what it has said of itself.
    Back on_back(std::uint32_t local, const DirectoryEntry& announced);

  private:
    struct Shard {
        DirectoryEntry entry;
        std::deque<Clock::time_point> ends;  // of processes that served, within the time that counts
        unsigned failed_attempts = 0;        // since one served
        std::optional<Clock::time_point> due;
        Clock::time_point down_since;
        std::string how;
    };
    const DirectoryEntry& change(Shard& shard, ServingState state, std::string reason);
    const DirectoryEntry& on_end_of_serving(Shard& shard, const End& end);
    const DirectoryEntry& on_failed_attempt(Shard& shard, std::string_view why);

    const Options options_;
    std::vector<Shard> shards_;
};

}  // namespace ddict::launcher
