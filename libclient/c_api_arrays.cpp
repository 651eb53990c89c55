// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The C API's arrays: the element type is known at run time only.
#include <ddict/array.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "base/host_memory.h"
#include "libclient/c_api.h"

using namespace ddict;
using c_api::Bytes;
using c_api::given;
using c_api::on_key;
using detail::ArrayHeader;

namespace {

Result<std::size_t> bytes_of_element(int element) {
    switch (element) {
        case DDICT_INT8:
        case DDICT_UINT8:
        case DDICT_BOOL:
            return std::size_t{1};
        case DDICT_INT16:
        case DDICT_UINT16:
        case DDICT_INT32:
        case DDICT_UINT32:
        case DDICT_INT64:
        case DDICT_UINT64:
        case DDICT_FLOAT32:
        case DDICT_FLOAT64:
        case DDICT_COMPLEX64:
        case DDICT_COMPLEX128:
            return std::size_t{1} << (element & 15);
        default:
            return Error(Errc::invalid_argument,
                         "element " + std::to_string(element) +
                             " is no number of a known size: one is written DDICT_FLOAT64, without "
                             "DDICT_SCALAR or DDICT_ARRAY");
    }
}

std::uint16_t array_type(int element) {
    return static_cast<std::uint16_t>(type_array | element);
}

Result<Shape> shape_of(std::uint32_t rank, const std::uint64_t* shape, std::size_t element_bytes) {
    if (rank > array_rank_max)
        return Error(Errc::invalid_argument,
                     "an array has at most 8 dimensions, not " + std::to_string(rank));
    if (rank > 0) {
        if (const Result<void> good = given({{shape, "shape"}}); !good) return good.error();
    }
    return Shape::of({shape, rank}, element_bytes);
}

/// The array that a value is; it must outlive it.
ddict_array array_at(const void* value, const Shape& shape, int element) {
    ddict_array array{};
    array.data = static_cast<std::byte*>(const_cast<void*>(value)) + ArrayHeader::bytes(shape.rank());
    array.count = shape.size();
    array.element = static_cast<std::uint32_t>(element);
    array.rank = static_cast<std::uint32_t>(shape.rank());
    std::copy(shape.extents().begin(), shape.extents().end(), array.shape);
    return array;
}

}  // namespace

int ddict_put_array(ddict_dictionary* dictionary, ddict_key key, int element, uint32_t rank,
                    const uint64_t* shape, const void* data, ddict_error* error) {
    return on_key(Operation::put, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        const Result<std::size_t> element_bytes = bytes_of_element(element);
        if (!element_bytes) return element_bytes.error();
        const Result<Shape> checked = shape_of(rank, shape, *element_bytes);
        if (!checked) return checked.error();
        const std::size_t header = ArrayHeader::bytes(rank);
        const std::size_t data_bytes = static_cast<std::size_t>(checked->size()) * *element_bytes;
        if (const Result<void> good = c_api::check({data, data_bytes}, "data"); !good) return good;
        if (!detail::can_be_read({static_cast<const std::byte*>(data), data_bytes}))
            return view.name_error(no_host_memory_to_send(), Operation::put, k);
        const auto value = std::make_unique_for_overwrite<std::byte[]>(header + data_bytes);
        ArrayHeader::write({value.get(), header}, *checked, *element_bytes);
        if (data_bytes > 0) std::memcpy(value.get() + header, data, data_bytes);
        return view.put_bytes(k, {value.get(), header + data_bytes}, array_type(element));
    });
}

int ddict_get_array(ddict_dictionary* dictionary, ddict_key key, int element, ddict_array* array,
                    ddict_error* error) {
    return on_key(Operation::get, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        if (const Result<void> good = given({{array, "array"}}); !good) return good;
        const Result<std::size_t> element_bytes = bytes_of_element(element);
        if (!element_bytes) return element_bytes.error();
        c_api::MallocSink sink(array_type(element));
        if (const Result<void> got = view.get_bytes(k, sink); !got) return got;
        const Result<Shape> shape = ArrayHeader::read(sink.bytes(), *element_bytes);
        if (!shape) return view.name_error(shape.error(), Operation::get, k);
        const ddict_value value = sink.release();
        *array = array_at(value.data, *shape, element);
        array->memory = value.data;
        return {};
    });
}

int ddict_get_array_into(ddict_dictionary* dictionary, ddict_key key, int element, uint32_t rank,
                         const uint64_t* shape, void* data, ddict_error* error) {
    return on_key(Operation::get, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        const Result<std::size_t> element_bytes = bytes_of_element(element);
        if (!element_bytes) return element_bytes.error();
        const Result<Shape> expected = shape_of(rank, shape, *element_bytes);
        if (!expected) return expected.error();
        const std::size_t data_bytes = static_cast<std::size_t>(expected->size()) * *element_bytes;
        if (const Result<void> good = c_api::check({data, data_bytes}, "data"); !good) return good;
        if (const Result<void> good = detail::check_target({static_cast<const std::byte*>(data), data_bytes});
            !good)
            return view.name_error(good.error(), Operation::get, k);
        c_api::MallocSink sink(array_type(element));
        if (const Result<void> got = view.get_bytes(k, sink); !got) return got;
        const Result<Shape> stored = ArrayHeader::read(sink.bytes(), *element_bytes);
        if (!stored) return view.name_error(stored.error(), Operation::get, k);
        if (*stored != *expected) {
            const Error other_shape(Errc::wrong_type, "stored: array of " + stored->text() +
                                                          ", asked: array of " + expected->text());
            return view.name_error(other_shape, Operation::get, k);
        }
        if (data_bytes > 0) std::memcpy(data, sink.bytes().data() + ArrayHeader::bytes(rank), data_bytes);
        return {};
    });
}

int ddict_array_in(ddict_slice value, uint16_t type, int element, ddict_array* array, ddict_error* error) {
    return c_api::guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{array, "array"}}); !good) return good;
        if (const Result<void> good = c_api::check(value, "value"); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        const Result<std::size_t> element_bytes = bytes_of_element(element);
        if (!element_bytes) return element_bytes.error();
        if (const Result<void> fits = detail::check_type(type, array_type(element)); !fits) return fits;
        const Result<Shape> shape = ArrayHeader::read(c_api::bytes_of(value), *element_bytes);
        if (!shape) return shape.error();
        *array = array_at(value.data, *shape, element);
        return {};
    });
}

void ddict_array_free(ddict_array* array) {
    if (array == nullptr) return;
    ddict_free(array->memory);
    *array = {};
}
