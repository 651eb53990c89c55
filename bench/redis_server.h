// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A Redis of our own to compare with: on a Unix socket in a new folder that only this user can enter, without
// TCP, without persistence. It ends with this object, or with this process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace ddict::bench {

class RedisServer {
  public:
    /// Starts it and waits until it takes connections. Throws std::runtime_error if redis-server is not in
    /// PATH or does not come up.
    RedisServer();
    ~RedisServer();
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;

    std::string socket() const { return (folder_ / "socket").string(); }
    /// "7.0.15"; empty if it does not tell.
    const std::string& version() const { return version_; }

    /// Whether there is a redis-server in PATH.
    static bool is_installed();

  private:
    void start();
    void await_socket();
    void stop() noexcept;

    std::filesystem::path folder_;
    std::string version_;
    pid_t pid_ = -1;
};

}  // namespace ddict::bench
