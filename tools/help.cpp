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

struct StatusText {
    std::string_view number;
    std::string_view text;
};

constexpr const char* about_statuses = "Exit status; the standard error output says why:\n";
constexpr StatusText statuses[] = {
    {"0", "success"},
    {"1", "no such key"},
    {"2",
     "the call is wrong, and another try is as wrong: the command line, a key or value that is too large, "
     "another type, no handle, or a damaged one"},
    {"3", "timed out"},
    {"4", "the key's manager is lost or cannot be reached, or the dictionary is gone"},
    {"5",
     "incomplete: some managers did not answer; they are named, the others were asked all the same. Of keys "
     "and items -0 also: pairs were left out"},
    {"6",
     "any other error: no space, frozen, busy, access denied, an input that cannot be read, an output that "
     "cannot be written ..."},
};

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

/// "-0, --null"
std::string words_of(const Option& option) {
    std::string words(option.name);
    if (option.letter != '\0') words = std::string("-") + option.letter + ", " + words;
    if (!option.value.empty()) words.append(" ").append(option.value);
    return words;
}

std::string sentence(std::string_view summary) {
    std::string text(summary);
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    return text;
}

std::string entries(std::span<const Option> options) {
    std::string text;
    for (const Option& option : options)
        text += entry(words_of(option), option.help);
    return text;
}

std::string statuses_text() {
    constexpr std::size_t indent = 5;
    std::string text = about_statuses;
    for (const StatusText& status : statuses) {
        text.append("  ").append(status.number).append("  ");
        append_filled(text, status.text, indent, indent);
    }
    return text;
}

std::string synopsis(const Command& command) {
    return std::string(command.name) + (command.operands.empty() ? "" : " " + std::string(command.operands));
}

// ---- manual pages ----

/// As text of a line of roff, which begins with none of its requests.
std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (out.empty() && (c == '.' || c == '\'')) out += "\\&";
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else {
            out += c;
        }
    }
    return out;
}

/// Paragraphs, and lines that begin with a blank as they are.
std::string roff_paragraphs(std::string_view text) {
    std::string out;
    bool as_is = false;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const bool wants_as_is = line.starts_with(' ') || (as_is && line.empty());
        if (wants_as_is != as_is) out += wants_as_is ? ".PP\n.nf\n" : ".fi\n.PP\n";
        as_is = wants_as_is;
        if (!line.empty()) {
            out += roff(line) + "\n";
        } else if (as_is) {
            out += "\n";
        } else {
            out += ".PP\n";
        }
    }
    return out + (as_is ? ".fi\n" : "");
}

std::string roff_entry(const std::string& left, std::string_view right) {
    return ".TP\n.B " + roff(left) + "\n" + roff(right) + "\n";
}

std::string roff_options(std::span<const Option> options) {
    std::string text;
    for (const Option& option : options)
        text += roff_entry(words_of(option), option.help);
    return text;
}

std::string roff_statuses() {
    std::string text = ".SH EXIT STATUS\n";
    for (const StatusText& status : statuses)
        text += roff_entry(std::string(status.number), status.text);
    return text;
}

std::string roff_title(const std::string& name, std::string_view summary, std::string_view version) {
    std::string upper = name;
    for (char& c : upper)
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return ".TH " + upper + " 1 \"\" \"ddict " + std::string(version) + "\" \"ddict\"\n.SH NAME\n" +
           roff(name) + " \\- " + roff(summary) + "\n";
}

}  // namespace

std::string man_page(std::span<const Command> commands, std::span<const Option> of_all_commands,
                     std::string_view version) {
    std::string text =
        roff_title("ddict", "a distributed in-memory dictionary, from the command line", version);
    text += ".SH SYNOPSIS\n.B ddict\nCOMMAND [OPTIONS] ...\n.SH DESCRIPTION\n";
    text += "Talks to the dictionary whose handle is in the environment (DDICT_HANDLE).\n.SH COMMANDS\n";
    for (const Command& command : commands)
        text += roff_entry(synopsis(command),
                           std::string(command.summary) + ": see ddict-" + std::string(command.name) + "(1)");
    text +=
        ".SH OPTIONS\nThey stand anywhere; what follows \\-\\- is none.\n" + roff_options(of_all_commands);
    return text + roff_statuses();
}

std::string man_page(const Command& command, std::span<const Option> of_all_commands,
                     std::string_view version) {
    std::string text = roff_title("ddict-" + std::string(command.name), command.summary, version);
    text += ".SH SYNOPSIS\n.B ddict " + roff(synopsis(command)) + "\n[OPTIONS]\n";
    if (!command.also.empty())
        text += ".br\n.B ddict " + roff(command.name) + " " + roff(command.also) + "\n[OPTIONS]\n";
    text +=
        ".SH DESCRIPTION\n" + roff_paragraphs(sentence(command.summary) + ".\n" + std::string(command.help));
    text += ".SH OPTIONS\nThey stand anywhere; what follows \\-\\- is none.\n" +
            roff_options(command.options) + roff_options(of_all_commands);
    return text + roff_statuses() + ".SH SEE ALSO\n.BR ddict (1)\n";
}

std::string help_text(std::span<const Command> commands, std::span<const Option> of_all_commands) {
    std::string text = opening;
    for (const Command& command : commands)
        text += entry(synopsis(command), command.summary);
    text += "\nOptions of all commands (they stand anywhere; what follows -- is none):\n";
    return text + entries(of_all_commands) + "\n" + statuses_text();
}

std::string help_text(const Command& command, std::span<const Option> of_all_commands) {
    std::string text = "usage: ddict " + synopsis(command) + " [OPTIONS]\n";
    if (!command.also.empty())
        text.append("       ddict ")
            .append(command.name)
            .append(" ")
            .append(command.also)
            .append(" [OPTIONS]\n");
    text += "\n" + filled(sentence(command.summary) + ".\n" + std::string(command.help));
    if (!command.options.empty())
        text += "\nOptions (they stand anywhere; what follows -- is none):\n" + entries(command.options);
    std::string common;
    for (const Option& option : of_all_commands)
        common.append(common.empty() ? "" : ", ").append(option.name);
    return text + "\n" +
           filled("'ddict --help' has the options of all commands (" + common + ") and the exit statuses.\n");
}

}  // namespace ddict::tools
