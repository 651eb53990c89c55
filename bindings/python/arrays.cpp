// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bindings/python/arrays.h"

#include <ddict/python_types.h>
#include <ddict/record.h>

#include <algorithm>
#include <array>
#include <string>

#include "bindings/python/errors.h"
#include "bindings/python/keys.h"
#include "bindings/python/typed.h"

namespace ddict::python {
namespace {

using Bytes = std::span<const std::byte>;

struct Element {
    std::uint16_t number;
    char kind;
    int size;
    const char* name;
};
constexpr std::array<Element, 13> elements{{{0x10, 'i', 1, "i1"},
                                            {0x11, 'i', 2, "i2"},
                                            {0x12, 'i', 4, "i4"},
                                            {0x13, 'i', 8, "i8"},
                                            {0x20, 'u', 1, "u1"},
                                            {0x21, 'u', 2, "u2"},
                                            {0x22, 'u', 4, "u4"},
                                            {0x23, 'u', 8, "u8"},
                                            {0x32, 'f', 4, "f4"},
                                            {0x33, 'f', 8, "f8"},
                                            {0x40, 'b', 1, "?"},
                                            {0x53, 'c', 8, "c8"},
                                            {0x54, 'c', 16, "c16"}}};

Bytes bytes_at(const py::array& array) {
    return {static_cast<const std::byte*>(array.data()), static_cast<std::size_t>(array.nbytes())};
}

bool is_contiguous(const py::array& array, int order) {
    return (array.flags() & order) != 0;
}

/// The same, row by row: itself, if it lies so.
py::array in_rows(const py::array& array) {
    if (is_contiguous(array, py::array::c_style)) return array;
    return py::module_::import("numpy").attr("array")(array, py::arg("order") = "C", py::arg("copy") = true);
}

std::string text_in(const py::object& text) {
    return text.cast<std::string>();
}

/// Any other element type: a record of its description, the order, the shape and the elements.
std::optional<ArrayBytes> bytes_of_other(const py::array& array, bool is_scalar) {
    if (array.itemsize() == 0) return std::nullopt;
    const py::object description = py::module_::import("ddict._values").attr("describe")(array.dtype());
    if (description.is_none()) return std::nullopt;
    const bool columns =
        !is_contiguous(array, py::array::c_style) && is_contiguous(array, py::array::f_style);
    const py::array kept = columns ? array : in_rows(array);
    const std::string order = is_scalar ? "scalar" : columns ? "F" : "C";
    std::vector<std::uint64_t> shape(static_cast<std::size_t>(kept.ndim()));
    std::transform(kept.shape(), kept.shape() + kept.ndim(), shape.begin(),
                   [](py::ssize_t extent) { return static_cast<std::uint64_t>(extent); });
    Writer out;
    out.field(text_in(description)).field(order).field(shape);
    out.field_bytes(type_bytes, {});
    ArrayBytes bytes;
    bytes.type = type_numpy_array;
    bytes.elements = bytes_at(kept);
    bytes.header = out.take();
    const std::uint64_t size = bytes.elements.size();  // of the last field, which was left empty
    std::memcpy(bytes.header.data() + bytes.header.size() - 8, &size, sizeof size);
    bytes.owner = kept;
    return bytes;
}

py::array over(const py::dtype& dtype, std::vector<py::ssize_t> shape, std::vector<py::ssize_t> strides,
               Bytes data, const py::object& owner) {
    return py::array(dtype, std::move(shape), std::move(strides), data.data(), owner);
}

/// Before numpy's types are asked for: pybind11 imports it under a lock that no other thread may wait for
/// with the interpreter's.
void need_numpy() {
    static bool is_there = false;
    if (!is_there) py::module_::import("numpy.core.multiarray");
    is_there = true;
}

Error no_array(const std::string& why) {
    return Error(Errc::wrong_type, why);
}

}  // namespace

bool is_array(PyObject* object) {
    static PyTypeObject* type = nullptr;
    if (type == nullptr) {
        if (PyDict_GetItemString(PyImport_GetModuleDict(), "numpy") == nullptr) return false;
        const auto numpy = py::module_::import("numpy");
        if (!py::hasattr(numpy, "ndarray")) return false;
        type = reinterpret_cast<PyTypeObject*>(numpy.attr("ndarray").cast<py::object>().release().ptr());
    }
    return Py_TYPE(object) == type;
}

std::uint16_t element_of(const py::dtype& dtype) {
    need_numpy();
    const char order = dtype.byteorder();
    if (order == '>' || dtype.has_fields() || !py::object(dtype.attr("subdtype")).is_none()) return 0;
    for (const Element& element : elements) {
        if (element.kind == dtype.kind() && element.size == dtype.itemsize()) return element.number;
    }
    return 0;
}

std::optional<py::dtype> dtype_of_element(std::uint16_t number) {
    static std::array<PyObject*, elements.size()> made{};
    need_numpy();
    for (std::size_t i = 0; i < elements.size(); ++i) {
        if (elements[i].number != number) continue;
        if (made[i] == nullptr) made[i] = py::dtype(elements[i].name).release().ptr();
        return py::reinterpret_borrow<py::dtype>(made[i]);
    }
    return std::nullopt;
}

std::optional<ArrayBytes> bytes_of_array(const py::array& array) {
    const std::uint16_t element = element_of(array.dtype());
    if (element == 0 || array.ndim() > static_cast<py::ssize_t>(array_rank_max))
        return bytes_of_other(array, false);
    const py::array rows = in_rows(array);
    std::array<std::uint64_t, array_rank_max> extents{};
    std::copy(rows.shape(), rows.shape() + rows.ndim(), extents.begin());
    const auto size = static_cast<std::size_t>(rows.itemsize());
    const Result<Shape> shape = Shape::of({extents.data(), static_cast<std::size_t>(rows.ndim())}, size);
    if (!shape) raise(shape.error());
    ArrayBytes bytes;
    bytes.type = type_array | element;
    bytes.header.resize(detail::ArrayHeader::bytes(shape->rank()));
    detail::ArrayHeader::write(bytes.header, *shape, size);
    bytes.elements = bytes_at(rows);
    bytes.owner = rows;
    return bytes;
}

std::optional<ArrayBytes> bytes_of_numpy_scalar(PyObject* scalar) {
    need_numpy();
    const auto array = py::array::ensure(scalar);
    if (!array) throw py::error_already_set();
    const std::uint16_t element = element_of(array.dtype());
    if (element == 0) return bytes_of_other(array, true);
    ArrayBytes bytes;
    bytes.type = type_scalar | element;
    bytes.elements = bytes_at(array);
    bytes.owner = array;
    return bytes;
}

/// What this process cannot read, as the memory of a GPU.
void require_host_memory(py::handle array) {
    if (!py::hasattr(array, "__dlpack_device__")) return;
    const py::tuple device = array.attr("__dlpack_device__")();
    const int kind = py::int_(device[0]);
    for (const int of_host : {1, 3, 11, 13})  // kDLCPU, kDLCUDAHost, kDLROCMHost, kDLCUDAManaged
        if (kind == of_host) return;
    raise(Error(Errc::invalid_argument,
                "the array is in the memory of a device (kind " + std::to_string(kind) +
                    " of DLPack), which is not shared: copy it to the host first, as tensor.cpu() does"));
}

py::object array_from(PyObject* object) {
    need_numpy();
    const py::handle given(object);
    if (py::hasattr(given, "__dlpack__")) {
        require_host_memory(given);
        return py::module_::import("numpy").attr("from_dlpack")(given);
    }
    if (PyObject_CheckBuffer(object) == 0) return {};
    const auto memory = py::reinterpret_steal<py::object>(PyMemoryView_FromObject(object));
    if (!memory) throw py::error_already_set();
    return py::module_::import("numpy").attr("asarray")(memory);
}

py::object array_of(Bytes bytes, std::uint16_t element, const py::object& owner) {
    const auto dtype = dtype_of_element(element);
    if (!dtype) return make_typed_value(static_cast<std::uint16_t>(type_array | element), bytes);
    const auto size = static_cast<std::size_t>(dtype->itemsize());
    const Result<Shape> shape = detail::ArrayHeader::read(bytes, size);
    if (!shape) raise(shape.error());
    std::vector<py::ssize_t> extents(shape->rank());
    std::vector<py::ssize_t> strides(shape->rank());
    auto stride = static_cast<py::ssize_t>(size);
    for (std::size_t i = shape->rank(); i-- > 0;) {
        extents[i] = static_cast<py::ssize_t>(shape->extent(i));
        strides[i] = stride;
        stride *= std::max<py::ssize_t>(extents[i], 1);
    }
    return over(*dtype, extents, strides, bytes.subspan(detail::ArrayHeader::bytes(shape->rank())), owner);
}

py::object elements_as_array(Bytes bytes, std::uint16_t element, const py::object& owner) {
    const auto dtype = dtype_of_element(element);
    if (!dtype) raise(no_array("numpy has no such element: " + type_in_words(type_vector | element)));
    const py::ssize_t size = dtype->itemsize();
    if (bytes.size() % static_cast<std::size_t>(size) != 0)
        raise(no_array("the size of the vector is no multiple of its elements'"));
    return over(*dtype, {static_cast<py::ssize_t>(bytes.size()) / size}, {size}, bytes, owner);
}

py::object numpy_array_of(Bytes bytes, const py::object& owner) {
    std::string description;
    std::string order;
    std::vector<std::uint64_t> shape;
    Reader in(bytes);
    in.field(description).field(order).field(shape);
    const Reader::Field data = in.next_field();
    const Result<bool> good = in.finish(true);
    if (!good.has_value()) raise(no_array(std::string("no numpy array: ") + good.error().detail.data()));
    need_numpy();
    const auto values = py::module_::import("ddict._values");
    const py::object dtype = values.attr("described")(text_of(std::as_bytes(std::span(description))));
    if (dtype.is_none()) raise(no_array("numpy has no element type " + description));
    const auto element = py::reinterpret_borrow<py::dtype>(dtype);
    // (numpy makes elements of one letter of those without any: they would lie beyond the bytes.)
    if (element.itemsize() <= 0) raise(no_array("elements without bytes: " + description));
    auto size = static_cast<std::uint64_t>(element.itemsize());
    std::vector<py::ssize_t> extents;
    std::vector<py::ssize_t> strides(shape.size());
    for (const std::uint64_t extent : shape) {
        if (extent > std::uint64_t{1} << 62 || (extent != 0 && size > (std::uint64_t{1} << 62) / extent))
            raise(no_array("the shape is too large"));
        size *= extent;
        extents.push_back(static_cast<py::ssize_t>(extent));
    }
    if (size != data.bytes.size() || shape.size() > 32)
        raise(no_array("the shape is not that of the elements"));
    py::ssize_t stride = element.itemsize();
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const std::size_t axis = order == "F" ? i : shape.size() - 1 - i;
        strides[axis] = stride;
        stride *= std::max<py::ssize_t>(extents[axis], 1);
    }
    const py::array array = over(element, extents, strides, data.bytes, owner);
    // A structured one would lie in the memory of the array, and be written to.
    if (order == "scalar") return py::object(array.attr("copy")())[py::tuple()];
    return array;
}

}  // namespace ddict::python
