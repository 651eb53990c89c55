// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Errors of the library as exceptions of Python: ddict/_errors.py has the classes.
#pragma once

#include <ddict/batch.h>
#include <ddict/error.h>
#include <pybind11/pybind11.h>

namespace ddict::python {

namespace py = pybind11;

/// The exception that an error is. `key`: the program's own object, where it is known.
py::object exception_of(const Error& error, py::handle key = {});
/// That of one item of a batch.
py::object exception_of(const ItemStatus& status, Operation operation, py::handle key);

[[noreturn]] void raise(const Error& error, py::handle key = {});
[[noreturn]] void raise(const py::object& exception);
/// A TypeError, with an exception as its cause if one is set.
[[noreturn]] void raise_type_error(const std::string& text);

}  // namespace ddict::python
