// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys of Python in the normal form of docs/values.md, and back: str, bytes, int, float, bool, tuples of
// them, and ddict.TypedKey for what has no equal in Python.
#pragma once

#include <ddict/key.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace ddict::python {

namespace py = pybind11;

/// The bytes of a key. Those of a text or of bytes are the object's own, which must outlive this.
class KeyArgument {
  public:
    /// Throws TypeError, or what the key's value is refused with.
    explicit KeyArgument(PyObject* key) {
        // The usual case, without another call.
        Py_ssize_t size = 0;
        const char* text = PyUnicode_CheckExact(key) ? PyUnicode_AsUTF8AndSize(key, &size) : nullptr;
        if (text != nullptr) [[likely]] {
            refer_to(text, size, type_text);
        } else {
            take(key);
        }
    }
    KeyArgument(const KeyArgument&) = delete;
    KeyArgument(KeyArgument&& other) noexcept { *this = std::move(other); }
    KeyArgument& operator=(const KeyArgument&) = delete;
    KeyArgument& operator=(KeyArgument&& other) noexcept {
        data_ = other.data_;
        size_ = other.size_;
        type_ = other.type_;
        number_ = other.number_;
        made_ = std::move(other.made_);
        return *this;
    }

    KeyBytes view() const {
        const std::byte* data = data_ != nullptr ? data_ : made_.empty() ? number_.data() : made_.data();
        return {std::span(data, size_), type_};
    }

  private:
    void take(PyObject* key);
    void take_integer(PyObject* key);
    void take_surrogates(PyObject* key);
    void take_tuple(PyObject* key);
    void take_typed(PyObject* key);
    bool take_numpy_scalar(PyObject* key);
    void refer_to(const char* data, Py_ssize_t size, std::uint16_t type) {
        data_ = reinterpret_cast<const std::byte*>(data);
        size_ = static_cast<std::size_t>(size);
        type_ = type;
    }
    void take_number(KeyBytes number) {
        std::copy(number.bytes().begin(), number.bytes().end(), number_.begin());
        size_ = number.size();
        type_ = number.type();
    }
    void keep(std::vector<std::byte> bytes, std::uint16_t type) {
        made_ = std::move(bytes);
        size_ = made_.size();
        type_ = type;
    }

    const std::byte* data_ = nullptr;  // of the object, if they are there
    std::size_t size_ = 0;
    std::uint16_t type_ = type_text;
    std::array<std::byte, 8> number_{};
    std::vector<std::byte> made_;
};

/// What KeyArgument made the bytes from, or a ddict.TypedKey.
py::object object_of_key(KeyBytes key);

/// A text with the bytes that are no UTF-8 as lone surrogates, as os.fsdecode() has them.
py::object text_of(std::span<const std::byte> bytes);
/// The bytes of such a text; none if there is no text of bytes that gives it.
std::optional<std::vector<std::byte>> bytes_of_surrogates(PyObject* text);

}  // namespace ddict::python
