// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The classes of ddict/_typed.py: keys and values of types that Python has nothing for, as their bytes.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ddict::python {

namespace py = pybind11;

PyTypeObject* typed_key_class();
PyTypeObject* typed_value_class();
py::object make_typed_key(std::uint16_t type, std::span<const std::byte> bytes);
py::object make_typed_value(std::uint16_t type, std::span<const std::byte> bytes);

/// The parts of either.
class TypedBytes {
  public:
    explicit TypedBytes(PyObject* object);
    std::uint16_t type() const { return type_; }
    std::span<const std::byte> bytes() const;
    /// Who owns the bytes.
    const py::object& owner() const { return data_; }

  private:
    std::uint16_t type_;
    py::object data_;
};

/// Whether numpy is there, and the object a scalar of it. Does not import it.
bool is_numpy_scalar(PyObject* object);

}  // namespace ddict::python
