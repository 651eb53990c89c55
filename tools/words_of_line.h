// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddict::tools {

struct WordsOfLine {
    std::vector<std::string> words{};
    /// The last word goes on until the end of the line: it is not empty, and no blank follows it. From there
    /// on is how it is written.
    bool is_last_open = false;
    std::size_t last_begins = 0;
    char open_quote = '\0';  ///< that is not closed
    bool ends_in_backslash = false;
};

/// As a shell splits a line, without what it replaces: blanks separate words, '...' is as it is, in "..."
/// a backslash takes the meaning of the next quote or backslash, outside of quotes that of any character.
/// What follows a # at the beginning of a word is a comment.
WordsOfLine split_line(std::string_view line);
/// So that split_line() gives this word.
std::string quoted_word(std::string_view word);

}  // namespace ddict::tools
