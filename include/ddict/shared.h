// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What several objects own together, as by the std::shared_ptr that the library has inside. Here is none:
// <memory> would add half as much again to what a program compiles for this library.
#pragma once

#include <cstddef>
#include <utility>

namespace ddict {
namespace detail {

/// Counts who shares something, and ends it with the last. Defined in the library.
class SharedCount;
void add_owner(SharedCount* count) noexcept;
void remove_owner(SharedCount* count) noexcept;

/// Threads: as a std::shared_ptr: one object is for one thread at a time, those that share are for many.
template <class T>
class Shared {
  public:
    Shared() noexcept = default;
    Shared(std::nullptr_t) noexcept {}
    /// Takes over one count.
    Shared(T* object, SharedCount* count) noexcept : object_(object), count_(count) {}
    Shared(const Shared& other) noexcept : object_(other.object_), count_(other.count_) {
        if (count_ != nullptr) add_owner(count_);
    }
    Shared(Shared&& other) noexcept
        : object_(std::exchange(other.object_, nullptr)), count_(std::exchange(other.count_, nullptr)) {}
    Shared& operator=(Shared other) noexcept {
        std::swap(object_, other.object_);
        std::swap(count_, other.count_);
        return *this;
    }
    ~Shared() {
        if (count_ != nullptr) remove_owner(count_);
    }

    T* get() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }
    T* operator->() const noexcept { return object_; }
    friend bool operator==(const Shared& shared, std::nullptr_t) noexcept {
        return shared.object_ == nullptr;
    }

  private:
    T* object_ = nullptr;
    SharedCount* count_ = nullptr;
};

}  // namespace detail
}  // namespace ddict
