// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/words_of_line.h"

namespace ddict::tools {
namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

}  // namespace

WordsOfLine split_line(std::string_view line) {
    WordsOfLine result;
    bool in_word = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (result.open_quote == '\0' && is_blank(c)) {
            in_word = false;
            continue;
        }
        if (!in_word && c == '#') break;
        if (!in_word) {
            in_word = true;
            result.words.emplace_back();
            result.last_begins = i;
        }
        std::string& word = result.words.back();
        if (c == result.open_quote) {
            result.open_quote = '\0';
        } else if (result.open_quote == '\0' && (c == '\'' || c == '"')) {
            result.open_quote = c;
        } else if (c == '\\' && result.open_quote != '\'') {
            result.ends_in_backslash = i + 1 == line.size();
            if (result.ends_in_backslash) break;
            const char next = line[i + 1];
            const bool is_taken = result.open_quote == '\0' || next == '"' || next == '\\';
            if (is_taken) ++i;
            word += is_taken ? next : c;
        } else {
            word += c;
        }
    }
    result.is_last_open = in_word;
    return result;
}

std::string quoted_word(std::string_view word) {
    constexpr std::string_view plain = "_-./:=,+@%^~";
    bool is_plain = !word.empty();
    for (const char c : word) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        is_plain = is_plain && (is_letter || plain.find(c) != plain.npos || (c & 0x80) != 0);
    }
    if (is_plain) return std::string(word);
    std::string quoted = "'";
    for (const char c : word)
        c == '\'' ? quoted += "'\\''" : quoted += c;
    return quoted + "'";
}

}  // namespace ddict::tools
