// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A dictionary that this process has started: `ddict-launch serve` as a child, which holds the managers and
// ends them when the pipe to it closes. That pipe is never closed on purpose before the process ends, so the
// dictionary lives as long as its creator, however the creator ends.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <ddict/dictionary.h>

namespace ddict::client {

class LaunchService {
  public:
    /// Starts the managers; returns when they are ready.
    static Result<std::unique_ptr<LaunchService>> start(const CreateOptions& options);
    LaunchService(const LaunchService&) = delete;
    LaunchService& operator=(const LaunchService&) = delete;
    ~LaunchService() = default;

    const std::string& handle() const { return handle_; }
    /// Waits for the child's end; after `timeout` it is told to end by closing the pipe, and waited for
    /// again.
    void finish(std::chrono::milliseconds timeout);

  private:
    LaunchService() = default;
    bool wait_for_exit(std::chrono::milliseconds timeout);

    int pid_ = -1;
    int pidfd_ = -1;
    int lifeline_ = -1;
    std::string handle_;
};

}  // namespace ddict::client
