// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What makes ddict at home in a shell.
#include <chrono>
#include <cstdlib>
#include <limits>

#include "tools/commands.h"
#include "tools/completion.h"
#include "tools/escapes.h"
#include "tools/exit_status.h"
#include "tools/interactive.h"
#include "tools/key_text.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

using std::chrono::milliseconds;

// Whoever types waits for it.
constexpr milliseconds timeout_of_typist{1000};
constexpr std::size_t keys_max = 300;

/// Nothing where there is none, or it does not answer.
std::optional<Dictionary> dictionary_of_environment() {
    if (std::getenv("DDICT_HANDLE") == nullptr) return std::nullopt;
    Result<Dictionary> dict =
        Dictionary::try_attach({.timeout = timeout_of_typist, .attach_timeout = timeout_of_typist});
    if (!dict) return std::nullopt;
    return *std::move(dict);
}

/// Without --escaped those that need none.
std::vector<std::string> some_keys(const std::string& beginning, bool is_escaped) {
    std::vector<std::string> keys;
    const std::optional<Dictionary> dict = dictionary_of_environment();
    if (!dict) return keys;
    // Of what is escaped, the managers know the beginning up to there.
    const std::string prefix = is_escaped ? beginning.substr(0, beginning.find('\\')) : beginning;
    ScanOptions options{.prefix = prefix, .values = false, .partial = true};
    if (!is_escaped) options.type = type_text;
    Cursor cursor = dict->cursor(options);
    for (auto more = cursor.next(); more.has_value() && *more && keys.size() < keys_max;
         more = cursor.next()) {
        const KeyBytes key{cursor.key(), cursor.key_type()};
        const std::string shown = escaped_text(key);
        const bool is_meant = is_escaped ? shown.starts_with(beginning) : shown == plain_text(key);
        if (is_meant) keys.push_back(shown);
    }
    return keys;
}

std::vector<std::string> all_managers() {
    std::vector<std::string> managers;
    const std::optional<Dictionary> dict = dictionary_of_environment();
    for (std::uint32_t manager = 0; dict && manager < dict->manager_count(); ++manager)
        managers.push_back(std::to_string(manager));
    return managers;
}

int run_complete(const Arguments& arguments) {
    const Candidates found = candidates_for(arguments.operands(), options_of_all_commands(), all_commands(),
                                            {.keys = some_keys, .managers = all_managers});
    if (found.are_files) print(":files\n");
    for (const Candidate& one : found.all)
        print(one.text + "\t" + one.help + "\n");
    return success;
}

int run_shell(const Arguments& arguments) {
    return run_interactively(arguments, {.keys = some_keys, .managers = all_managers});
}

int run_completion(const Arguments& arguments) {
    const std::string& shell = arguments.operands()[0];
    if (shell == "bash") {
        print(completion_script_of_bash());
    } else if (shell == "zsh") {
        print(completion_script_of_zsh());
    } else {
        throw UsageError("there is completion for bash and zsh, not for '" + printable(shell) + "'");
    }
    return success;
}

}  // namespace

std::vector<Command> shell_commands() {
    return {
        {.name = "shell",
         .summary = "read commands line by line, with history and completion",
         .help =
             "Each line is a command as after ddict: words are separated by blanks, quoted as in a shell; "
             "after # stands a comment; 'exit', 'quit' or Ctrl-D ends. On a terminal lines can be edited "
             "(emacs' keys, or as ~/.editrc says), Tab completes commands, options, types, keys and "
             "files, the arrows and Ctrl-R find earlier lines, which $XDG_STATE_HOME/ddict_history or "
             "~/.ddict_history keeps, but for those that begin with a blank or have --handle. Ctrl-C ends "
             "the command that runs, or the line. Where ddict was built without libedit, lines are as the "
             "terminal has them.\n"
             "\n"
             "--handle, --handle-file, --job, --name and --timeout are for all commands. From a file it "
             "reads lines without asking for "
             "them, and commands have no input; its exit status is that of the last one.\n",
         .run = run_shell},
        {.name = "completion",
         .operands = "bash|zsh",
         .operands_min = 1,
         .operands_max = 1,
         .summary = "print what lets a shell complete ddict's commands, options and keys",
         .help = "In ~/.bashrc, or with zsh in ~/.zshrc after compinit:\n"
                 "\n"
                 "  source <(ddict completion bash)\n"
                 "\n"
                 "Keys are those of the dictionary of DDICT_HANDLE, the first 300 that begin with the word; "
                 "those that --escaped is needed for come after it.\n",
         .run = run_completion,
         .completes = {{.kind = Completes::Kind::words, .words = "bash|zsh"}}},
        {.name = "complete",
         .operands = "[WORD...]",
         .operands_max = std::numeric_limits<std::size_t>::max(),
         .summary = "print what can stand in place of the last WORD, for such a shell",
         .help = "The words come after --, as they follow ddict on its command line. On each line one "
                 "candidate, tab, and what it is; or ':files' where the shell knows them.\n",
         .run = run_complete},
    };
}

}  // namespace ddict::tools
