// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <ddict/checkpoint.h>

#include "persist/checkpoint.h"

namespace ddict::client {

/// What the threads of a save or a load have done, and what became of the first that failed.
class SharedProgress {
  public:
    SharedProgress(const OnCheckpointProgress& on_progress, std::uint64_t bytes_in_all)
        : on_progress_(on_progress), all_{.pairs = 0, .bytes = 0, .bytes_in_all = bytes_in_all} {}

    /// False: some thread has failed, or the caller wants no more.
    bool add(std::uint64_t pairs, std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        all_.pairs += pairs;
        all_.bytes += bytes;
        if (outcome_ && on_progress_ && !on_progress_(all_))
            outcome_ = Error(Errc::timeout, "it was stopped");
        return static_cast<bool>(outcome_);
    }
    /// The first counts.
    void fail(const Error& error) {
        const std::lock_guard lock(mutex_);
        if (outcome_) outcome_ = error;
    }
    Result<void> outcome() {
        const std::lock_guard lock(mutex_);
        return outcome_;
    }

  private:
    std::mutex mutex_;
    const OnCheckpointProgress& on_progress_;
    CheckpointProgress all_;
    Result<void> outcome_;
};

/// How many threads have come to their end, for the one that waits for them.
class Ended {
  public:
    void add() {
        const std::lock_guard lock(mutex_);
        ++count_;
        changed_.notify_one();
    }
    /// False if there are fewer than `count` after this time.
    bool wait_for(std::size_t count, std::chrono::milliseconds time) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, time, [&] { return count_ >= count; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t count_ = 0;
};

/// Runs `work` for 0 to count - 1, by so many threads (0: up to 4), until one has failed. What `make` makes
/// belongs to one thread, and is given to each call of `work` there. The caller's thread, for which alone
/// some programs can be told how far it is and be asked whether to go on, does so also while it waits for the
/// others.
template <class Make, class Work>
Result<void> in_parallel(std::size_t count, unsigned threads, SharedProgress& progress, const Make& make,
                         const Work& work) {
    constexpr unsigned threads_by_default = 4;
    constexpr std::chrono::milliseconds told_every{50};
    Ended ended;
    std::atomic<std::size_t> next{0};
    const auto run = [&] {
        auto own = make();
        for (std::size_t i = next++; i < count && progress.outcome(); i = next++) {
            try {
                if (const Result<void> done = work(i, own); !done) progress.fail(done.error());
            } catch (const std::exception& error) {  // no memory
                progress.fail(Error(Errc::system, error.what()));
            }
        }
    };
    const std::size_t wanted = threads == 0 ? threads_by_default : threads;
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(wanted, count); ++i) {
        try {
            others.emplace_back([&] {
                run();
                ended.add();
            });
        } catch (const std::system_error&) {
            break;  // with fewer
        }
    }
    run();
    try {
        while (!ended.wait_for(others.size(), told_every))
            progress.add(0, 0);
    } catch (const std::exception& error) {  // as of the program's function in a thread that works
        progress.fail(Error(Errc::system, error.what()));
    }
    others.clear();
    return progress.outcome();
}

/// What became of a call of the public library: an error says which call that was.
inline Result<CheckpointInfo> outcome_of(Operation operation, Result<CheckpointInfo> outcome) {
    if (outcome) return outcome;
    return Error(outcome.error()).set_operation(operation);
}

/// For the caller of the public library.
CheckpointInfo info_of(const persist::Checkpoint& checkpoint);

}  // namespace ddict::client
