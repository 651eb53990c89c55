// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What makes a Dictionary a mapping. The usual ones are slots of the type, which the interpreter calls
// without anything in between.
#include "bindings/python/dictionary.h"
#include "bindings/python/typed.h"

namespace ddict::python {
namespace {

PyDictionary& self_of(PyObject* self) {
    const auto* const instance = reinterpret_cast<py::detail::instance*>(self);
    if (instance->simple_layout && instance->simple_value_holder[0] != nullptr)
        return *static_cast<PyDictionary*>(instance->simple_value_holder[0]);
    return py::handle(self).cast<PyDictionary&>();
}

Result<void> get(const View& view, KeyBytes key, ValueSink& sink) {
    return view.get_bytes(key, sink);
}

Result<void> find(const View& view, KeyBytes key, ValueSink& sink) {
    return view.find_bytes(key, sink);
}

/// d[key, torch]: an array as a tensor of another library.
PyObject* get_as(PyDictionary& self, PyObject* key, PyObject* module) {
    const py::object array = received_again(self, key, get);
    return py::handle(module).attr("from_dlpack")(array).release().ptr();
}

PyObject* subscript(PyObject* self, PyObject* key) {
    return guarded<PyObject*>(nullptr, [&] {
        if (PyTuple_CheckExact(key) && PyTuple_GET_SIZE(key) == 2 && PyModule_Check(PyTuple_GET_ITEM(key, 1)))
            return get_as(self_of(self), PyTuple_GET_ITEM(key, 0), PyTuple_GET_ITEM(key, 1));
        return received_again(self_of(self), key, get).release().ptr();
    });
}

void put(PyDictionary& self, PyObject* key, PyObject* value) {
    const KeyArgument bytes(key);
    ValueArgument stored(value, self.recipe().allow_pickle);
    const Result<void> put = self.call([&](const View& view) {
        if (stored.is_in_pieces()) return view.put_parts(bytes.view(), stored.parts(), stored.type());
        return view.put_bytes(bytes.view(), stored.bytes(), stored.type());
    });
    if (!put) raise(put.error(), key);
}

bool erase(PyDictionary& self, PyObject* key) {
    const KeyArgument bytes(key);
    return self.value_of([&](const View& view) { return view.erase_bytes(bytes.view()); }, key);
}

int assign_subscript(PyObject* self, PyObject* key, PyObject* value) {
    return guarded(-1, [&] {
        if (value != nullptr) {
            put(self_of(self), key, value);
        } else if (!erase(self_of(self), key)) {
            Error missing(Errc::not_found);
            raise(missing.set_operation(Operation::erase).set_key(KeyArgument(key).view()), key);
        }
        return 0;
    });
}

int contains(PyObject* self, PyObject* key) {
    return guarded(-1, [&] {
        const KeyArgument bytes(key);
        return self_of(self).value_of([&](const View& view) { return view.contains_bytes(bytes.view()); },
                                      key)
                   ? 1
                   : 0;
    });
}

Py_ssize_t length(PyObject* self) {
    return guarded<Py_ssize_t>(-1, [&] {
        return static_cast<Py_ssize_t>(
            self_of(self).value_of([](const View& view) { return view.try_size(); }));
    });
}

/// get(key, default=None): written for speed, as a method of the type itself.
PyObject* get_or_default(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
        PyObject* fallback = Py_None;
        if (count == 2 && names == nullptr) {
            fallback = arguments[1];
        } else if (count == 1 && names != nullptr && PyTuple_GET_SIZE(names) == 1 &&
                   PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "default") == 0) {
            fallback = arguments[1];
        } else if (count != 1 || names != nullptr) {
            PyErr_SetString(PyExc_TypeError, "get() takes a key, and a default");
            return nullptr;
        }
        return received_again(self_of(self), arguments[0], find, fallback).release().ptr();
    });
}

PyMethodDef fast_methods[] = {
    {"get", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(get_or_default)),
     METH_FASTCALL | METH_KEYWORDS,
     "get($self, key, default=None)\n--\n\nThe value of a key, or the default if there is no such key. Never "
     "waits "
     "for a key to come."},
    {nullptr, nullptr, 0, nullptr}};

/// What was taken. If it cannot be read here it is put back, as if it had not been taken; the error is in
/// doubt where that fails.
py::object read_or_put_back(PyDictionary& self, KeyBytes key, ReceivedValue& value) {
    const bool may_fail = !value.is_in_object() && (value.type() & 0xff00) != type_array;
    if (!may_fail) return self.read(Operation::pop, key, {}, [&] { return self.reader().object_of(value); });
    try {
        const auto copy = [&] { return self.reader().object_of(value.bytes(), value.type()); };
        return self.read(Operation::pop, key, {}, copy);
    } catch (py::error_already_set& error) {
        const Result<bool> back = self.call([&](const View& view) {
            return view.put_bytes_if(PutCondition::absent, key, value.bytes(), value.type());
        });
        if (!back.has_value()) error.value().attr("in_doubt") = true;
        throw;
    }
}

py::object pop(PyDictionary& self, const py::object& key, const py::args& fallback) {
    if (fallback.size() > 1) throw py::type_error("pop() takes a key, and a default");
    const KeyArgument bytes(key.ptr());
    ReceivedValue value;
    const Result<void> got = self.call([&](const View& view) {
        return (fallback.empty() ? view : view.at_once()).pop_bytes(bytes.view(), value);
    });
    if (got) return read_or_put_back(self, bytes.view(), value);
    if (!fallback.empty() && got.error().code == Errc::not_found) return fallback[0];
    raise(got.error(), key);
}

Result<bool> put_if(const View& view, PutCondition condition, KeyBytes key, ValueArgument& value) {
    if (value.is_in_pieces()) return view.put_parts_if(condition, key, value.parts(), value.type());
    return view.put_bytes_if(condition, key, value.bytes(), value.type());
}

/// Atomic: of all who call it at once, one stores its own, and all return that.
py::object set_default(PyDictionary& self, const py::object& key, const py::object& value) {
    const KeyArgument bytes(key.ptr());
    ValueArgument stored(value.ptr(), self.recipe().allow_pickle);
    for (;;) {
        const bool is_ours = self.value_of(
            [&](const View& view) { return put_if(view, PutCondition::absent, bytes.view(), stored); }, key);
        if (is_ours) return value;
        // Gone again in between: then ours may be stored after all.
        static PyObject* const nothing = PyObject_CallNoArgs(reinterpret_cast<PyObject*>(&PyBaseObject_Type));
        py::object found = received_again(self, key.ptr(), find, nothing);
        if (found.ptr() != nothing) return found;
    }
}

bool put_if(PyDictionary& self, PutCondition condition, const py::object& key, const py::object& value) {
    const KeyArgument bytes(key.ptr());
    ValueArgument stored(value.ptr(), self.recipe().allow_pickle);
    return self.value_of([&](const View& view) { return put_if(view, condition, bytes.view(), stored); },
                         key);
}

py::object type_and_size(PyDictionary& self, const py::object& key) {
    const KeyArgument bytes(key.ptr());
    const std::optional<ValueInfo> info =
        self.value_of([&](const View& view) { return view.type_and_size_bytes(bytes.view()); }, key);
    if (!info) return py::none();
    return py::make_tuple(info->type, info->bytes);
}

/// As bytes, whatever it is.
py::object get_typed(PyDictionary& self, const py::object& key) {
    const KeyArgument bytes(key.ptr());
    ReceivedValue value;
    self.value_of([&](const View& view) { return view.get_bytes(bytes.view(), value); }, key);
    return make_typed_value(value.type(), value.bytes());
}

}  // namespace

void refuse_new(PyHeapTypeObject* type) {
    type->ht_type.tp_new = [](PyTypeObject* made, PyObject*, PyObject*) -> PyObject* {
        PyErr_Format(PyExc_TypeError,
                     "a %s cannot be made this way: ddict.attach() and ddict.create() give a Dictionary",
                     made->tp_name);
        return nullptr;
    };
}

void set_mapping_slots(PyHeapTypeObject* type) {
    refuse_new(type);
    type->as_mapping.mp_subscript = subscript;
    type->as_mapping.mp_ass_subscript = assign_subscript;
    type->as_mapping.mp_length = length;
    type->as_sequence.sq_contains = contains;
    type->ht_type.tp_methods = fast_methods;
}

void bind_mapping(DictionaryClass& dictionary) {
    dictionary
        .def("pop", pop, py::arg("key"),
             "pop(key, [default]): removes a key and returns its value: of all who call it at once, one gets "
             "it. "
             "KeyError, or the default, if there is no such key.")
        .def("type_and_size", type_and_size, py::arg("key"),
             "The type number of a value (docs/values.md) and how many bytes it has, without the value; None "
             "if there "
             "is no such key.")
        .def("get_typed", get_typed, py::arg("key"),
             "A value as a TypedValue: its type number and its bytes, unread.")
        .def("setdefault", set_default, py::arg("key"), py::arg("default") = py::none(),
             "The value of a key; if there is none, stores the default and returns it. Atomic.")
        .def(
            "put",
            [](PyDictionary& self, const py::object& key, const py::object& value) {
                put(self, key.ptr(), value.ptr());
            },
            py::arg("key"), py::arg("value"), "d[key] = value, as a method.")
        .def(
            "put_if_absent",
            [](PyDictionary& self, const py::object& key, const py::object& value) {
                return put_if(self, PutCondition::absent, key, value);
            },
            py::arg("key"), py::arg("value"),
            "Stores a pair only if there is no such key; says whether it did.")
        .def(
            "put_if_present",
            [](PyDictionary& self, const py::object& key, const py::object& value) {
                return put_if(self, PutCondition::present, key, value);
            },
            py::arg("key"), py::arg("value"),
            "Stores a pair only if there is such a key; says whether it did.")
        .def(
            "erase", [](PyDictionary& self, const py::object& key) { return erase(self, key.ptr()); },
            py::arg("key"), "Removes a key; says whether it was there. The value is not sent.")
        .def(
            "clear",
            [](PyDictionary& self) { self.value_of([](const View& view) { return view.try_clear(); }); },
            "Removes all pairs. Not atomic: what others put meanwhile may stay.");
}

}  // namespace ddict::python
