// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/completion.h"

#include <algorithm>
#include <optional>

namespace ddict::tools {
namespace {

/// Of those of the table of the types the ones that people write.
constexpr std::string_view types[] = {"text",           "bytes",     "bool",       "int",
                                      "uint",           "float",     "double",     "int8",
                                      "int16",          "int32",     "int64",      "uint8",
                                      "uint16",         "uint32",    "uint64",     "float32",
                                      "float64",        "complex64", "complex128", "vector of float64",
                                      "vector of int64"};

/// A command line as far as it is written.
class Unfinished {
  public:
    Unfinished(std::span<const std::string> words, std::span<const Option> of_all_commands,
               std::span<const Command> commands)
        : of_all_commands_(of_all_commands), commands_(commands), last_(words.empty() ? "" : words.back()) {
        for (std::size_t i = 0; i + 1 < words.size(); ++i)
            take(words[i]);
    }

    Candidates candidates(const Known& known) const {
        if (value_of_ != nullptr) return of_kind(value_of_->completes, last_, "", known);
        if (!options_ended_ && last_.starts_with('-')) return options(known);
        if (command_ == nullptr) return names();
        if (command_->completes.empty()) return {};
        return of_kind(command_->completes[std::min(operands_, command_->completes.size() - 1)], last_, "",
                       known);
    }

  private:
    void take(const std::string& word) {
        if (value_of_ != nullptr) {
            value_of_ = nullptr;
        } else if (!options_ended_ && word == "--") {
            options_ended_ = true;
        } else if (!options_ended_ && word.size() > 1 && word[0] == '-') {
            const Option* const option = find(word);
            if (option != nullptr && !option->value.empty()) value_of_ = option;
            is_escaped_ = is_escaped_ || word == "--escaped";
        } else if (command_ == nullptr) {
            const auto found = std::ranges::find(commands_, word, &Command::name);
            if (found != commands_.end()) command_ = &*found;
        } else {
            ++operands_;
        }
    }

    template <class F>
    void for_each_option(F&& f) const {
        if (command_ != nullptr) std::ranges::for_each(command_->options, f);
        std::ranges::for_each(of_all_commands_, f);
    }
    const Option* find(std::string_view word) const {
        const Option* found = nullptr;
        for_each_option([&](const Option& option) {
            const bool is_letter = option.letter != '\0' && word.size() == 2 && word[1] == option.letter;
            if (found == nullptr && (option.name == word || is_letter)) found = &option;
        });
        return found;
    }

    Candidates options(const Known& known) const {
        const std::size_t equals = last_.find('=');
        if (equals != last_.npos) {
            const Option* const option = find(std::string_view(last_).substr(0, equals));
            if (option == nullptr) return {};
            return of_kind(option->completes, last_.substr(equals + 1), last_.substr(0, equals + 1), known);
        }
        Candidates found;
        for_each_option([&](const Option& option) { add(found, option.name, option.help); });
        return found;
    }

    Candidates names() const {
        Candidates found;
        for (const Command& command : commands_)
            add(found, command.name, command.summary);
        if (command_ == nullptr) add(found, "help", "what there is to say of a command");
        return found;
    }

    void add(Candidates& to, std::string_view text, std::string_view help = {}) const {
        if (text.starts_with(last_)) to.all.push_back({std::string(text), std::string(help)});
    }

    /// `before` is the part of the word that is finished.
    Candidates of_kind(const Completes& what, const std::string& beginning, const std::string& before,
                       const Known& known) const {
        Candidates found;
        const auto add = [&](std::string_view text) {
            if (text.starts_with(beginning)) found.all.push_back({before + std::string(text)});
        };
        switch (what.kind) {
            case Completes::Kind::nothing:
                break;
            case Completes::Kind::key:
                if (known.keys) std::ranges::for_each(known.keys(beginning, is_escaped_), add);
                break;
            case Completes::Kind::manager:
                if (known.managers) std::ranges::for_each(known.managers(), add);
                break;
            case Completes::Kind::type:
                std::ranges::for_each(types, add);
                break;
            case Completes::Kind::file:
                found.are_files = before.empty();
                break;
            case Completes::Kind::words:
                for (std::string_view rest = what.words; !rest.empty();) {
                    const std::string_view word = rest.substr(0, rest.find('|'));
                    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
                    add(word);
                }
                break;
        }
        return found;
    }

    std::span<const Option> of_all_commands_;
    std::span<const Command> commands_;
    std::string last_;
    const Command* command_ = nullptr;
    const Option* value_of_ = nullptr;  // whose value comes next
    std::size_t operands_ = 0;
    bool options_ended_ = false;
    bool is_escaped_ = false;
};

/// Whether a byte of UTF-8 is not the first one of its character.
bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

void remove_last_character(std::string& text) {
    while (!text.empty() && is_continuation(text.back()))
        text.pop_back();
    if (!text.empty()) text.pop_back();
}

}  // namespace

Candidates candidates_for(std::span<const std::string> words, std::span<const Option> of_all_commands,
                          std::span<const Command> commands, const Known& known) {
    return Unfinished(words, of_all_commands, commands).candidates(known);
}

std::string common_beginning(const std::vector<std::string>& words) {
    if (words.empty()) return {};
    std::string common = words.front();
    for (const std::string& word : words) {
        const auto differ = std::mismatch(common.begin(), common.end(), word.begin(), word.end());
        common.erase(differ.first, common.end());
    }
    const bool is_cut = std::ranges::any_of(words, [&](const std::string& word) {
        return word.size() > common.size() && is_continuation(word[common.size()]);
    });
    if (is_cut) remove_last_character(common);
    return common;
}

/// Words are split at blanks alone, not at the colons and equal signs at which bash cuts them as well: what
/// it takes for the word is only the part after the last of those.
std::string_view completion_script_of_bash() {
    return R"script(# bash completion of ddict; for ~/.bashrc: source <(ddict completion bash)
_ddict() {
  local line=${COMP_LINE:0:COMP_POINT} words word candidate
  read -ra words <<<"$line"
  [[ $line == *[[:blank:]] ]] && words+=("")
  word=${words[-1]}
  local cut=
  [[ $word == *[=:]* ]] && cut=${word%"${word##*[=:]}"}
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    if [[ $candidate == :files ]]; then
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
    fi
    COMPREPLY+=("$(printf %q "${candidate#"$cut"}")")
  done < <(ddict complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _ddict ddict
)script";
}

std::string_view completion_script_of_zsh() {
    return R"script(#compdef ddict
# zsh completion of ddict; for ~/.zshrc, after compinit: source <(ddict completion zsh)
_ddict() {
  local line candidate help
  local -a candidates shown
  for line in "${(@f)$(ddict complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
    [[ $line == :files ]] && { _files; return }
    candidate=${line%%$'\t'*}
    help=${line#*$'\t'}
    [[ -z $candidate ]] && continue
    candidates+=("$candidate")
    shown+=("$candidate${help:+  -- $help}")
  done
  (( $#candidates )) && compadd -l -d shown -a -- candidates
}
compdef _ddict ddict
)script";
}

}  // namespace ddict::tools
