// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The 16-bit type that a value carries next to its bytes; docs/values.md has the bytes of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ddict/error.h>

namespace ddict {

// The type number of a value: what it is in the upper byte, of which element in the lower one.
inline constexpr std::uint16_t type_bytes =
    0x0000;  ///< any bytes; can be read as anything, and anything as this
inline constexpr std::uint16_t type_text = 0x0001;
inline constexpr std::uint16_t type_scalar = 0x0100;      ///< | element
inline constexpr std::uint16_t type_vector = 0x0200;      ///< | element
inline constexpr std::uint16_t type_array = 0x0300;       ///< | element; a shape, then the elements
inline constexpr std::uint16_t element_structure = 0x7f;  ///< in C: of which structure is not said
inline constexpr std::uint16_t type_list = 0x0400;    ///< items of one type, each with a length of its own
inline constexpr std::uint16_t type_record = 0x0500;  ///< fields of different types
inline constexpr std::uint16_t type_map = 0x0600;     ///< a record of two fields: all keys, all values
// | number: of structures and enumerations without a codec, <ddict/structure.h>.
inline constexpr std::uint16_t type_structure = 0x2000;
inline constexpr std::uint16_t type_structure_vector = 0x4000;
inline constexpr std::uint16_t type_structure_array = 0x6000;
inline constexpr std::uint16_t structure_count = 0x2000;      ///< numbers there are
inline constexpr std::uint16_t declared_structure_max = 255;  ///< up to here a program may declare them
// Those of the numbers that are keys: all integers are int64 if they are in its range, all floats float64.
inline constexpr std::uint16_t key_type_int64 = 0x0113;
inline constexpr std::uint16_t key_type_uint64 = 0x0123;  ///< above the range of int64
inline constexpr std::uint16_t key_type_float64 = 0x0133;
/// A type of the user's. Requires number <= 0x7fff.
constexpr std::uint16_t user_type(std::uint16_t number) {
    return static_cast<std::uint16_t>(0x8000 | number);
}

/// What a value is, without its bytes.
struct ValueInfo {
    std::uint16_t type = type_bytes;
    std::uint64_t bytes = 0;  ///< how many it has, as docs/values.md lays it out
};

/// Whose bytes, followed by more of them, are such a value again. Arrays, lists, records and maps begin with
/// their extents, and a number has the bytes that it has.
constexpr bool can_be_appended_to(std::uint16_t type) {
    return type == type_bytes || type == type_text || (type & 0xff00) == type_vector ||
           (type & 0xe000) == type_structure_vector || type >= user_type(0);
}

/// A type number in words: "array of float64", "text", "structure 1234", "user type 7". Allocates.
std::string type_in_words(std::uint16_t type);

namespace detail {

/// "1 byte", "8 bytes". Allocates.
std::string bytes_in_words(std::uint64_t bytes);

/// `name`: of the structure that was asked for.
Error wrong_type(std::uint16_t stored, std::uint16_t asked, std::string_view name = {});

}  // namespace detail
}  // namespace ddict
