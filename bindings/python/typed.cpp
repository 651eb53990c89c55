// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bindings/python/typed.h"

#include "bindings/python/errors.h"

namespace ddict::python {
namespace {

PyTypeObject* class_named(const char* name) {
    // Kept for as long as the process: modules are not unloaded.
    return reinterpret_cast<PyTypeObject*>(
        py::module_::import("ddict._typed").attr(name).cast<py::object>().release().ptr());
}

py::object make(PyTypeObject* type, std::uint16_t number, std::span<const std::byte> bytes) {
    const py::handle class_object(reinterpret_cast<PyObject*>(type));
    return class_object(number, py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace

PyTypeObject* typed_key_class() {
    static PyTypeObject* const type = class_named("TypedKey");
    return type;
}

PyTypeObject* typed_value_class() {
    static PyTypeObject* const type = class_named("TypedValue");
    return type;
}

py::object make_typed_key(std::uint16_t type, std::span<const std::byte> bytes) {
    return make(typed_key_class(), type, bytes);
}

py::object make_typed_value(std::uint16_t type, std::span<const std::byte> bytes) {
    return make(typed_value_class(), type, bytes);
}

TypedBytes::TypedBytes(PyObject* object)
    : type_(py::handle(object).attr("type").cast<std::uint16_t>()), data_(py::handle(object).attr("data")) {
    if (!PyBytes_Check(data_.ptr())) raise_type_error("the data of a typed key or value are bytes");
}

std::span<const std::byte> TypedBytes::bytes() const {
    return std::as_bytes(
        std::span(PyBytes_AS_STRING(data_.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(data_.ptr()))));
}

bool is_numpy_scalar(PyObject* object) {
    static PyObject* generic = nullptr;
    if (generic == nullptr) {
        PyObject* const numpy = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy");
        if (numpy == nullptr) return false;
        generic = PyObject_GetAttrString(numpy, "generic");
        if (generic == nullptr) {  // numpy is being imported
            PyErr_Clear();
            return false;
        }
    }
    return PyObject_IsInstance(object, generic) == 1;
}

}  // namespace ddict::python
