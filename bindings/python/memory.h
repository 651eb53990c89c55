// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Memory that values are received into without the interpreter's lock, and that arrays of Python then live
// in.
#pragma once

#include <ddict/value_sink.h>
#include <ddict/value_type.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace ddict::python {

namespace py = pybind11;

/// As many bytes as were asked for, not cleared, aligned for every element.
class Memory {
  public:
    Memory() = default;
    /// Throws std::bad_alloc.
    explicit Memory(std::size_t size) : size_(size) {
        data_.reset(static_cast<std::byte*>(std::malloc(size == 0 ? 1 : size)));
        if (data_ == nullptr) throw std::bad_alloc();
    }
    std::byte* data() const { return data_.get(); }
    std::size_t size() const { return size_; }
    std::span<std::byte> bytes() const { return {data_.get(), size_}; }
    explicit operator bool() const { return data_ != nullptr; }

  private:
    struct Free {
        void operator()(std::byte* data) const { std::free(data); }
    };
    std::unique_ptr<std::byte, Free> data_;
    std::size_t size_ = 0;
};

/// Where one value goes. Small ones stay here; bytes that are large go into an object of Python's at once, if
/// there is one of their size.
class ReceivedValue final : public ValueSink {
  public:
    static constexpr std::size_t small_max = 1024;
    static constexpr std::size_t bytes_object_min = 64 * 1024;

    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        type_ = value_type;
        size_ = static_cast<std::size_t>(bytes);
        if (size_ <= small_max) return std::span(small_).first(size_);
        if (asks_for_object_ && value_type == type_bytes && size_ >= bytes_object_min) {
            if (object_size() == size_) {
                large_ = Memory();
                return std::span(object_data(), size_);
            }
            wants_object_ = true;
            return Error(Errc::busy, "the value has to be asked for again");
        }
        large_ = Memory(size_);
        return large_.bytes();
    }

    /// The call may be made again: then prepare() may refuse, and wants_object() says so.
    void may_ask_again(bool may) { asks_for_object_ = may; }
    bool wants_object() const { return wants_object_; }
    /// With the lock.
    void make_object() {
        wants_object_ = false;
        object_ = py::reinterpret_steal<py::object>(
            PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size_)));
        if (!object_) throw py::error_already_set();
        data_of_object_ = reinterpret_cast<std::byte*>(PyBytes_AS_STRING(object_.ptr()));
        size_of_object_ = size_;
    }

    std::uint16_t type() const { return type_; }
    bool is_in_object() const {
        return type_ == type_bytes && object_size() == size_ && size_ >= bytes_object_min && !large_;
    }
    py::object take_object() { return std::move(object_); }
    bool is_small() const { return size_ <= small_max; }
    std::span<const std::byte> bytes() const {
        return is_small() ? std::span<const std::byte>(small_).first(size_)
                          : std::span<const std::byte>(large_.bytes());
    }
    Memory take_memory() { return std::move(large_); }

  private:
    std::size_t object_size() const { return data_of_object_ != nullptr ? size_of_object_ : 0; }
    std::byte* object_data() const { return data_of_object_; }

    alignas(16) std::array<std::byte, small_max> small_;
    std::size_t size_ = 0;
    std::uint16_t type_ = 0;
    bool asks_for_object_ = false;
    bool wants_object_ = false;
    Memory large_;
    py::object object_;
    std::byte* data_of_object_ = nullptr;
    std::size_t size_of_object_ = 0;
};

}  // namespace ddict::python
