// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values as text, and text as values. What scalar_text() writes value_of() reads back, bit by bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ddict::tools {

/// The type that type_in_words() spells so, or that a short name stands for (int: int64, uint: uint64, float:
/// float32, double: float64); nothing if there is none.
std::optional<std::uint16_t> type_named(std::string_view name);
/// What to say where there is none of that name.
std::string no_such_type(std::string_view name);

/// Whether values of this type have a text of their own: numbers of the usual sizes, complex ones and bool.
bool is_scalar_with_text(std::uint16_t type);
/// A number in decimal, the shortest that is read back as the same; true, false; (1.5,-2) for a complex one.
/// Nothing if the value is none of these, or has not the size of its type.
std::optional<std::string> scalar_text(std::span<const std::byte> value, std::uint16_t type);
/// Of a scalar, or an element of a vector, of this type; 0 where it is not known, or any.
std::size_t element_bytes(std::uint16_t type);
/// Throws UsageError if so many bytes cannot be a value of that type.
void check_size_of_value(std::uint16_t type, std::size_t bytes);
/// The value of a type that a text stands for: of a number its text, of everything else its bytes. Throws
/// UsageError if there is none, or the bytes cannot be a value of that type.
std::vector<std::byte> value_of(std::uint16_t type, std::string_view text);

/// "1 byte", "24 bytes"
std::string bytes_in_words(std::uint64_t bytes);
/// "<vector of float64, 24 bytes>"
std::string in_words(std::span<const std::byte> value, std::uint16_t type);
/// On one line: numbers as their text, text printable, everything else in words.
std::string on_one_line(std::span<const std::byte> value, std::uint16_t type);

}  // namespace ddict::tools
