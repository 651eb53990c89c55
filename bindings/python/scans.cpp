// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Iterations over keys, values and pairs, a page at a time.
#include <ddict/iteration.h>

#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

enum class Visit { keys, values, items };

/// A prefix in the bytes that a text has as a key.
std::string prefix_in(const py::object& prefix) {
    if (!PyUnicode_Check(prefix.ptr()))
        raise_type_error(std::string("a prefix is a str, not a '") + Py_TYPE(prefix.ptr())->tp_name + "'");
    const KeyArgument text(prefix.ptr());
    const auto bytes = text.view().bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An iterator of Python. One thread at a time, which it sees to.
class Scan {
  public:
    Scan(const PyDictionary& self, Visit visit, const std::string& prefix, bool local)
        : self_(self), visit_(visit), prefix_(prefix), local_(local) {}

    py::object next() {
        if (is_running_) throw py::value_error("another thread is in this iteration");
        if (is_over_) throw py::stop_iteration();
        is_running_ = true;
        const Running running{*this};
        const bool more = self_.value_of([&](const View& view) -> Result<bool> {
            if (!cursor_) {
                cursor_.emplace(
                    view.cursor({.prefix = prefix_, .values = visit_ != Visit::keys, .local = local_}));
            }
            return cursor_->next();
        });
        if (!more) {
            is_over_ = true;
            throw py::stop_iteration();
        }
        return current();
    }

  private:
    struct Running {
        Scan& scan;
        ~Running() { scan.is_running_ = false; }
    };

    py::object current() {
        py::object key;
        if (visit_ != Visit::values) {
            key = object_of_key(KeyBytes(cursor_->key(), cursor_->key_type()));
            if (visit_ == Visit::keys) return key;
        }
        const KeyBytes bytes(cursor_->key(), cursor_->key_type());
        py::object value = self_.read(Operation::scan, bytes, {}, [&] {
            return self_.reader().object_of(cursor_->value(), cursor_->value_type());
        });
        return visit_ == Visit::values ? value : py::make_tuple(key, value);
    }

    PyDictionary self_;
    Visit visit_;
    std::string prefix_;
    bool local_;
    bool is_running_ = false;
    bool is_over_ = false;
    std::optional<Cursor> cursor_;
};

}  // namespace

void bind_scans(py::module_& module, DictionaryClass& dictionary) {
    py::class_<Scan>(module, "_Scan", py::module_local(), py::custom_type_setup(refuse_new),
                     "An iteration, a page at a time.")
        .def("__iter__", [](const py::object& self) { return self; })
        .def("__next__", &Scan::next);
    dictionary
        .def(
            "_scan",
            [](PyDictionary& self, int visit, const py::object& prefix, bool local) {
                return Scan(self, static_cast<Visit>(visit), prefix_in(prefix), local);
            },
            py::arg("visit"), py::arg("prefix"), py::arg("local"))
        .def("__iter__", [](PyDictionary& self) { return Scan(self, Visit::keys, "", false); })
        .def(
            "count_prefix",
            [](PyDictionary& self, const py::object& given) {
                const std::string prefix = prefix_in(given);
                return self.value_of([&](const View& view) { return view.try_count_prefix(prefix); });
            },
            py::arg("prefix"), "How many keys are texts that begin with this. The managers count.")
        .def(
            "erase_prefix",
            [](PyDictionary& self, const py::object& given) {
                const std::string prefix = prefix_in(given);
                return self.value_of([&](const View& view) { return view.try_erase_prefix(prefix); });
            },
            py::arg("prefix"), "Removes the keys that are texts and begin with this; returns how many.")
        .def(
            "local_len",
            [](PyDictionary& self) {
                return self.value_of([](const View& view) { return view.try_local_size(); });
            },
            "The number of pairs on the managers of this node.");
}

}  // namespace ddict::python
