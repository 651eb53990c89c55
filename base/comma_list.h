// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Lists of words with commas between, as settings and arguments have them: "eth0,mlx5_0:1".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ddict {

/// None of an empty text. Words may be empty, but a comma at the end begins none.
std::vector<std::string> split_list(std::string_view text);
std::string join_list(std::span<const std::string> words);
bool list_has(std::string_view list, std::string_view word);

}  // namespace ddict
