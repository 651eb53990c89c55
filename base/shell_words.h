// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Words in a line that a POSIX shell reads.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ddict {

/// As one word of a shell, whatever is in it: in quotes unless it needs none.
std::string shell_word(std::string_view text);
/// With a space between.
std::string shell_line(std::span<const std::string> words);

}  // namespace ddict
