// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bindings/python/errors.h"

#include <string>

#include "bindings/python/keys.h"

namespace ddict::python {
namespace {

py::object make(Errc code) {
    return py::module_::import("ddict._errors").attr("BY_CODE")[py::str(std::string(name(code)))];
}

py::object text_or_none(std::string_view text) {
    if (text.empty()) return py::none();
    return py::reinterpret_steal<py::object>(
        PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

}  // namespace

py::object exception_of(const Error& error, py::handle key) {
    py::dict fields;
    fields["operation"] = error.operation == Operation::none ? py::object(py::none())
                                                             : py::str(std::string(name(error.operation)));
    py::object named = py::reinterpret_borrow<py::object>(key);
    if (!named && error.key_bytes_shown != 0 && !error.key_cut) {
        const auto bytes = std::as_bytes(std::span(error.key)).first(error.key_bytes_shown);
        named = object_of_key(KeyBytes(bytes, error.key_type));
    }
    fields["key"] = named ? named : py::none();
    fields["manager"] =
        error.manager == Error::no_manager ? py::object(py::none()) : py::object(py::int_(error.manager));
    fields["node"] = text_or_none(error.node.data());
    fields["in_doubt"] = py::bool_(error.in_doubt);
    fields["manager_state"] = py::str(std::string(name(error.manager_state)));
    fields["need_bytes"] = error.need_bytes;
    fields["have_bytes"] = error.have_bytes;
    fields["detail"] = text_or_none(error.detail.data());
    const py::object message = text_or_none(error.message());
    return make(error.code)(message, **fields);
}

py::object exception_of(const ItemStatus& status, Operation operation, py::handle key) {
    Error error(status.code);
    error.set_operation(operation).set_manager(status.manager);
    error.in_doubt = status.in_doubt;
    const KeyArgument bytes(key.ptr());
    error.set_key(bytes.view());
    return exception_of(error, key);
}

void raise(const py::object& exception) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
    throw py::error_already_set();
}

void raise(const Error& error, py::handle key) {
    raise(exception_of(error, key));
}

void raise_type_error(const std::string& text) {
    if (PyErr_Occurred() != nullptr) {
        py::error_already_set cause;
        py::raise_from(cause, PyExc_TypeError, text.c_str());
    } else {
        PyErr_SetString(PyExc_TypeError, text.c_str());
    }
    throw py::error_already_set();
}

}  // namespace ddict::python
