// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the C API makes keys of, and reads out of them.
#include <cstring>

#include "libclient/c_api.h"

using namespace ddict;

namespace {

ddict_key number_key(const detail::NumberKey& number) {
    return {nullptr, 0, number.bits, number.type};
}

template <class Number>
bool is_number(const ddict_key& key, Number* number) noexcept {
    try {
        if (!c_api::check_key(key, "key")) return false;
        const Result<Number> read = detail::from_key<Number>(c_api::key_of(key));
        if (read && number != nullptr) *number = *read;
        return static_cast<bool>(read);
    } catch (...) {  // no memory for the text of why not
        return false;
    }
}

}  // namespace

ddict_slice ddict_text(const char* text) {
    return {text, text == nullptr ? 1 : std::strlen(text)};
}

ddict_slice ddict_bytes(const void* data, size_t bytes) {
    return {data, bytes};
}

ddict_key ddict_text_key(const char* text) {
    const ddict_slice slice = ddict_text(text);
    return {slice.data, slice.bytes, 0, type_text};
}

ddict_key ddict_integer_key(int64_t number) {
    return number_key(detail::NumberKey(number));
}

ddict_key ddict_unsigned_key(uint64_t number) {
    return number_key(detail::NumberKey(number));
}

ddict_key ddict_float_key(double number) {
    return number_key(detail::NumberKey(number));
}

ddict_key ddict_typed_key(const void* data, size_t bytes, uint16_t type) {
    const ddict_key as_it_is{data, bytes, 0, type};
    if (data == nullptr) return as_it_is;
    const auto number = detail::NumberKey::of(c_api::bytes_of({data, bytes}), type);
    return number ? number_key(*number) : as_it_is;
}

bool ddict_key_is_integer(ddict_key key, int64_t* number) {
    return is_number(key, number);
}

bool ddict_key_is_unsigned(ddict_key key, uint64_t* number) {
    return is_number(key, number);
}

bool ddict_key_is_float(ddict_key key, double* number) {
    return is_number(key, number);
}

size_t ddict_key_in_words(ddict_key key, char* buffer, size_t capacity) {
    try {
        const bool good = static_cast<bool>(c_api::check_key(key, "key"));
        return c_api::write_text(good ? in_words(c_api::key_of(key)) : "NULL", buffer, capacity);
    } catch (...) {  // no memory
        return c_api::write_text("", buffer, capacity);
    }
}
