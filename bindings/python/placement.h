// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Functions of Python that say where keys live. They are called in the middle of calls of the library, which
// have given the interpreter's lock away.
#pragma once

#include <ddict/view.h>
#include <pybind11/pybind11.h>

#include <memory>

namespace ddict::python {

namespace py = pybind11;

struct UserPlacement {
    std::shared_ptr<PyObject> function;  // null: there is none
    bool names_manager = false;          // else it gives a hash
};

/// Throws TypeError if it cannot be called. Whoever lets go of it last need not hold the lock.
UserPlacement user_placement(const py::object& function, bool names_manager);

/// The view whose keys live where the function says. What it raises is thrown by the call that asked for it,
/// before anything is sent for that key.
View placed(const View& view, const UserPlacement& placement);

}  // namespace ddict::python
