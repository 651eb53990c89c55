// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Metrics over HTTP, for a Prometheus that fetches them: one answer at a time, and only what GET /metrics
// needs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "tools/metrics_text.h"

namespace ddict::tools {

class MetricsServer {
  public:
    /// `where` is a port of the loopback network (0: any that is free), or, if it has a slash in it, the path
    /// of a Unix socket for this user alone. Throws UsageError if it is neither, std::runtime_error if it
    /// cannot be had.
    explicit MetricsServer(const std::string& where);
    /// Takes the socket's file away.
    ~MetricsServer();
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;

    /// How to reach it, for people.
    const std::string& address() const { return address_; }

    /// What to answer with; none if there is nothing to tell of any more.
    using Text = std::function<std::optional<std::string>(MetricsFormat)>;
    /// Returns when `text` has none, for which it is asked without a request too, every few seconds; or when
    /// a signal wants this process to end (INT, TERM, HUP). Who connects and says nothing is waited for no
    /// longer than 2 s.
    void serve(const Text& text);

  private:
    void listen_on_port(const std::string& where);
    void listen_on_path(const std::string& path);
    static bool answer(int client, const Text& text);

    int listener_ = -1;
    std::string address_;
    std::string path_;
    std::pair<std::uint64_t, std::uint64_t> file_{};  // device and inode of the socket's file
};

}  // namespace ddict::tools
