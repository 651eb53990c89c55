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

/// How many characters have to be added, removed or replaced, or swapped with the next one.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> least(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) {
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                least[i][j] = i + j;
                continue;
            }
            least[i][j] = std::min({least[i - 1][j] + 1, least[i][j - 1] + 1,
                                    least[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                least[i][j] = std::min(least[i][j], least[i - 2][j - 2] + 1);
        }
    }
    return least[a.size()][b.size()];
}

/// What was probably meant; nothing if no name is near.
class Nearest {
  public:
    explicit Nearest(std::string_view word) : word_(word), least_(word.size() > 4 ? 3 : 2) {}
    void look_at(std::string_view name) {
        if (word_.size() > 2 * name.size()) return;
        const std::size_t far = distance(word_, name);
        if (far >= least_) return;
        least_ = far;
        name_ = name;
    }
    std::string hint() const {
        return name_.empty() ? std::string() : " (did you mean '" + std::string(name_) + "'?)";
    }

  private:
    std::string_view word_;
    std::size_t least_;
    std::string_view name_;
};

}  // namespace

Arguments::Arguments(std::span<const std::string> words, std::span<const Option> of_all_commands,
                     std::span<const Command> commands)
    : of_all_commands_(of_all_commands) {
    bool options_ended = false;
    while (!words.empty()) {
        const std::span<const std::string> from = words;
        const std::string& word = words.front();
        words = words.subspan(1);
        std::string_view option;
        if (!options_ended && word == "--") {
            options_ended = true;
            before_dashes_ = operands_.size();
        } else if (!options_ended && is_option(word)) {
            option = take_option(word, words);
        } else {
            take_word(word, commands);
        }
        for (const std::string& taken : from.first(from.size() - words.size()))
            words_.emplace_back(option, taken);
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

/// Which one it was.
std::string_view Arguments::take_option(std::string_view word, std::span<const std::string>& rest) {
    const std::size_t equals = word.starts_with("--") ? word.find('=') : word.npos;
    const std::string_view name = word.substr(0, equals);
    const Option* const option = find(name);
    if (option == nullptr) {
        Nearest nearest(name);
        if (command_ != nullptr) {
            for (const Option& known : command_->options)
                nearest.look_at(known.name);
        }
        for (const Option& known : of_all_commands_)
            nearest.look_at(known.name);
        throw UsageError("unknown option " + in_quotes(name) +
                         (command_ == nullptr
                              ? ""
                              : " of " + std::string(command_->name) +
                                    " (a key or value that begins with a dash stands after --)") +
                         nearest.hint());
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
    return option->name;
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
    if (found == commands.end()) {
        Nearest nearest(word);
        for (const Command& command : commands)
            nearest.look_at(command.name);
        throw UsageError("there is no command " + in_quotes(word) + nearest.hint());
    }
    command_ = &*found;
}

void Arguments::check() const {
    if (has("--help") || has("--man") || has("--version")) return;
    if (command_ == nullptr) throw UsageError("no command was given");
    const bool needs_none =
        std::any_of(command_->options.begin(), command_->options.end(),
                    [this](const Option& option) { return option.replaces_operands && has(option.name); });
    const std::size_t least = needs_none ? 0 : command_->operands_min;
    if (operands_.size() >= least && operands_.size() <= command_->operands_max) return;
    throw UsageError(std::string(command_->name) + " takes " +
                     (command_->operands.empty() ? "no argument" : std::string(command_->operands)) +
                     (command_->also.empty() ? "" : ", or " + std::string(command_->also)) + ", not " +
                     std::to_string(operands_.size()) + (operands_.size() == 1 ? " word" : " words"));
}

std::vector<std::string> Arguments::words_without(std::span<const std::string_view> options) const {
    std::vector<std::string> rest;
    for (const auto& [option, word] : words_) {
        if (option.empty() || std::find(options.begin(), options.end(), option) == options.end())
            rest.push_back(word);
    }
    return rest;
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

std::string Arguments::text(const std::string& given) const {
    if (!has("--escaped")) return given;
    std::optional<std::string> bytes = unescaped(given);
    if (!bytes)
        throw UsageError("a backslash that does not begin a \\xNN in " + in_quotes(given) + " (--escaped)");
    return *std::move(bytes);
}

}  // namespace ddict::tools
