// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/help.h"

#include <algorithm>
#include <cctype>

namespace ddict::tools {
namespace {

constexpr std::size_t width = 80;

constexpr const char* opening =
    "usage: ddict COMMAND [OPTIONS] ...\n"
    "       ddict help COMMAND       what there is to say of it, and its options;\n"
    "                                ddict COMMAND --help is the same\n"
    "\n"
    "Talks to the dictionary whose handle is in the environment (DDICT_HANDLE).\n"
    "\n";

constexpr const char* statuses =
    "Exit status; the standard error output says why:\n"
    "  0  success\n"
    "  1  no such key\n"
    "  2  the call is wrong, and another try is as wrong: the command line, a key or\n"
    "     value that is too large, another type, no handle, or a damaged one\n"
    "  3  timed out\n"
    "  4  the key's manager is lost or cannot be reached, or the dictionary is gone\n"
    "  5  incomplete: some managers did not answer; they are named, the others were\n"
    "     asked all the same. Of keys and items -0 also: pairs were left out\n"
    "  6  any other error: no space, frozen, busy, access denied, an input that\n"
    "     cannot be read, an output that cannot be written ...\n";

/// Appends words, from `column` on, and begins a new line, indented, where the next one does not fit.
void append_filled(std::string& out, std::string_view words, std::size_t column, std::size_t indent) {
    bool first = true;
    while (!words.empty()) {
        const std::string_view word = words.substr(0, words.find(' '));
        words.remove_prefix(std::min(words.size(), word.size() + 1));
        if (!first && column + 1 + word.size() > width) {
            out.append("\n").append(indent, ' ');
            column = indent;
        } else if (!first) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        first = false;
    }
    out += '\n';
}

/// Paragraphs; lines that begin with a blank stay as they are.
std::string filled(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        if (line.starts_with(' ')) {
            out.append(line).push_back('\n');
        } else {
            append_filled(out, line, 0, 0);
        }
    }
    return out;
}

std::string entry(const std::string& left, std::string_view right) {
    constexpr std::size_t indent = 21;
    std::string text = "  " + left;
    text +=
        text.size() + 2 > indent ? "\n" + std::string(indent, ' ') : std::string(indent - text.size(), ' ');
    append_filled(text, right, indent, indent);
    return text;
}

std::string entries(std::span<const Option> options) {
    std::string text;
    for (const Option& option : options) {
        std::string left(option.name);
        if (option.letter != '\0') left = std::string("-") + option.letter + ", " + left;
        if (!option.value.empty()) left.append(" ").append(option.value);
        text += entry(left, option.help);
    }
    return text;
}

std::string synopsis(const Command& command) {
    return std::string(command.name) + (command.operands.empty() ? "" : " " + std::string(command.operands));
}

}  // namespace

std::string help_text(std::span<const Command> commands, std::span<const Option> of_all_commands) {
    std::string text = opening;
    for (const Command& command : commands)
        text += entry(synopsis(command), command.summary);
    text += "\nOptions of all commands (they stand anywhere; what follows -- is none):\n";
    return text + entries(of_all_commands) + "\n" + statuses;
}

std::string help_text(const Command& command, std::span<const Option> of_all_commands) {
    std::string text = "usage: ddict " + synopsis(command) + " [OPTIONS]\n";
    if (!command.also.empty())
        text.append("       ddict ")
            .append(command.name)
            .append(" ")
            .append(command.also)
            .append(" [OPTIONS]\n");
    std::string summary(command.summary);
    summary[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(summary[0])));
    text += "\n" + filled(summary + ".\n" + std::string(command.help));
    if (!command.options.empty())
        text += "\nOptions (they stand anywhere; what follows -- is none):\n" + entries(command.options);
    std::string common;
    for (const Option& option : of_all_commands)
        common.append(common.empty() ? "" : ", ").append(option.name);
    return text + "\n" +
           filled("'ddict --help' has the options of all commands (" + common + ") and the exit statuses.\n");
}

}  // namespace ddict::tools
