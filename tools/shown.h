// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Sizes, counts and times as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace ddict::tools {

/// 1536 -> "1.5K". At most six characters.
std::string size_text(std::uint64_t bytes);
/// 12345 -> "12.3k"; up to 9999 as it is. At most five characters.
std::string count_text(double count);
/// 1234 -> "1.2us". At most five characters.
std::string time_text(std::uint64_t nanoseconds);

}  // namespace ddict::tools
