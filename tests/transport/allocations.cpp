// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// In a file of its own: the compiler must not see through these where they are called.
#include "tests/transport/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::uint64_t> count{0};
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DDICT_OPERATOR_NEW_TAKEN 1
#endif
#endif

#ifndef DDICT_OPERATOR_NEW_TAKEN
void* operator new(std::size_t size) {
    count.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
#endif

namespace ddict::transport::testing {

std::uint64_t allocations() {
    return count.load();
}

}  // namespace ddict::transport::testing
