// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Memory that a process shares with the children it forks, and nothing else: it has no name, so nothing can
// be left behind.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>

namespace ddict::bench {

/// `count` objects of T, zeroed; the same ones in this process and in all children forked later.
template <class T>
class SharedArray {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    explicit SharedArray(std::size_t count) : bytes_(count * sizeof(T)) {
        void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::system_error(errno, std::generic_category(), "memory to share with the processes");
        }
        items_ = static_cast<T*>(memory);
        std::uninitialized_default_construct_n(items_, count);  // what they leave alone is zero
    }
    ~SharedArray() { munmap(items_, bytes_); }
    SharedArray(const SharedArray&) = delete;
    SharedArray& operator=(const SharedArray&) = delete;

    T& operator[](std::size_t i) const noexcept { return items_[i]; }

  private:
    T* items_ = nullptr;
    std::size_t bytes_;
};

}  // namespace ddict::bench
