// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys and values as JSON, in lists. What JSON has is itself (json_value.h); a number that it has not (inf,
// nan, a complex one, one of 128 bits) is its text. Everything else is its bytes in base64.
#pragma once

#include <ddict/key.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>

namespace ddict::tools {

/// Adds `name`, or where it has to be in base64, `name`_base64.
void add_json(nlohmann::ordered_json& object, const char* name, std::span<const std::byte> value,
              std::uint16_t type);
/// {"key": ..., "key_type": "text"}
nlohmann::ordered_json json_of_key(KeyBytes key);
/// The same with "type", "bytes" and "value".
nlohmann::ordered_json json_of_pair(KeyBytes key, std::span<const std::byte> value, std::uint16_t type);

/// An array on the standard output, an element a line, that never is in memory as a whole.
class JsonList {
  public:
    void add(const nlohmann::ordered_json& element);
    /// To be called after the last one.
    void end();

  private:
    bool is_empty_ = true;
};

}  // namespace ddict::tools
