// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Handles of operations that run while the program does something else: View::put_async, get_async,
// wait_async, erase_async.
//
//     std::vector<ddict::Pending<void>> pending;
//     for (const auto& [key, value] : pairs) pending.push_back(dict.put_async(key, value));
//     for (auto& put : pending) put.wait();
//
// Things move along inside any call of this thread to the same dictionary, and only there: there is no thread
// in the background. A loop that waits for other things too is told by View::async_descriptor() when to call.
// Up to 1024 operations of a thread are under way at once; any further call first waits until one of them is
// done, and fails with timeout if none is by its own deadline; then nothing was sent. Operations that are
// under way together may take effect in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>

#include <ddict/codec.h>
#include <ddict/result.h>
#include <ddict/standard.h>
#include <ddict/value_sink.h>

namespace ddict {

namespace client {
struct AsyncOperation;
}

namespace detail {

/// How to make the sink of an operation in memory that the library keeps.
struct SinkType {
    std::size_t bytes = 0;
    std::size_t alignment = 1;
    ValueSink* (*construct)(void* memory) = nullptr;
    void (*destroy)(ValueSink* sink) = nullptr;
};

template <class Sink>
const SinkType& sink_type() {
    static constexpr SinkType type{sizeof(Sink), alignof(Sink),
                                   [](void* memory) -> ValueSink* { return new (memory) Sink; },
                                   [](ValueSink* sink) { static_cast<Sink*>(sink)->~Sink(); }};
    return type;
}

/// An operation under way, or its outcome. What a Pending is made of.
class OperationHandle {
  public:
    OperationHandle() = default;
    explicit OperationHandle(client::AsyncOperation* operation) : operation_(operation) {}
    OperationHandle(OperationHandle&& other) noexcept
        : operation_(std::exchange(other.operation_, nullptr)) {}
    OperationHandle& operator=(OperationHandle&& other) noexcept {
        if (this != &other) {
            release();
            operation_ = std::exchange(other.operation_, nullptr);
        }
        return *this;
    }
    ~OperationHandle() { release(); }

    bool valid() const { return operation_ != nullptr; }
    /// Moves things along without waiting. invalid_argument if there is no operation, or on another thread
    /// than the one that made it.
    Result<bool> ready();
    /// The outcome of an operation that has one: argument of the reply. Errors: its own; timeout at
    /// `deadline` if it is still under way; those of ready().
    Result<std::uint64_t> wait(std::optional<std::chrono::steady_clock::time_point> deadline);
    /// Ends it as if its deadline were now: its outcome is timeout, in doubt if a change has been sent,
    /// unless it was there. A manager that waits is told so, for 0.1 s at the most. Nothing on another thread
    /// than the one that made it.
    void cancel();
    /// Whether the outcome is there, for this thread to take.
    bool has_ended_here() const;
    ValueSink* sink() const;
    /// Of what is wrong with the value that came: names the operation, the key, the manager and the node.
    Error name_error(Error error) const;
    /// Ends the life of the operation; waits for its end first.
    void release() noexcept;

  private:
    client::AsyncOperation* operation_ = nullptr;
};

}  // namespace detail

/// An operation that was begun and yields a T. Of the thread that made it. Destroying it waits for its end,
/// at its deadline at the latest; its outcome is lost then.
template <class T>
class [[nodiscard]] Pending {
  public:
    using Clock = std::chrono::steady_clock;

    Pending() = default;
    explicit Pending(detail::OperationHandle operation) : operation_(std::move(operation)) {}

    /// Whether there is an outcome to come: not after wait() has given it.
    bool valid() const { return operation_.valid(); }
    /// Whether wait() would return at once. Never waits.
    bool ready() { return operation_.ready().value(); }

    /// Ends the operation as if its deadline were now; wait() gives what came of it: timeout, in doubt if a
    /// change has been sent, unless the outcome was there before.
    void cancel() { operation_.cancel(); }

    /// The outcome, at the deadline of the view that began it at the latest; once only. Throws its error.
    T wait() { return try_wait().value(); }
    /// The same, but returns at `deadline` at the latest. If it is not done by then: timeout, and the handle
    /// stays valid.
    T wait(Clock::time_point deadline) { return try_wait(deadline).value(); }
    Result<T> try_wait() { return take(std::nullopt); }
    Result<T> try_wait(Clock::time_point deadline) { return take(deadline); }

  private:
    Result<T> take(std::optional<Clock::time_point> deadline) {
        const Result<std::uint64_t> outcome = operation_.wait(deadline);
        if (!operation_.has_ended_here()) return outcome.error();
        const detail::OperationHandle ended = std::move(operation_);
        if constexpr (std::is_void_v<T>) {
            if (!outcome) return outcome.error();
            return {};
        } else if constexpr (std::is_same_v<T, bool>) {
            if (ended.sink() == nullptr) {  // erase: a missing key is an answer
                if (!outcome && outcome.error().code == Errc::not_found) return false;
                if (!outcome) return outcome.error();
                return true;
            }
            return value_of(outcome, ended);
        } else {
            return value_of(outcome, ended);
        }
    }
    static Result<T> value_of(const Result<std::uint64_t>& outcome, const detail::OperationHandle& ended) {
        if (!outcome) return outcome.error();
        Result<T> value = std::move(*static_cast<detail::SinkFor<T>*>(ended.sink())).take();
        if (!value.has_value()) value.error() = ended.name_error(value.error());
        return value;
    }

    detail::OperationHandle operation_;
};

}  // namespace ddict
