// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys as text, and text as keys. A text is itself; a key of another type is \TYPE:VALUE where texts are
// escaped, so that the two cannot be taken for each other: \int64:42.
#pragma once

#include <ddict/key.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "tools/arguments.h"

namespace ddict::tools {

/// "--key-type", of the commands that take keys, and of those that list them.
Option key_type_option();
Option key_type_of_listing_option();
/// What that option names, as keys have it: int64 for the integers, float64 for the floats. Nothing if it was
/// not given. Throws UsageError.
std::optional<std::uint16_t> key_type_given(const Arguments& arguments);
/// The key in an operand: of the type of --key-type; else with --escaped, \TYPE:VALUE is of that type; else a
/// text. Throws UsageError.
AnyKey key_operand(const Arguments& arguments, std::size_t operand);

/// Reads many.
class KeyReader {
  public:
    /// Throws UsageError.
    explicit KeyReader(const Arguments& arguments);
    /// As key_operand(), of any word.
    AnyKey key(const std::string& given, bool is_escaped);

  private:
    std::optional<std::uint16_t> type_;           // of all of them
    std::pair<std::string, std::uint16_t> last_;  // that a key has named
};

/// The value of a key without its type: a number in decimal, of everything else its bytes.
std::string plain_text(KeyBytes key);
/// On one line, escaped; with its type, unless that is text or `type_is_known` from elsewhere (--key-type).
/// key_operand() with --escaped, and then with the type, reads it back.
std::string escaped_text(KeyBytes key, bool type_is_known = false);
/// As messages name a key: as escaped_text() has it, and a text in quotes. `is_cut`: it is the beginning of
/// one.
std::string shown_key(KeyBytes key, bool is_cut = false);

}  // namespace ddict::tools
