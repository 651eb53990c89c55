// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The words of a command line. Options may stand anywhere, before the command those of all commands; what
// follows "--" is no option. The word help before the command, or alone, is the option --help. A word like -5
// or -inf is none either, unless the command has an option of that name.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ddict::tools {

/// What a word can be completed to.
struct Completes {
    enum class Kind : std::uint8_t { nothing, key, type, manager, file, words };
    Kind kind = Kind::nothing;
    std::string_view words{};  ///< "ls|rm"
};

struct Option {
    std::string_view name;     ///< "--json"
    char letter = '\0';        ///< 'h' of -h; none if it is 0
    std::string_view value{};  ///< what it takes, for people: "SECONDS"; nothing if it takes nothing
    std::string_view help{};
    bool replaces_operands = false;  ///< with it the command needs no operands
    Completes completes{};           ///< its value
};

class Arguments;

struct Command {
    std::string_view name{};
    std::string_view operands{};  ///< for people: "KEY [VALUE]"
    std::size_t operands_min = 0;
    std::size_t operands_max = 0;
    std::vector<Option> options{};
    std::string_view summary{};  ///< one line
    std::string_view help{};     ///< the rest of what there is to say
    std::string_view also{};     ///< other operands that it takes, for people: "--any KEY..."
    int (*run)(const Arguments&) = nullptr;
    std::vector<Completes>
        completes{};  ///< its operands, one after the other; the last one is for all others
};

class Arguments {
  public:
    /// Throws UsageError: an unknown command or option, an option without its value, too few or too many
    /// operands. The number of operands is not checked when help or the version is asked for.
    Arguments(std::span<const std::string> words, std::span<const Option> of_all_commands,
              std::span<const Command> commands);

    const Command* command() const { return command_; }  ///< nullptr if there is none
    const std::vector<std::string>& operands() const { return operands_; }
    /// How many of them stand before "--"; nothing if that was not given.
    std::optional<std::size_t> operands_before_dashes() const { return before_dashes_; }
    bool has(std::string_view option) const { return options_.contains(option); }
    std::optional<std::string> value(std::string_view option) const;
    /// Of an option that takes seconds; nothing if it was not given. Throws UsageError.
    std::optional<std::chrono::milliseconds> seconds(std::string_view option, double min, double max) const;

    /// All words as they were given, but for these options and their values.
    std::vector<std::string> words_without(std::span<const std::string_view> options) const;

    /// The operand as it is, or with --escaped, with each \xNN in it replaced. Throws UsageError.
    std::string text(std::size_t operand) const { return text(operands_.at(operand)); }
    /// The same of the value of an option.
    std::string text(const std::string& given) const;

  private:
    const Option* find(std::string_view word) const;
    bool is_option(std::string_view word) const;
    std::string_view take_option(std::string_view word, std::span<const std::string>& rest);
    void take_word(const std::string& word, std::span<const Command> commands);
    void check() const;

    std::span<const Option> of_all_commands_;
    const Command* command_ = nullptr;
    std::vector<std::string> operands_;
    std::optional<std::size_t> before_dashes_;
    std::map<std::string_view, std::string, std::less<>> options_;  // by their long names
    std::vector<std::pair<std::string_view, std::string>> words_;   // and of which option each is, or of none
    bool is_help_ = false;                                          // the word has come
};

}  // namespace ddict::tools
