// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a Pending refers to: an operation, its copies of key and value, and the sink of its value. Kept in a
// list of the thread, so that to start one costs no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <ddict/async.h>

#include "libclient/attachment.h"

namespace ddict::client {

struct AsyncOperation {
    AsyncOperation() = default;
    AsyncOperation(const AsyncOperation&) = delete;
    AsyncOperation& operator=(const AsyncOperation&) = delete;
    ~AsyncOperation() { drop_sink(); }

    void make_sink(const detail::SinkType& type);
    void drop_sink();
    /// Whether it is under way in a session that is not the caller's to move along: another thread's, or, in
    /// a child of fork(), the parent's.
    bool is_out_of_reach() const;

    Flight flight;
    const void* thread = nullptr;       // that started it
    std::uint64_t fork_generation = 0;  // of the process that did
    std::vector<std::byte> bytes;       // copies of the key, and of the value if it is small
    std::size_t key_bytes = 0;          // how many of them are the key's
    std::uint16_t key_type = type_text;
    std::uint32_t manager = Error::no_manager;
    std::array<char, sizeof(Error::node)> node{};
    ValueSink* sink = nullptr;
    void (*destroy_sink)(ValueSink*) = nullptr;
    alignas(std::max_align_t) std::byte sink_memory[96];
    std::unique_ptr<std::byte[]> large_sink_memory;
};

/// An address that tells the calling thread from others that live.
const void* this_thread();

/// A fresh operation of the calling thread.
AsyncOperation* new_operation();
/// Requires that it is settled.
void give_back(AsyncOperation* operation) noexcept;

/// Begins one request. Its key and, if it is small enough to travel in one piece with the request, its value
/// are copied. An error is the operation's outcome.
detail::OperationHandle start_operation(Attachment& attachment, Request request,
                                        const detail::TimeoutBudget& budget, const detail::SinkType* sink,
                                        bool temporary_value);
/// An operation that has failed already.
detail::OperationHandle failed_operation(const Error& error);

}  // namespace ddict::client
