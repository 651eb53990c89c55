// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// JSON as values of types that programs read, and such values as JSON: docs/values.md has their bytes.
//
//   null, true, 5, 1.5, "text"     None, bool, int64 (above it uint64), float64, text
//   [1, 2], [1, 2.5], [true]       vector of int64 (or uint64), of float64, of bool
//   ["a", "b"], [[1], [2]]         list of items of one type
//   [1, "a"]                       record
//   {"a": 1, "b": 2}               map of texts to values of one type
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ddict::tools {

struct TypedBytes {
    std::uint16_t type = 0;
    std::vector<std::byte> bytes{};
};

/// Throws UsageError if it is no JSON, or a value that no type has exactly: an integer beyond 64 bits, an
/// object whose values are of several types.
TypedBytes value_of_json(std::string_view text);

/// What value_of_json() reads as the same value. Nothing if JSON has no such value: bytes, structures,
/// numbers that are infinite or none, texts that are no UTF-8, what is damaged.
std::optional<nlohmann::ordered_json> json_of_value(std::span<const std::byte> bytes, std::uint16_t type);

}  // namespace ddict::tools
