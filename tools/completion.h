// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What may stand in place of an unfinished word of a command line: from the same tables as the parser and the
// help.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/arguments.h"

namespace ddict::tools {

struct Candidate {
    std::string text;
    std::string help{};  ///< one line, or nothing
    bool operator==(const Candidate&) const = default;
};

struct Candidates {
    std::vector<Candidate> all{};
    bool are_files = false;  ///< the shell knows them
};

/// What only a dictionary knows: keys that begin with a word, as they are, or as keys prints them where the
/// command line has --escaped; and numbers of managers.
struct Known {
    std::function<std::vector<std::string>(const std::string& beginning, bool is_escaped)> keys{};
    std::function<std::vector<std::string>()> managers{};
};

/// Of the last of the words, which may be empty, and is cut where it is being written.
Candidates candidates_for(std::span<const std::string> words, std::span<const Option> of_all_commands,
                          std::span<const Command> commands, const Known& known);

/// The longest text that all of the words begin with. It ends where a character of UTF-8 ends in each of
/// them.
std::string common_beginning(const std::vector<std::string>& words);

/// For bash or zsh, which it has to be read by: calls 'ddict complete'.
std::string_view completion_script_of_bash();
std::string_view completion_script_of_zsh();

}  // namespace ddict::tools
