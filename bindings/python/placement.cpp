// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bindings/python/placement.h"

#include <cstdint>
#include <string>

#include "bindings/python/gil.h"
#include "bindings/python/keys.h"

namespace ddict::python {
namespace {

/// At the end of the process nobody needs it.
void let_go(PyObject* function) {
    if (Py_IsInitialized() == 0 || PyGILState_GetThisThreadState() == nullptr) return;
    const InnerPython inner;
    Py_DECREF(function);
}

/// What the function says of a key, as an integer.
py::object answer_of(PyObject* function, KeyBytes key) {
    const py::object answer = py::reinterpret_borrow<py::object>(function)(object_of_key(key));
    PyObject* const number = PyNumber_Index(answer.ptr());
    if (number == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(number);
}

/// All integers are hashes, also the negative ones that hash() gives.
std::uint64_t hash_in(const py::object& number) {
    const std::uint64_t hash = PyLong_AsUnsignedLongLongMask(number.ptr());
    if (hash == ~std::uint64_t{0} && PyErr_Occurred() != nullptr) throw py::error_already_set();
    return hash;
}

std::uint32_t manager_in(const py::object& number, std::uint32_t managers) {
    const py::object manager =
        py::reinterpret_steal<py::object>(PyNumber_Remainder(number.ptr(), py::int_(managers).ptr()));
    if (!manager) throw py::error_already_set();
    return manager.cast<std::uint32_t>();
}

}  // namespace

UserPlacement user_placement(const py::object& function, bool names_manager) {
    if (PyCallable_Check(function.ptr()) == 0)
        throw py::type_error("a function is needed that takes a key and returns an int, not " +
                             py::str(function.get_type().attr("__name__")).cast<std::string>());
    return {.function = {py::object(function).release().ptr(), let_go}, .names_manager = names_manager};
}

View placed(const View& view, const UserPlacement& placement) {
    if (!placement.function) return view;
    if (placement.names_manager) {
        return view.placed_at([function = placement.function, managers = view.manager_count()](KeyBytes key) {
            const InnerPython inner;
            return manager_in(answer_of(function.get(), key), managers);
        });
    }
    return view.placed_by([function = placement.function](KeyBytes key) {
        const InnerPython inner;
        return hash_in(answer_of(function.get(), key));
    });
}

}  // namespace ddict::python
