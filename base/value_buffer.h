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

namespace ddict {

namespace detail {
Result<MutableBytes> checked_buffer(const Result<MutableBytes>& buffer, std::uint64_t bytes);
/// Requires that an exception is being handled.
Error buffer_error(std::uint64_t bytes);
}  // namespace detail

/// This process has too little memory for what came, which says nothing about the manager. Allocates nothing.
Error no_memory_to_receive(std::uint64_t bytes);

/// What `prepare` gives for a value of so many bytes. What it throws ends here: it comes from a user's type,
/// or the value is larger than the memory there is, and above are events that must be delivered to their end.
template <std::invocable Prepare>
Result<MutableBytes> buffer_from(std::uint64_t bytes, Prepare prepare) {
    try {
        return detail::checked_buffer(prepare(), bytes);
    } catch (...) {
        return detail::buffer_error(bytes);
    }
}
inline Result<MutableBytes> buffer_of(ValueSink& sink, std::uint64_t bytes, std::uint16_t value_type) {
    return buffer_from(bytes, [&] { return sink.prepare(bytes, value_type); });
}

}  // namespace ddict
