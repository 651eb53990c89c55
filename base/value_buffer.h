// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Where a value that is about to be received goes.
#pragma once

#include <concepts>
#include <cstdint>

#include <ddict/error.h>
#include <ddict/result.h>
#include <ddict/value_sink.h>

#include "base/bytes.h"
#include "base/host_memory.h"

namespace ddict {

namespace detail {
Error wrong_buffer(std::uint64_t size, std::uint64_t bytes);
/// Requires that an exception is being handled.
Error buffer_error(std::uint64_t bytes);
/// The buffer, unless a part of it is the memory of a GPU.
Result<MutableBytes> only_host_memory(const Result<MutableBytes>& buffer, Bytes rest);
}  // namespace detail

/// This process has too little memory for what came, which says nothing about the manager. Allocates nothing.
Error no_memory_to_receive(std::uint64_t bytes);

/// What `prepare` gives for a value of so many bytes. What it throws ends here: it comes from a user's type,
/// or the value is larger than the memory there is, and above are events that must be delivered to their end.
/// Inline, since a read of shared memory is some 500 instructions in all, and a call here would be 5 % of
/// them.
template <std::invocable Prepare>
[[gnu::always_inline]] inline Result<MutableBytes> buffer_from(std::uint64_t bytes, Prepare prepare) {
    try {
        Result<MutableBytes> buffer = prepare();
        if (buffer && buffer->size() != bytes) return detail::wrong_buffer(buffer->size(), bytes);
        if (memory_probe.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
            return detail::only_host_memory(buffer, {});
        return buffer;
    } catch (...) {
        return detail::buffer_error(bytes);
    }
}
/// The same of a sink that may take the value in two pieces: then the second is `rest`.
[[gnu::always_inline]] inline Result<MutableBytes> buffer_of(ValueSink& sink, std::uint64_t bytes,
                                                             std::uint16_t value_type, MutableBytes& rest) {
    try {
        Result<MutableBytes> buffer = sink.prepare(bytes, value_type);
        if (buffer && buffer->size() != bytes) [[unlikely]] {
            rest = sink.rest();
            if (buffer->size() + rest.size() != bytes)
                return detail::wrong_buffer(buffer->size() + rest.size(), bytes);
        }
        if (memory_probe.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
            return detail::only_host_memory(buffer, rest);
        return buffer;
    } catch (...) {
        return detail::buffer_error(bytes);
    }
}

}  // namespace ddict
