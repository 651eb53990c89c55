// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The calls that wait for others: nothing else does.
#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

py::object wait(PyDictionary& self, const py::object& key, const py::object& timeout,
                const py::object& alive) {
    PyDictionary view = self.within(timeout);
    const KeyArgument bytes(key.ptr());
    ReceivedValue value;
    if (alive.is_none()) {
        view.value_of([&](const View& one) { return one.wait_for_bytes(bytes.view(), value); }, key);
    } else {
        const KeyArgument other(alive.ptr());
        view.value_of(
            [&](const View& one) { return one.wait_for_while_bytes(bytes.view(), other.view(), value); },
            key);
    }
    return view.read(Operation::wait_for, bytes.view(), key, [&] { return self.reader().object_of(value); });
}

void wait_for_value(PyDictionary& self, const py::object& key, const py::object& value,
                    const py::object& timeout) {
    const KeyArgument bytes(key.ptr());
    ValueArgument awaited(value.ptr(), self.recipe().allow_pickle);
    self.within(timeout).value_of(
        [&](const View& view) {
            return view.wait_for_value_bytes(bytes.view(), awaited.bytes(), awaited.type());
        },
        key);
}

py::tuple wait_any(PyDictionary& self, const py::object& keys, const py::object& timeout) {
    const auto objects = py::reinterpret_steal<py::tuple>(PySequence_Tuple(keys.ptr()));
    if (!objects) throw py::error_already_set();
    std::vector<KeyArgument> arguments;
    for (const py::handle key : objects)
        arguments.emplace_back(key.ptr());
    std::vector<KeyBytes> views;
    for (const KeyArgument& key : arguments)
        views.push_back(key.view());
    ReceivedValue value;
    PyDictionary view = self.within(timeout);
    const std::size_t index =
        view.value_of([&](const View& one) { return one.wait_for_any_bytes(views, value); });
    const py::object key = objects[index];
    return py::make_tuple(key, view.read(Operation::wait_for_any, views[index], key,
                                         [&] { return self.reader().object_of(value); }));
}

}  // namespace

void bind_waits(DictionaryClass& dictionary) {
    dictionary
        .def("wait", wait, py::arg("key"), py::arg("timeout") = py::none(), py::kw_only(),
             py::arg("alive") = py::none(),
             "The value of a key, as soon as there is one. Timeout after so many seconds; without a timeout, "
             "after those "
             "of the dictionary. alive: another key, as long as which is there it is waited for; KeyError "
             "once "
             "it is gone and there is no value.")
        .def("wait_for_value", wait_for_value, py::arg("key"), py::arg("value"),
             py::arg("timeout") = py::none(), "Returns when the key has, or takes, this value.")
        .def("wait_any", wait_any, py::arg("keys"), py::arg("timeout") = py::none(),
             "Waits until one of at most 256 keys is there: a pair of the key and its value.");
}

}  // namespace ddict::python
