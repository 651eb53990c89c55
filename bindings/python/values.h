// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values of Python as the bytes of docs/values.md, and back. What C++ has a type for is stored as C++ would;
// the rest in the forms that the same page has for Python, pickles last.
#pragma once

#include <ddict/codec.h>
#include <ddict/python_types.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bindings/python/memory.h"

namespace ddict::python {

namespace py = pybind11;

/// Bytes one after the other, of which the large ones stay where the program has them.
class Pieces {
  public:
    static constexpr std::size_t copied_max = 2048;

    void append(std::span<const std::byte> bytes) {
        if (pieces_.empty() || pieces_.back().owner) pieces_.emplace_back();
        detail::append_bytes(pieces_.back().made, bytes);
        size_ += bytes.size();
    }
    void append(std::span<const std::byte> bytes, const py::object& owner) {
        if (bytes.size() <= copied_max) return append(bytes);
        pieces_.push_back({{}, bytes, owner});
        size_ += bytes.size();
    }
    void append(Pieces&& other) {
        for (Piece& piece : other.pieces_) {
            if (piece.owner) {
                pieces_.push_back(std::move(piece));
            } else {
                append(piece.made);
                continue;
            }
            size_ += pieces_.back().bytes.size();
        }
    }
    template <class N>
    void append_number(N number) {
        append(std::as_bytes(std::span<const N, 1>(&number, 1)));
    }
    void pad() {
        constexpr std::array<std::byte, 16> zeros{};
        append(std::span(zeros).first(detail::aligned(size_) - size_));
    }
    std::size_t size() const { return size_; }
    /// Where the bytes lie, as long as this is not changed; none of them is empty.
    void list(std::vector<std::span<const std::byte>>& parts) const {
        for (const Piece& piece : pieces_) {
            if (!piece.view().empty()) parts.push_back(piece.view());
        }
    }
    bool is_one() const { return pieces_.size() <= 1; }
    std::span<const std::byte> first() const {
        return pieces_.empty() ? std::span<const std::byte>() : pieces_.front().view();
    }
    /// Requires memory of size().
    void copy_to(std::byte* out) const {
        for (const Piece& piece : pieces_) {
            const auto bytes = piece.view();
            if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
            out += bytes.size();
        }
    }

  private:
    struct Piece {
        std::vector<std::byte> made;
        std::span<const std::byte> bytes;
        py::object owner{};  // of the bytes; none: they are made
        std::span<const std::byte> view() const { return owner ? bytes : made; }
    };
    std::vector<Piece> pieces_;
    std::size_t size_ = 0;
};

/// The bytes of a value, gathered in one piece when they are asked for.
class ValueArgument {
  public:
    /// Throws TypeError for what cannot be stored. The value must outlive this, and its memory stay as it is.
    ValueArgument(PyObject* value, bool allow_pickle) {
        if (!take_plain(value)) take_other(value, allow_pickle);
    }
    ValueArgument(ValueArgument&& other) noexcept = default;
    ValueArgument& operator=(ValueArgument&& other) noexcept = default;

    std::uint16_t type() const { return type_; }
    std::uint64_t size() const { return pieces_ ? pieces_->size() : size_; }
    /// Does not touch Python's objects. May throw std::bad_alloc.
    std::span<const std::byte> bytes() {
        if (!pieces_) return {data_ != nullptr ? data_ : small_.data(), size_};
        if (pieces_->is_one()) return pieces_->first();
        if (!gathered_) {
            gathered_ = Memory(pieces_->size());
            pieces_->copy_to(gathered_.data());
        }
        return gathered_.bytes();
    }

    /// What put_parts() takes: the pieces where they lie, or all of them gathered, if they are too many.
    std::span<const std::span<const std::byte>> parts() {
        parts_.clear();
        if (pieces_) pieces_->list(parts_);
        if (parts_.empty() || parts_.size() > parts_max) parts_.assign(1, bytes());
        return parts_;
    }
    bool is_in_pieces() const { return pieces_ && !pieces_->is_one(); }

  private:
    static constexpr std::size_t parts_max = 16;
    void refer_to(const void* data, Py_ssize_t size, std::uint16_t type) {
        data_ = static_cast<const std::byte*>(data);
        size_ = static_cast<std::size_t>(size);
        type_ = type;
    }
    template <class T>
    void take_scalar(const T& value, std::uint16_t type = Codec<T>::type) {
        static_assert(sizeof(T) <= 16);
        std::memcpy(small_.data(), &value, sizeof value);
        data_ = nullptr;
        size_ = sizeof value;
        type_ = type;
    }
    bool take_plain(PyObject* value);
    bool take_integer(PyObject* value);
    void take_other(PyObject* value, bool allow_pickle);

    const std::byte* data_ = nullptr;  // null: in small_
    std::size_t size_ = 0;
    std::uint16_t type_ = 0;
    alignas(16) std::array<std::byte, 16> small_{};
    std::unique_ptr<Pieces> pieces_;  // instead of these
    Memory gathered_;
    std::vector<std::span<const std::byte>> parts_;
};

/// Reads values.
struct ValueReader {
    bool allow_pickle = true;

    /// The object that bytes of a type are. `owner`: whose memory they are in, if arrays may stay in it; else
    /// they are copied. Throws WrongType (which names no key) for bytes that are not of their type.
    py::object object_of(std::span<const std::byte> bytes, std::uint16_t type,
                         const py::object& owner = {}) const;
    /// The same of what has been received; its memory becomes the object's.
    py::object object_of(ReceivedValue& value) const;

  private:
    py::object list_of(std::span<const std::byte> bytes, const py::object& owner) const;
    py::object tuple_of(std::span<const std::byte> bytes, const py::object& owner) const;
    py::object dict_of(std::span<const std::byte> bytes, const py::object& owner) const;
    py::object unpickled(std::span<const std::byte> bytes, const py::object& owner) const;
};

/// An object with a buffer, which owns memory.
py::object owner_of(Memory memory);
void bind_memory(py::module_& module);

}  // namespace ddict::python
