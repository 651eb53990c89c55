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
#include <utility>

#include "bindings/python/gil.h"

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

    /// One for each handle and its options in this process: for what comes out of pickles.
    static std::shared_ptr<Link> of_handle(const std::string& handle, const AttachOptions& options);
    static void remember(const std::shared_ptr<Link>& link);

    const std::string& handle() const { return handle_; }
    const AttachOptions& options() const { return options_; }
    /// The view of all keys. Attaches if this process has not yet. Throws Python's exceptions.
    const View& root();
    /// The same, as what can be saved and loaded.
    const Dictionary& whole() {
        root();
        return *dictionary_;
    }
    std::string name();

    /// Ends calls that are under way, then the attachment; false if there was none. A call that does not end
    /// makes it Busy.
    void detach();
    void restart(std::uint32_t manager);
    std::uint32_t checkpoint();
    std::uint32_t rollback();
    void set_checkpoint_id(std::uint32_t checkpoint);
    /// The whole dictionary goes on at this checkpoint if that is restored.
    Result<CheckpointInfo> restore(std::uint32_t checkpoint, const LoadOptions& options);
    Result<CheckpointInfo> advance(const LoadOptions& options);
    /// The same before this process has attached, or gone on from 0. Whether it is there now.
    bool begins_at(std::uint32_t checkpoint);
    /// Called without the interpreter's lock. The target goes on at this one's checkpoint.
    Result<void> clone_to(Link& target, const LoadOptions& options);
    Result<Dictionary> copy(const CreateOptions& options, const LoadOptions& load);
    void set_checkpoint_store(std::shared_ptr<CheckpointStore> store);
    void destroy(bool keep);
    bool is_detached() const { return is_detached_; }
    bool is_closing() const { return is_closing_.load(std::memory_order_relaxed); }
    /// Throws NotAttached.
    void require_attached() {
        if (is_detached_ || is_closing()) [[unlikely]]
            refuse_detached();
    }

    /// What f() returns, called without the interpreter's lock: a call of this thread, which detach() ends or
    /// waits for. Throws what f() throws, and before that what a signal's handler has raised.
    template <class F>
    auto call(F&& f) {
        const CountedCall counted(*this);
        try {
            auto result = without_gil([&] {
                const CurrentLink current(this);
                return f();
            });
            throw_if_interrupted();
            if constexpr (requires { result.error(); }) {
                if (!result.has_value() && is_closing()) refuse_ended(result.error());
            }
            return result;
        } catch (const py::error_already_set&) {
            throw;
        } catch (...) {
            throw_if_interrupted();
            throw;
        }
    }

  private:
    /// With the interpreter's lock.
    class CountedCall {
      public:
        explicit CountedCall(Link& link) : link_(link) {
            link_.begin_generation();
            ++link_.calls_;
        }
        ~CountedCall() {
            if (generation_ == process_generation) --link_.calls_;
        }
        CountedCall(const CountedCall&) = delete;
        CountedCall& operator=(const CountedCall&) = delete;

      private:
        Link& link_;
        const std::uint64_t generation_ = process_generation;
    };
    /// Of this thread.
    class CurrentLink {
      public:
        explicit CurrentLink(Link* link);
        ~CurrentLink();
        CurrentLink(const CurrentLink&) = delete;
        CurrentLink& operator=(const CurrentLink&) = delete;

      private:
        Link* outer_;
    };

    /// In a child of fork() the calls and the attaching of other threads are the parent's.
    void begin_generation() {
        if (calls_generation_ == process_generation) return;
        calls_generation_ = process_generation;
        calls_ = 0;
        is_attaching_ = false;
        is_closing_ = false;
    }
    void refuse_detached();
    /// Of a call that has failed while this was detached: throws NotAttached if it has been ended because of
    /// that.
    static void refuse_ended(Error why);
    void end_calls();
    void attach();

    std::string handle_;
    AttachOptions options_;
    std::optional<Dictionary> dictionary_;
    std::atomic<std::uint64_t> generation_ = 0;  // of the process that has attached
    std::atomic<bool> is_closing_ = false;
    // Guarded by the interpreter's lock:
    std::uint32_t checkpoint_ = 0;  // also of children of fork(), which attach anew
    bool is_detached_ = false;
    bool is_attaching_ = false;           // a thread
    std::uint64_t calls_ = 0;             // under way
    std::uint64_t calls_generation_ = 0;  // of the process that these are of
};

/// The link that this thread is in a call of.
inline thread_local Link* link_of_call = nullptr;

inline Link::CurrentLink::CurrentLink(Link* link) : outer_(std::exchange(link_of_call, link)) {}
inline Link::CurrentLink::~CurrentLink() {
    link_of_call = outer_;
}

/// Sees to forks and to the end of calls. Once.
void watch_processes();

}  // namespace ddict::python
