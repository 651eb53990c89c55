// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// From bytes to objects. The bytes may be anybody's: nothing in them is trusted.
#include <ddict/record.h>

#include <algorithm>
#include <complex>
#include <string>

#include "bindings/python/arrays.h"
#include "bindings/python/dictionary.h"
#include "bindings/python/errors.h"
#include "bindings/python/keys.h"
#include "bindings/python/typed.h"
#include "bindings/python/values.h"

namespace ddict::python {
namespace {

using Bytes = std::span<const std::byte>;

[[noreturn]] void refuse(const std::string& why) {
    raise(Error(Errc::wrong_type, why));
}

py::object steal(PyObject* object) {
    if (object == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(object);
}

PyObject* as_object(double number) {
    return PyFloat_FromDouble(number);
}
PyObject* as_object(std::int64_t number) {
    return PyLong_FromLongLong(number);
}
PyObject* as_object(std::uint64_t number) {
    return PyLong_FromUnsignedLongLong(number);
}
PyObject* as_object(std::complex<double> number) {
    return PyComplex_FromDoubles(number.real(), number.imag());
}

/// Calls f with a value of the C++ type of an element; false if Python has none for it.
template <class F>
bool with_element(std::uint16_t element, F&& f) {
    switch (element) {
        case 0x10:
            return f(std::int8_t{}, std::int64_t{}), true;
        case 0x11:
            return f(std::int16_t{}, std::int64_t{}), true;
        case 0x12:
            return f(std::int32_t{}, std::int64_t{}), true;
        case 0x13:
            return f(std::int64_t{}, std::int64_t{}), true;
        case 0x20:
            return f(std::uint8_t{}, std::uint64_t{}), true;
        case 0x21:
            return f(std::uint16_t{}, std::uint64_t{}), true;
        case 0x22:
            return f(std::uint32_t{}, std::uint64_t{}), true;
        case 0x23:
            return f(std::uint64_t{}, std::uint64_t{}), true;
        case 0x32:
            return f(float{}, double{}), true;
        case 0x33:
            return f(double{}, double{}), true;
        case 0x53:
            return f(std::complex<float>{}, std::complex<double>{}), true;
        case 0x54:
            return f(std::complex<double>{}, std::complex<double>{}), true;
        default:
            return false;
    }
}

py::object integer_of(Bytes bytes, bool is_signed) {
    const py::bytes data(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return py::handle(reinterpret_cast<PyObject*>(&PyLong_Type))
        .attr("from_bytes")(data, "little", py::arg("signed") = is_signed);
}

py::object scalar_of(Bytes bytes, std::uint16_t element) {
    if (element == 0x14 || element == 0x24) {
        if (bytes.size() != 16) refuse("the value has not the size of its number");
        return integer_of(bytes, element == 0x14);
    }
    if (element == 0x40) {
        if (bytes.size() != 1) refuse("the value has not the size of a bool");
        return py::bool_(bytes[0] != std::byte{0});
    }
    py::object object;
    const bool known = with_element(element, [&](auto stored, auto wide) {
        if (bytes.size() != sizeof stored) refuse("the value has not the size of its number");
        std::memcpy(&stored, bytes.data(), sizeof stored);
        object = steal(as_object(static_cast<decltype(wide)>(stored)));
    });
    return known ? object : make_typed_value(static_cast<std::uint16_t>(type_scalar | element), bytes);
}

py::object elements_of(Bytes bytes, std::uint16_t element) {
    if (element == 0x40) {
        py::list list(bytes.size());
        for (std::size_t i = 0; i < bytes.size(); ++i)
            list[i] = py::bool_(bytes[i] != std::byte{0});
        return list;
    }
    py::object object;
    const bool known = with_element(element, [&](auto stored, auto wide) {
        if (bytes.size() % sizeof stored != 0)
            refuse("the size of the vector is no multiple of its elements'");
        const std::size_t count = bytes.size() / sizeof stored;
        object = steal(PyList_New(static_cast<Py_ssize_t>(count)));
        for (std::size_t i = 0; i < count; ++i) {
            std::memcpy(&stored, bytes.data() + i * sizeof stored, sizeof stored);
            PyObject* const item = as_object(static_cast<decltype(wide)>(stored));
            if (item == nullptr) throw py::error_already_set();
            PyList_SET_ITEM(object.ptr(), static_cast<Py_ssize_t>(i), item);
        }
    });
    return known ? object : make_typed_value(static_cast<std::uint16_t>(type_vector | element), bytes);
}

py::object date_of(Bytes bytes) {
    const py::object date = py::module_::import("ddict._values").attr("date_of")(text_of(bytes));
    if (date.is_none()) refuse("the value is no date and time of ISO 8601");
    return date;
}

/// Bounds how deep values may lie in each other, which anybody may have written.
class Depth {
  public:
    Depth() {
        if (Py_EnterRecursiveCall(" while reading a value") != 0) throw py::error_already_set();
    }
    ~Depth() { Py_LeaveRecursiveCall(); }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
};

}  // namespace

py::object ValueReader::object_of(Bytes bytes, std::uint16_t type, const py::object& owner) const {
    const auto chars = reinterpret_cast<const char*>(bytes.data());
    const auto size = static_cast<Py_ssize_t>(bytes.size());
    if (type == type_text) return steal(PyUnicode_DecodeUTF8(chars, size, "surrogateescape"));
    if (type == type_bytes) return steal(PyBytes_FromStringAndSize(chars, size));
    const auto element = static_cast<std::uint16_t>(type & 0xff);
    switch (type & 0xff00) {
        case type_scalar:
            return scalar_of(bytes, element);
        case type_vector:
            return elements_of(bytes, element);
        case type_array:
            return array_of(bytes, element, owner);
        default:
            break;
    }
    switch (type) {
        case type_list:
            return list_of(bytes, owner);
        case type_record:
            return tuple_of(bytes, owner);
        case type_map:
            return dict_of(bytes, owner);
        case type_none:
            return py::none();
        case type_large_integer:
            return integer_of(bytes, true);
        case type_datetime:
            return date_of(bytes);
        case type_numpy_array:
            return numpy_array_of(bytes, owner);
        case type_pickle:
            return unpickled(bytes, owner);
        default:
            return make_typed_value(type, bytes);
    }
}

py::object ValueReader::object_of(ReceivedValue& value) const {
    if (value.is_in_object()) return value.take_object();
    if (value.is_small()) return object_of(value.bytes(), value.type());
    const std::uint16_t kind = value.type() & 0xff00;
    const bool may_stay = kind == type_array || kind >= type_list;
    if (!may_stay || value.type() >= type_structure) return object_of(value.bytes(), value.type());
    const Bytes bytes = value.bytes();
    return object_of(bytes, value.type(), owner_of(value.take_memory()));
}

py::object ValueReader::list_of(Bytes bytes, const py::object& owner) const {
    const Depth depth;
    const Result<detail::ListHeader> header = detail::ListHeader::read(bytes);
    if (!header) raise(header.error());
    py::list items;
    std::size_t at = detail::aligned(detail::ListHeader::bytes + header->count * 8);
    for (std::size_t i = 0; i < header->count; ++i) {
        if (!detail::is_packed(header->item_type)) at = detail::aligned(at);
        const auto length = detail::number_at<std::uint64_t>(bytes, detail::ListHeader::bytes + i * 8);
        if (at > bytes.size() || length > bytes.size() - at)
            refuse("an item of the list reaches beyond its end");
        items.append(object_of(bytes.subspan(at, length), header->item_type, owner));
        at += length;
    }
    return items;
}

py::object ValueReader::tuple_of(Bytes bytes, const py::object& owner) const {
    const Depth depth;
    Reader in(bytes);
    py::list fields;
    while (in.more()) {
        const Reader::Field field = in.next_field();
        if (in.good()) fields.append(object_of(field.bytes, field.type, owner));
    }
    if (const Result<bool> good = in.finish(true); !good.has_value()) raise(good.error());
    return py::tuple(fields);
}

py::object ValueReader::dict_of(Bytes bytes, const py::object& owner) const {
    const Depth depth;
    const py::tuple fields = tuple_of(bytes, owner);
    if (fields.size() != 2 || !py::isinstance<py::list>(fields[0]) || !py::isinstance<py::list>(fields[1]))
        refuse("the value is no map: not two lists of keys and values");
    const py::list keys = fields[0];
    const py::list values = fields[1];
    if (keys.size() != values.size()) refuse("the map has another number of keys than of values");
    py::dict dict;
    for (std::size_t i = 0; i < keys.size(); ++i)
        dict[keys[i]] = values[i];
    return dict;
}

py::object ValueReader::unpickled(Bytes bytes, const py::object& owner) const {
    if (!allow_pickle) refuse("the value is a pickle, which allow_pickle=False refuses to read");
    if (!owner) {
        Memory memory(bytes.size());
        std::copy(bytes.begin(), bytes.end(), memory.data());
        const Bytes copied = memory.bytes();
        return unpickled(copied, owner_of(std::move(memory)));
    }
    // Each buffer is a part of the owner's, which stays for as long as one of them does.
    const auto all = steal(PyMemoryView_FromObject(owner.ptr()));
    const auto* const begin = static_cast<const std::byte*>(PyMemoryView_GET_BUFFER(all.ptr())->buf);
    const auto part = [&](Bytes field) -> py::object {
        const auto offset = field.data() - begin;
        return all[py::slice(offset, offset + static_cast<std::ptrdiff_t>(field.size()), 1)];
    };
    Reader in(bytes);
    const Reader::Field stream = in.next_field();
    py::list buffers;
    while (in.more()) {
        const Reader::Field field = in.next_field();
        if (in.good()) buffers.append(part(field.bytes));
    }
    if (const Result<bool> good = in.finish(true); !good.has_value()) raise(good.error());
    return py::module_::import("ddict._values").attr("loads")(part(stream.bytes), buffers);
}

py::object owner_of(Memory memory) {
    return py::cast(std::move(memory));
}

void bind_memory(py::module_& module) {
    py::class_<Memory>(module, "_Memory", py::buffer_protocol(), py::module_local(),
                       py::custom_type_setup(refuse_new))
        .def_buffer([](Memory& memory) {
            return py::buffer_info(reinterpret_cast<unsigned char*>(memory.data()),
                                   static_cast<py::ssize_t>(memory.size()), false);
        });
}

}  // namespace ddict::python
