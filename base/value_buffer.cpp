// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/value_buffer.h"

#include <array>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

namespace ddict {

Error no_memory_to_receive(std::uint64_t bytes) {
    std::array<char, 80> text{};
    std::snprintf(text.data(), text.size(), "no memory is left to receive the value of %llu bytes",
                  static_cast<unsigned long long>(bytes));
    return Error(Errc::system, text.data());
}

Error no_host_memory_to_send() {
    return Error(
        Errc::invalid_argument,
        "the memory of the value cannot be read by this process: it is a GPU's, or none. Copy it to host "
        "memory first (cudaMemcpy, hipMemcpy), or put from managed or pinned memory");
}

Error no_host_memory_to_receive() {
    return Error(
        Errc::invalid_argument,
        "the memory to receive into cannot be reached by this process: it is a GPU's, or none. Get into "
        "host memory, and copy it to the GPU from there (cudaMemcpy, hipMemcpy)");
}

namespace detail {

Result<MutableBytes> only_host_memory(const Result<MutableBytes>& buffer, Bytes rest) {
    if (buffer && !(is_host_memory(*buffer) && is_host_memory(rest))) return no_host_memory_to_receive();
    return buffer;
}

Error wrong_buffer(std::uint64_t size, std::uint64_t bytes) {
    return Error(Errc::invalid_argument, "the sink returned a buffer of " + std::to_string(size) +
                                             " bytes, expected " + std::to_string(bytes));
}

Error buffer_error(std::uint64_t bytes) {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        return no_memory_to_receive(bytes);
    } catch (const std::exception& e) {
        return Error(Errc::system,
                     "cannot make memory for the value of " + std::to_string(bytes) + " bytes: " + e.what());
    }
}

}  // namespace detail
}  // namespace ddict
