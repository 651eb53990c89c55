// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a process does with its dictionaries, one line an operation, in the file that DDICT_TRACE names
// (docs/watching.md has the lines).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <ddict/error.h>
#include <ddict/key_bytes.h>
#include <ddict/result.h>

namespace ddict::client {

/// An operation that has ended.
struct TracedOperation {
    Operation operation = Operation::none;
    KeyBytes key;  // none of a batch, and of what is asked of a whole manager
    std::uint32_t manager = Error::no_manager;
    std::string_view node;
    bool is_read_here = false;  // in this node's memory, without a message
    std::uint32_t checkpoint = 0;
    std::uint64_t bytes_sent = 0, bytes_received = 0;
    std::chrono::steady_clock::time_point started;
    const Error* error = nullptr;  // of one that has failed
};

/// Any thread may write.
class Trace {
  public:
    /// That of this process; null, which costs a load and a comparison, if none is wanted.
    static const Trace* current() noexcept { return current_.load(std::memory_order_acquire); }
    /// Opens the file, if one is named and not open yet. Where its name depends on the process, a child of
    /// fork() opens its own. Errors: invalid_argument, system.
    static Result<void> begin();

    /// One system call. Where that fails, standard error is told, and nothing more is written.
    void write(const TracedOperation& operation) const noexcept;

  private:
    Trace(int fd, std::string path, std::string host, int process)
        : fd_(fd), path_(std::move(path)), host_(std::move(host)), process_(process) {}
    static Result<std::string> path_from(std::string_view pattern, const std::string& host, int process);
    std::string line_of(const TracedOperation& operation) const;

    // It is never destroyed: threads may be writing when the process ends.
    static inline constinit std::atomic<const Trace*> current_{nullptr};

    const int fd_;
    const std::string path_;
    const std::string host_;
    const int process_;  // the one that opened it
};

}  // namespace ddict::client
