// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Lines for somebody who may read them late, or never: an event loop must not stand still for that.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

namespace ddict::launcher {

class Output {
  public:
    static constexpr std::size_t waiting_bytes_max_default = 256 * 1024;
    /// The descriptor is not owned, and may be shared with other programs: how they write stays as it is.
    explicit Output(int fd, std::size_t waiting_bytes_max = waiting_bytes_max_default)
        : fd_(fd), waiting_bytes_max_(waiting_bytes_max) {}
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    /// Takes a text and writes what can be written without waiting. When more than waiting_bytes_max wait,
    /// what comes is left out, and a line says so later. Nothing happens once the other side has gone.
    void add(std::string_view text);
    void flush();
    /// Waits for the reader, but not for longer than that. False if something is left.
    bool flush_within(std::chrono::milliseconds timeout);

    bool is_pending() const { return !waiting_.empty(); }
    /// To be polled for output while something waits; -1 otherwise.
    int poll_fd() const { return is_pending() ? fd_ : -1; }

  private:
    void drop_all();

    const int fd_;
    const std::size_t waiting_bytes_max_;
    std::deque<std::string> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::size_t left_out_ = 0;
};

/// Of this process: for everything that it says, so that lines stay whole and in order.
Output& standard_error();

}  // namespace ddict::launcher
