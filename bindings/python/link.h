// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// This process's hold on a dictionary, shared by all objects of Python that stand for it: it attaches when it
// is first used, and anew in a child of fork().
#pragma once

#include <ddict/dictionary.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace ddict::python {

namespace py = pybind11;

/// Counted up in each child of fork().
inline std::uint64_t process_generation = 1;

class Link {
  public:
    /// Attaches at the first use. `handle` has been checked by nobody.
    Link(std::string handle, const AttachOptions& options) : handle_(std::move(handle)), options_(options) {}
    /// That has attached already.
    Link(Dictionary dictionary, const AttachOptions& options);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// One for each handle in this process: for what comes out of pickles.
    static std::shared_ptr<Link> of_handle(const std::string& handle, const AttachOptions& options);
    static void remember(const std::shared_ptr<Link>& link);

    const std::string& handle() const { return handle_; }
    const AttachOptions& options() const { return options_; }
    /// The view of all keys. Attaches if this process has not yet. Throws Python's exceptions.
    const View& root();
    std::string name();

    /// Ends calls that are under way, then the attachment; false if there was none. A call that does not end
    /// makes it Busy.
    void detach();
    void destroy();
    bool is_detached() const { return is_detached_; }
    bool is_closing() const { return is_closing_.load(std::memory_order_relaxed); }

    /// A call of this thread, from its begin to its end. With the interpreter's lock.
    void begin_call() { ++calls_; }
    void end_call() { --calls_; }

  private:
    void require_attached();
    void end_calls();

    std::string handle_;
    AttachOptions options_;
    std::optional<Dictionary> dictionary_;
    std::atomic<std::uint64_t> generation_ = 0;  // of the process that has attached
    std::atomic<bool> is_closing_ = false;
    bool is_detached_ = false;
    std::uint64_t calls_ = 0;  // under way; guarded by the interpreter's lock
};

/// The link that this thread is in a call of.
inline thread_local Link* link_of_call = nullptr;

/// Sees to forks and to the end of calls. Once.
void watch_processes();

}  // namespace ddict::python
