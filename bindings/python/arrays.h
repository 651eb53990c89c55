// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Arrays of numpy. It is imported with the first of them.
#pragma once

#include <ddict/array.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <vector>

namespace ddict::python {

namespace py = pybind11;

/// Whether an object is an ndarray, and of no derived class.
bool is_array(PyObject* object);
/// The element number of a dtype that C++ has too, in this machine's byte order; 0 of another.
std::uint16_t element_of(const py::dtype& dtype);
/// The other way; nothing if numpy has no such element.
std::optional<py::dtype> dtype_of_element(std::uint16_t element);

/// An array, and the bytes that come before its elements in its value.
struct ArrayBytes {
    std::uint16_t type = 0;
    std::vector<std::byte> header;
    std::span<const std::byte> elements;
    py::object owner;  // of the elements
};
/// Nothing if it has to be pickled: objects among its elements.
std::optional<ArrayBytes> bytes_of_array(const py::array& array);
/// A scalar of numpy.
std::optional<ArrayBytes> bytes_of_numpy_scalar(PyObject* scalar);
/// An array of what has __dlpack__ or a buffer; null if it has neither.
py::object array_from(PyObject* object);

/// The array whose value these bytes are, in the memory of `owner`, or copied if there is none.
py::object array_of(std::span<const std::byte> bytes, std::uint16_t element, const py::object& owner);
py::object numpy_array_of(std::span<const std::byte> bytes, const py::object& owner);
/// An array of one dimension over elements.
py::object elements_as_array(std::span<const std::byte> bytes, std::uint16_t element,
                             const py::object& owner);

}  // namespace ddict::python
