// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Sleeping until any of several file descriptors is ready.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

#include <ddict/result.h>

#include "os/file_descriptor.h"

namespace ddict::os {

/// Owns an epoll descriptor.
class Poller {
  public:
    using Ready = std::function<void()>;

    static Result<Poller> create();

    /// Readable when something that is watched is ready.
    int descriptor() const noexcept { return epoll_.fd(); }

    /// `ready` may be null: the descriptor then only ends the sleep.
    /// Fails if the kernel cannot watch this descriptor, or no more of them.
    Result<void> watch(int fd, Ready ready);
    void unwatch(int fd);
    /// For a while the descriptor does not count, although it stays watched.
    void mute(int fd, bool muted);
    /// Sleeps for at most `timeout` and calls what is ready; returns how many were called. Zero does not
    /// sleep. Time is rounded up to milliseconds.
    unsigned wait(std::chrono::nanoseconds timeout);

  private:
    explicit Poller(FileDescriptor epoll) : epoll_(std::move(epoll)) {}

    struct Watched {
        std::uint32_t generation = 0;  // tells the owner of a number from an earlier one, within one wait()
        std::shared_ptr<Ready> ready;  // shared: it may unwatch itself while it runs
    };
    FileDescriptor epoll_;
    std::uint32_t generation_ = 0;
    std::unordered_map<int, Watched> watched_;
};

}  // namespace ddict::os
