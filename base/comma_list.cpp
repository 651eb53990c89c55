// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/comma_list.h"

#include <algorithm>

namespace ddict {

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const std::string_view word = text.substr(0, text.find(','));
        words.emplace_back(word);
        text.remove_prefix(std::min(text.size(), word.size() + 1));
    }
    return words;
}

std::string join_list(std::span<const std::string> words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i)
        text.append(i == 0 ? "" : ",").append(words[i]);
    return text;
}

bool list_has(std::string_view list, std::string_view word) {
    const std::vector<std::string> words = split_list(list);
    return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace ddict
