// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace ddict {

/// The lowest 4 * `digits` bits, in lower case.
std::string hex_digits(std::uint64_t number, int digits);

/// Sixteen lower-case hex digits: how the id is written in the names of segments and files.
std::string hex(std::uint64_t id);

}  // namespace ddict
