// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// From objects to bytes.
#include <ddict/record.h>

#include <algorithm>
#include <complex>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "bindings/python/arrays.h"
#include "bindings/python/errors.h"
#include "bindings/python/keys.h"
#include "bindings/python/typed.h"
#include "bindings/python/values.h"

namespace ddict::python {
namespace {

using Bytes = std::span<const std::byte>;
using Complex = std::complex<double>;

constexpr int depth_max = 16;  // of containers in each other; what is deeper, or within itself, is pickled

std::uint16_t number(int type) {
    return static_cast<std::uint16_t>(type);
}

bool is_type(PyObject* object, const char* module, const char* name) {
    const PyTypeObject* const type = Py_TYPE(object);
    const std::string_view full = type->tp_name;
    const std::string_view of(module);
    return full.size() == of.size() + 1 + std::strlen(name) && full.starts_with(of) && full.ends_with(name);
}

py::object owned(PyObject* object) {
    return py::reinterpret_borrow<py::object>(object);
}

/// How often the parts of one value may be written once more because several others hold them. A pickle
/// writes each once, and so it has no more than a value has: ten lists that each hold the one before ten
/// times are 10^10 items.
class Repeats {
  public:
    /// Of a part with so many items; false if it has been written before, and that was once too often.
    bool may_write(PyObject* part, std::size_t items) {
        // What only its container and this holds is written once.
        if (Py_REFCNT(part) <= 2 || written_.insert(part).second) return true;
        left_ -= std::min(left_, items + 1);
        return left_ != 0;
    }

  private:
    std::unordered_set<const PyObject*> written_;
    std::size_t left_ = std::size_t{1} << 20;
};

/// Values that are no pickle, of any depth.
class Encoder {
  public:
    explicit Encoder(Repeats& repeats) : repeats_(repeats) {}
    Pieces take() { return std::move(out_); }

    /// The type, or nothing if there is no form for it but a pickle. What was appended then is of no use.
    std::optional<std::uint16_t> append(PyObject* value, int depth = 0) {
        if (depth > depth_max) return std::nullopt;
        if (PyUnicode_CheckExact(value)) return append_text(value);
        if (PyBytes_CheckExact(value))
            return append_bytes(value, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
        if (PyLong_CheckExact(value)) return append_integer(value);
        if (PyFloat_CheckExact(value)) return append_scalar(PyFloat_AS_DOUBLE(value));
        if (PyBool_Check(value)) return append_scalar(value == Py_True);
        if (value == Py_None) return type_none;
        if (PyComplex_CheckExact(value)) return append_scalar(complex_of(value));
        if (PyList_CheckExact(value))
            return append_part(value, PyList_GET_SIZE(value), depth, &Encoder::append_list);
        if (PyTuple_CheckExact(value))
            return append_part(value, PyTuple_GET_SIZE(value), depth, &Encoder::append_tuple);
        if (PyDict_CheckExact(value))
            return append_part(value, PyDict_GET_SIZE(value), depth, &Encoder::append_dict);
        if (is_array(value)) return append_array(bytes_of_array(py::reinterpret_borrow<py::array>(value)));
        return append_rare(value);
    }

  private:
    static Complex complex_of(PyObject* value) {
        return {PyComplex_RealAsDouble(value), PyComplex_ImagAsDouble(value)};
    }

    template <class T>
    std::uint16_t append_scalar(T value) {
        out_.append_number(value);
        return Codec<T>::type;
    }
    std::uint16_t append_bytes(PyObject* owner, const void* data, Py_ssize_t size) {
        out_.append({static_cast<const std::byte*>(data), static_cast<std::size_t>(size)}, owned(owner));
        return type_bytes;
    }
    std::optional<std::uint16_t> append_text(PyObject* value) {
        Py_ssize_t size = 0;
        if (const char* text = PyUnicode_AsUTF8AndSize(value, &size)) {
            append_bytes(value, text, size);
            return type_text;
        }
        const auto bytes = bytes_of_surrogates(value);
        if (!bytes) return std::nullopt;
        out_.append(*bytes);
        return type_text;
    }
    std::optional<std::uint16_t> append_integer(PyObject* value) {
        int overflow = 0;
        const long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow == 0) return append_scalar(std::int64_t{small});
        if (overflow > 0) {
            const unsigned long long large = PyLong_AsUnsignedLongLong(value);
            if (PyErr_Occurred() == nullptr) return append_scalar(std::uint64_t{large});
            PyErr_Clear();
        }
        // Its sign is the highest bit.
        const auto bits = py::handle(value).attr("bit_length")().cast<std::size_t>();
        const py::bytes bytes =
            py::handle(value).attr("to_bytes")(bits / 8 + 1, "little", py::arg("signed") = true);
        append_bytes(bytes.ptr(), PyBytes_AS_STRING(bytes.ptr()), PyBytes_GET_SIZE(bytes.ptr()));
        return type_large_integer;
    }
    std::optional<std::uint16_t> append_array(const std::optional<ArrayBytes>& array) {
        if (!array) return std::nullopt;
        out_.append(array->header);
        out_.append(array->elements, array->owner);
        return array->type;
    }

    using AppendPart = std::optional<std::uint16_t> (Encoder::*)(PyObject*, int);
    std::optional<std::uint16_t> append_part(PyObject* part, Py_ssize_t items, int depth, AppendPart write) {
        if (!repeats_.may_write(part, static_cast<std::size_t>(items))) return std::nullopt;
        return (this->*write)(part, depth);
    }
    std::optional<std::uint16_t> append_list(PyObject* list, int depth) {
        const Py_ssize_t count = PyList_GET_SIZE(list);
        if (count == 0) return append_items({}, type_bytes);
        PyTypeObject* const type = Py_TYPE(PyList_GET_ITEM(list, 0));
        for (Py_ssize_t i = 1; i < count; ++i) {
            if (Py_TYPE(PyList_GET_ITEM(list, i)) != type) return std::nullopt;
        }
        if (type == &PyFloat_Type) return append_elements<double>(list, PyFloat_AsDouble);
        if (type == &PyLong_Type) return append_integers(list);
        if (type == &PyBool_Type)
            return append_elements<bool>(list, [](PyObject* item) { return item == Py_True; });
        if (type == &PyComplex_Type) return append_elements<Complex>(list, complex_of);
        std::vector<Pieces> items(static_cast<std::size_t>(count));
        std::optional<std::uint16_t> item_type;
        for (std::size_t i = 0; i < items.size(); ++i) {
            // An item may be another by now: encoding runs code of the program's.
            if (PyList_GET_SIZE(list) != count) return std::nullopt;
            const py::object item = owned(PyList_GET_ITEM(list, static_cast<Py_ssize_t>(i)));
            Encoder encoder(repeats_);
            const auto found = encoder.append(item.ptr(), depth + 1);
            if (!found || (item_type && *found != *item_type)) return std::nullopt;
            item_type = found;
            items[i] = encoder.take();
        }
        return append_items(std::move(items), *item_type);
    }
    std::uint16_t append_items(std::vector<Pieces> items, std::uint16_t item_type) {
        out_.append_number(std::uint64_t{item_type});
        out_.append_number(std::uint64_t{items.size()});
        for (const Pieces& item : items)
            out_.append_number(std::uint64_t{item.size()});
        out_.pad();
        for (Pieces& item : items) {
            if (!detail::is_packed(item_type)) out_.pad();
            out_.append(std::move(item));
        }
        return type_list;
    }
    template <class T, class F>
    std::uint16_t append_elements(PyObject* list, F value_of) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i)
            out_.append_number(static_cast<T>(value_of(PyList_GET_ITEM(list, i))));
        return number(type_vector | element_type<T>());
    }
    std::optional<std::uint16_t> append_integers(PyObject* list) {
        bool is_signed = true;
        bool is_unsigned = true;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
            int overflow = 0;
            const long long small = PyLong_AsLongLongAndOverflow(PyList_GET_ITEM(list, i), &overflow);
            if (overflow != 0) is_signed = false;
            if (overflow < 0 || (overflow == 0 && small < 0)) is_unsigned = false;
            if (overflow <= 0) continue;
            PyLong_AsUnsignedLongLong(PyList_GET_ITEM(list, i));
            if (PyErr_Occurred() != nullptr) is_unsigned = false;
            PyErr_Clear();
        }
        if (is_signed) return append_elements<std::int64_t>(list, PyLong_AsLongLong);
        if (is_unsigned) return append_elements<std::uint64_t>(list, PyLong_AsUnsignedLongLong);
        return std::nullopt;
    }

    std::optional<std::uint16_t> append_tuple(PyObject* tuple, int depth) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
            Encoder field(repeats_);
            const auto type = field.append(PyTuple_GET_ITEM(tuple, i), depth + 1);
            if (!type) return std::nullopt;
            append_field(*type, field.take());
        }
        return type_record;
    }
    void append_field(std::uint16_t type, Pieces bytes) {
        out_.pad();
        out_.append_number(std::uint64_t{type});
        out_.append_number(std::uint64_t{bytes.size()});
        out_.append(std::move(bytes));
    }
    /// All keys, then all values.
    std::optional<std::uint16_t> append_dict(PyObject* dict, int depth) {
        for (PyObject* (*const items)(PyObject*) : {PyDict_Keys, PyDict_Values}) {
            const auto list = py::reinterpret_steal<py::object>(items(dict));
            if (!list) throw py::error_already_set();
            Encoder encoder(repeats_);
            const auto type = encoder.append_list(list.ptr(), depth + 1);
            if (!type) return std::nullopt;
            append_field(*type, encoder.take());
        }
        return type_map;
    }

    std::optional<std::uint16_t> append_rare(PyObject* value) {
        if (Py_TYPE(value) == typed_value_class()) {
            const TypedBytes typed(value);
            out_.append(typed.bytes(), typed.owner());
            return typed.type();
        }
        if (is_type(value, "datetime", "datetime")) return append_date(value);
        if (is_numpy_scalar(value)) {
            if (PyUnicode_Check(value) || PyBytes_Check(value))
                return append(owned(value).attr("item")().ptr());
            return append_array(bytes_of_numpy_scalar(value));
        }
        return append_buffer(value);
    }
    std::optional<std::uint16_t> append_date(PyObject* value) {
        const py::object text = py::module_::import("ddict._values").attr("date_text")(py::handle(value));
        if (text.is_none() || !append_text(text.ptr())) return std::nullopt;
        return type_datetime;
    }
    /// Bytes and arrays of others.
    std::optional<std::uint16_t> append_buffer(PyObject* value) {
        const bool is_array_of_module = is_type(value, "array", "array");
        const bool plain = PyByteArray_CheckExact(value) || PyMemoryView_Check(value) || is_array_of_module ||
                           is_type(value, "mmap", "mmap") || is_type(value, "pickle", "PickleBuffer");
        const py::object object = owned(value);
        if (!plain) {
            if (PyType_Check(value) || !py::hasattr(object, "__dlpack__") || is_array_class(value))
                return std::nullopt;
            return append_array(array_in(value));
        }
        const auto view = py::reinterpret_steal<py::object>(PyMemoryView_FromObject(value));
        if (!view) throw py::error_already_set();
        const Py_buffer* const buffer = PyMemoryView_GET_BUFFER(view.ptr());
        const std::string_view format = buffer->format == nullptr ? "B" : buffer->format;
        if (format != "B" && format != "b" && format != "c") return append_array(array_in(view.ptr()));
        if (PyBuffer_IsContiguous(buffer, 'C') == 0) {
            const py::bytes copy = view.attr("tobytes")();
            return append_bytes(copy.ptr(), PyBytes_AS_STRING(copy.ptr()), PyBytes_GET_SIZE(copy.ptr()));
        }
        return append_bytes(view.ptr(), buffer->buf, buffer->len);
    }
    static bool is_array_class(PyObject* value) {
        const py::object numpy = py::module_::import("sys").attr("modules").attr("get")("numpy");
        return !numpy.is_none() && py::isinstance(py::handle(value), numpy.attr("ndarray"));
    }
    static std::optional<ArrayBytes> array_in(PyObject* value) {
        const py::object array = array_from(value);
        if (!array || !is_array(array.ptr())) return std::nullopt;
        return bytes_of_array(py::reinterpret_borrow<py::array>(array));
    }

    Repeats& repeats_;
    Pieces out_;
};

/// A record: the pickle, then its buffers.
Pieces pickle_of(PyObject* value) {
    py::tuple pickled;
    try {
        pickled = py::module_::import("ddict._values").attr("dumps")(py::handle(value));
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError)) throw;
        error.restore();
        raise_type_error(
            std::string("a value of type '") + Py_TYPE(value)->tp_name +
            "' cannot be stored: it is none of the types that have a form of their own, and cannot be "
            "pickled");
    }
    Pieces out;
    const auto append = [&](const py::object& owner, const void* data, Py_ssize_t size) {
        out.pad();
        out.append_number(std::uint64_t{type_bytes});
        out.append_number(static_cast<std::uint64_t>(size));
        out.append({static_cast<const std::byte*>(data), static_cast<std::size_t>(size)}, owner);
    };
    const py::object stream = pickled[0];
    append(stream, PyBytes_AS_STRING(stream.ptr()), PyBytes_GET_SIZE(stream.ptr()));
    for (const py::handle view : py::list(pickled[1])) {
        const Py_buffer* const buffer = PyMemoryView_GET_BUFFER(view.ptr());
        append(py::reinterpret_borrow<py::object>(view), buffer->buf, buffer->len);
    }
    return out;
}

}  // namespace

bool ValueArgument::take_integer(PyObject* value) {
    int overflow = 0;
    const long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) return false;
    take_scalar(std::int64_t{small});
    return true;
}

/// The usual ones, without any memory of their own.
bool ValueArgument::take_plain(PyObject* value) {
    if (PyUnicode_CheckExact(value)) {
        Py_ssize_t size = 0;
        const char* const text = PyUnicode_AsUTF8AndSize(value, &size);
        if (text == nullptr) {
            PyErr_Clear();
            return false;
        }
        refer_to(text, size, type_text);
        return true;
    }
    if (PyLong_CheckExact(value)) return take_integer(value);
    if (PyFloat_CheckExact(value)) {
        take_scalar(PyFloat_AS_DOUBLE(value));
        return true;
    }
    if (PyBytes_CheckExact(value)) {
        refer_to(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), type_bytes);
        return true;
    }
    if (PyBool_Check(value)) {
        take_scalar(value == Py_True);
        return true;
    }
    if (value != Py_None) return false;
    refer_to(nullptr, 0, type_none);
    return true;
}

void ValueArgument::take_other(PyObject* value, bool allow_pickle) {
    Repeats repeats;
    Encoder encoder(repeats);
    if (const auto type = encoder.append(value)) {
        pieces_ = std::make_unique<Pieces>(encoder.take());
        type_ = *type;
        return;
    }
    if (!allow_pickle) {
        raise_type_error(std::string("a value of type '") + Py_TYPE(value)->tp_name +
                         "' would have to be pickled, or holds what would: allow_pickle=False refuses that");
    }
    pieces_ = std::make_unique<Pieces>(pickle_of(value));
    type_ = type_pickle;
}

}  // namespace ddict::python
