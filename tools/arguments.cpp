// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/arguments.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "tools/escapes.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

/// -5, -.5, -inf, -nan: a word that is more likely a number than an option.
bool looks_like_number(std::string_view word) {
    word.remove_prefix(1);
    if (word.starts_with('.')) word.remove_prefix(1);
    if (word.empty()) return false;
    return (word[0] >= '0' && word[0] <= '9') || word == "inf" || word == "infinity" || word == "nan" ||
           word.starts_with("nan(");
}

std::string text_of(double number) {
    std::array<char, 32> digits{};
    return {digits.begin(), std::to_chars(digits.begin(), digits.end(), number).ptr};
}

std::string in_quotes(std::string_view word) {
    return "'" + printable(word) + "'";
}

}  // namespace

Arguments::Arguments(std::span<const std::string> words, std::span<const Option> of_all_commands,
                     std::span<const Command> commands)
    : of_all_commands_(of_all_commands) {
    bool options_ended = false;
    while (!words.empty()) {
        const std::string& word = words.front();
        words = words.subspan(1);
        if (!options_ended && word == "--") {
            options_ended = true;
        } else if (!options_ended && is_option(word)) {
            take_option(word, words);
        } else {
            take_word(word, commands);
        }
    }
    check();
}

const Option* Arguments::find(std::string_view word) const {
    const auto is_it = [&](const Option& option) {
        return word == option.name ||
               (option.letter != '\0' && word.size() == 2 && word[0] == '-' && word[1] == option.letter);
    };
    if (command_ != nullptr) {
        const auto found = std::find_if(command_->options.begin(), command_->options.end(), is_it);
        if (found != command_->options.end()) return &*found;
    }
    const auto found = std::find_if(of_all_commands_.begin(), of_all_commands_.end(), is_it);
    return found == of_all_commands_.end() ? nullptr : &*found;
}

/// "-" alone stands for the standard input.
bool Arguments::is_option(std::string_view word) const {
    return word.size() > 1 && word[0] == '-' && (find(word) != nullptr || !looks_like_number(word));
}

void Arguments::take_option(std::string_view word, std::span<const std::string>& rest) {
    const std::size_t equals = word.starts_with("--") ? word.find('=') : word.npos;
    const std::string_view name = word.substr(0, equals);
    const Option* const option = find(name);
    if (option == nullptr) {
        throw UsageError("unknown option " + in_quotes(name) +
                         (command_ == nullptr
                              ? ""
                              : " of " + std::string(command_->name) +
                                    " (a key or value that begins with a dash stands after --)"));
    }
    std::string value;
    if (equals != word.npos) {
        if (option->value.empty()) throw UsageError(std::string(option->name) + " takes no value");
        value = word.substr(equals + 1);
    } else if (!option->value.empty()) {
        if (rest.empty())
            throw UsageError(std::string(option->name) + " takes a value: " + std::string(option->value));
        value = rest.front();
        rest = rest.subspan(1);
    }
    options_[option->name] = std::move(value);
}

void Arguments::take_word(const std::string& word, std::span<const Command> commands) {
    if (command_ != nullptr) {
        operands_.push_back(word);
        return;
    }
    if (word == "help" && !is_help_) {
        is_help_ = true;
        options_["--help"];
        return;
    }
    const auto found = std::find_if(commands.begin(), commands.end(),
                                    [&](const Command& command) { return command.name == word; });
    if (found == commands.end()) throw UsageError("there is no command " + in_quotes(word));
    command_ = &*found;
}

void Arguments::check() const {
    if (has("--help") || has("--version")) return;
    if (command_ == nullptr) throw UsageError("no command was given");
    if (operands_.size() >= command_->operands_min && operands_.size() <= command_->operands_max) return;
    throw UsageError(std::string(command_->name) + " takes " +
                     (command_->operands.empty() ? "no argument" : std::string(command_->operands)) +
                     (command_->also.empty() ? "" : ", or " + std::string(command_->also)) + ", not " +
                     std::to_string(operands_.size()) + (operands_.size() == 1 ? " word" : " words"));
}

std::optional<std::string> Arguments::value(std::string_view option) const {
    const auto found = options_.find(option);
    return found == options_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::chrono::milliseconds> Arguments::seconds(std::string_view option, double min,
                                                            double max) const {
    const std::optional<std::string> text = value(option);
    if (!text) return std::nullopt;
    double number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || !(number >= min && number <= max)) {
        throw UsageError(std::string(option) + " takes a number of seconds from " + text_of(min) + " to " +
                         text_of(max) + ", not " + in_quotes(*text));
    }
    return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(number));
}

std::string Arguments::text(std::size_t operand) const {
    const std::string& given = operands_.at(operand);
    if (!has("--escaped")) return given;
    std::optional<std::string> bytes = unescaped(given);
    if (!bytes)
        throw UsageError("a backslash that does not begin a \\xNN in " + in_quotes(given) + " (--escaped)");
    return *std::move(bytes);
}

}  // namespace ddict::tools
