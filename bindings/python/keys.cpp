// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bindings/python/keys.h"

#include <ddict/record.h>

#include <cstring>
#include <string>

#include "bindings/python/errors.h"
#include "bindings/python/typed.h"

namespace ddict::python {
namespace {

constexpr std::uint16_t type_bool = type_scalar | 0x40;

std::span<const std::byte> bytes_in(PyObject* bytes) {
    return std::as_bytes(
        std::span(PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))));
}

/// The tuple of a record's fields; nothing if a field is no key.
py::object tuple_of(std::span<const std::byte> record) {
    Reader in(record);
    py::list fields;
    while (in.more()) {
        const Reader::Field field = in.next_field();
        if (!in.good()) return {};
        if (field.type != type_record && field.bytes.size() > 0xffff) return {};
        fields.append(object_of_key(KeyBytes(field.bytes, field.type)));
    }
    return in.good() ? py::object(py::tuple(fields)) : py::object();
}

}  // namespace

py::object text_of(std::span<const std::byte> bytes) {
    PyObject* text = PyUnicode_DecodeUTF8(reinterpret_cast<const char*>(bytes.data()),
                                          static_cast<Py_ssize_t>(bytes.size()), "surrogateescape");
    if (text == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(text);
}

std::optional<std::vector<std::byte>> bytes_of_surrogates(PyObject* text) {
    PyErr_Clear();
    const auto encoded =
        py::reinterpret_steal<py::object>(PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape"));
    if (!encoded) {
        PyErr_Clear();
        return std::nullopt;
    }
    const auto bytes = bytes_in(encoded.ptr());
    if (PyUnicode_Compare(text_of(bytes).ptr(), text) != 0) return std::nullopt;
    return std::vector<std::byte>(bytes.begin(), bytes.end());
}

void KeyArgument::take(PyObject* key) {
    if (PyUnicode_Check(key)) {
        Py_ssize_t size = 0;
        if (const char* text = PyUnicode_AsUTF8AndSize(key, &size)) return refer_to(text, size, type_text);
        return take_surrogates(key);
    }
    if (PyBool_Check(key)) return keep({key == Py_True ? std::byte{1} : std::byte{0}}, type_bool);
    if (PyLong_Check(key)) return take_integer(key);
    if (PyFloat_Check(key)) return take_number(detail::NumberKey(PyFloat_AS_DOUBLE(key)).view());
    if (PyBytes_Check(key)) return refer_to(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), type_bytes);
    if (Py_TYPE(key) == typed_key_class()) return take_typed(key);
    if (PyTuple_Check(key)) return take_tuple(key);
    if (take_numpy_scalar(key)) return;
    raise_type_error(std::string("a key is a str, bytes, int, float, bool, or a tuple of these, not a '") +
                     Py_TYPE(key)->tp_name + "': use one of its attributes that is, or str() of it");
}

void KeyArgument::take_surrogates(PyObject* key) {
    auto bytes = bytes_of_surrogates(key);
    if (!bytes) {
        raise(Error(Errc::invalid_argument,
                    "the key has a lone surrogate, which UTF-8 does not have: encode it yourself, and use "
                    "the bytes"),
              key);
    }
    keep(*std::move(bytes), type_text);
}

void KeyArgument::take_integer(PyObject* key) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(key, &overflow);
    if (overflow == 0) {
        if (number == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
        return take_number(detail::NumberKey(number).view());
    }
    const unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(key) : 0;
    if (overflow > 0 && PyErr_Occurred() == nullptr) return take_number(detail::NumberKey(large).view());
    PyErr_Clear();
    raise(Error(Errc::invalid_argument,
                "a key that is an int is from -2^63 to 2^64 - 1: use str() of it, or a tuple of two"),
          key);
}

void KeyArgument::take_tuple(PyObject* key) {
    if (Py_EnterRecursiveCall(" in a key") != 0) throw py::error_already_set();
    Writer out;
    try {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i) {
            const KeyArgument item(PyTuple_GET_ITEM(key, i));
            out.field_bytes(item.type_, item.view().bytes());
        }
    } catch (...) {
        Py_LeaveRecursiveCall();
        throw;
    }
    Py_LeaveRecursiveCall();
    keep(out.take(), type_record);
}

void KeyArgument::take_typed(PyObject* key) {
    const TypedBytes typed(key);
    const auto number = detail::NumberKey::of(typed.bytes(), typed.type());
    if (number) return take_number(number->view());
    if (detail::is_number_type(typed.type()))
        raise(detail::no_number_key(typed.bytes().size(), typed.type()), key);
    keep({typed.bytes().begin(), typed.bytes().end()}, typed.type());
}

bool KeyArgument::take_numpy_scalar(PyObject* key) {
    if (!is_numpy_scalar(key)) return false;
    const auto plain = py::reinterpret_steal<py::object>(PyObject_CallMethod(key, "item", nullptr));
    if (!plain) throw py::error_already_set();
    if (is_numpy_scalar(plain.ptr()) || PyTuple_Check(plain.ptr())) return false;
    const KeyArgument number(plain.ptr());
    keep({number.view().bytes().begin(), number.view().bytes().end()}, number.type_);
    return true;
}

py::object object_of_key(KeyBytes key) {
    const auto bytes = key.bytes();
    switch (key.type()) {
        case type_text:
            return text_of(bytes);
        case type_bytes:
            return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        case type_bool:
            if (bytes.size() != 1 || bytes[0] > std::byte{1}) break;
            return py::bool_(bytes[0] != std::byte{0});
        case key_type_int64:
            if (bytes.size() == 8) return py::int_(detail::number_at<std::int64_t>(bytes, 0));
            break;
        case key_type_uint64:
            if (bytes.size() != 8 || detail::number_at<std::uint64_t>(bytes, 0) <= INT64_MAX) break;
            return py::int_(detail::number_at<std::uint64_t>(bytes, 0));
        case key_type_float64: {
            if (bytes.size() != 8) break;
            const auto number = detail::number_at<double>(bytes, 0);
            if (std::memcmp(detail::NumberKey(number).view().data(), bytes.data(), 8) != 0) break;
            return py::float_(number);
        }
        case type_record: {
            // What C++ has written with an int32 is another key than the tuple with the same number.
            const py::object tuple = tuple_of(bytes);
            if (tuple && KeyArgument(tuple.ptr()).view() == key) return tuple;
            break;
        }
        default:
            break;
    }
    return make_typed_key(key.type(), bytes);
}

}  // namespace ddict::python
