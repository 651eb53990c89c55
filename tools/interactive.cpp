// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/interactive.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "tools/commands.h"
#include "tools/escapes.h"
#include "tools/exit_status.h"
#include "tools/line_editor.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"
#include "tools/words_of_line.h"

extern char** environ;

namespace ddict::tools {
namespace {

namespace fs = std::filesystem;

/// In the user's folder of states; empty if there is none.
std::string history_file() {
    const char* const states = std::getenv("XDG_STATE_HOME");
    const char* const home = std::getenv("HOME");
    if (states != nullptr && *states == '/') return std::string(states) + "/ddict_history";
    return home != nullptr && *home == '/' ? std::string(home) + "/.ddict_history" : std::string();
}

/// Of a handle, which holds a secret, nothing is kept, nor of a line that begins with a blank.
bool is_to_be_remembered(const std::string& line) {
    return !line.empty() && line[0] != ' ' && line.find("--handle") == line.npos;
}

std::vector<std::string> files_that_begin_with(const std::string& beginning) {
    const std::size_t slash = beginning.rfind('/');
    const std::string folder = slash == beginning.npos ? "" : beginning.substr(0, slash + 1);
    std::vector<std::string> found;
    std::error_code error;
    for (fs::directory_iterator entry(folder.empty() ? "." : folder, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string path = folder + entry->path().filename().string();
        std::error_code none;
        if (path.starts_with(beginning)) found.push_back(path + (entry->is_directory(none) ? "/" : ""));
    }
    std::sort(found.begin(), found.end());
    return found;
}

Completions complete(const std::string& before_cursor, const Known& known) {
    WordsOfLine line = split_line(before_cursor);
    if (!line.is_last_open) line.words.emplace_back();
    Completions completions;
    if (line.is_last_open) completions.replaced = before_cursor.substr(line.last_begins);
    const Candidates found = candidates_for(line.words, options_of_all_commands(), all_commands(), known);
    if (found.are_files) {
        for (const std::string& file : files_that_begin_with(line.words.back())) {
            completions.all.push_back(quoted_word(file));
            completions.shown.push_back(printable(file));
        }
        return completions;
    }
    for (const Candidate& one : found.all) {
        completions.all.push_back(quoted_word(one.text));
        completions.shown.push_back(one.help.empty() ? one.text : one.text + "  -- " + one.help);
    }
    if (line.words.size() == 1) {
        for (const std::string_view own : {"exit", "quit"}) {
            if (own.starts_with(line.words[0])) {
                completions.all.emplace_back(own);
                completions.shown.emplace_back(own);
            }
        }
    }
    return completions;
}

/// While a command runs, what is typed to end it is meant for it.
class SignalsOfCommand {
  public:
    SignalsOfCommand() {
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGINT, &ignore, &interrupt_);
        ::sigaction(SIGQUIT, &ignore, &quit_);
    }
    ~SignalsOfCommand() {
        ::sigaction(SIGINT, &interrupt_, nullptr);
        ::sigaction(SIGQUIT, &quit_, nullptr);
    }

  private:
    struct sigaction interrupt_ {};
    struct sigaction quit_ {};
};

/// This program, in another process. Its exit status, as a shell has it.
int run(const std::vector<std::string>& words, bool has_input) {
    std::string name = "ddict";
    std::vector<char*> arguments{name.data()};
    for (const std::string& word : words)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
    sigset_t own;
    ::sigemptyset(&own);
    ::sigaddset(&own, SIGINT);
    ::sigaddset(&own, SIGQUIT);
    ::posix_spawnattr_setsigdefault(&attributes, &own);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    // Of a script the rest is for the shell.
    if (!has_input) ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    const SignalsOfCommand signals;
    pid_t command = -1;
    const int failed =
        ::posix_spawn(&command, "/proc/self/exe", &actions, &attributes, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (failed != 0) {
        std::cerr << "ddict: the command cannot be started: " << std::strerror(failed) << '\n';
        return other_failure;
    }
    int status = 0;
    while (::waitpid(command, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
    std::cerr << "ddict: the command was ended by signal " << WTERMSIG(status) << " ("
              << ::strsignal(WTERMSIG(status)) << ")\n";
    return 128 + WTERMSIG(status);
}

/// Complains, and returns nothing, of what is no line.
std::optional<std::vector<std::string>> words_of(const std::string& text) {
    WordsOfLine line = split_line(text);
    if (line.open_quote != '\0' || line.ends_in_backslash) {
        std::cerr << "ddict: "
                  << (line.ends_in_backslash ? "a backslash ends the line" : "a quote is not closed") << '\n';
        return std::nullopt;
    }
    if (!line.words.empty() && line.words[0] == "ddict") line.words.erase(line.words.begin());
    return std::move(line.words);
}

}  // namespace

int run_interactively(const Arguments& arguments, const Known& known) {
    if (const auto handle = given_handle(arguments)) ::setenv("DDICT_HANDLE", handle->c_str(), 1);
    if (const auto timeout = arguments.value("--timeout")) {
        static_cast<void>(arguments.seconds("--timeout", 0.001, 999'999));
        ::setenv("DDICT_OPERATION_TIMEOUT", timeout->c_str(), 1);
    }
    const bool is_typed = ::isatty(STDIN_FILENO) != 0;
    if (is_typed && output_is_terminal())
        print("ddict " DDICT_VERSION ": 'help' has the commands, Ctrl-D ends\n");
    finish_output();
    const std::unique_ptr<LineEditor> editor = LineEditor::make(
        "ddict> ", history_file(), [&known](const std::string& line) { return complete(line, known); });
    int status = success;
    while (const std::optional<std::string> text = editor->read()) {
        const std::optional<std::vector<std::string>> words = words_of(*text);
        if (!words || !words->empty()) {
            if (is_to_be_remembered(*text)) editor->remember(*text);
        }
        if (!words) {
            status = wrong_call;
            continue;
        }
        if (words->empty()) continue;
        if ((*words)[0] == "exit" || (*words)[0] == "quit") break;
        if ((*words)[0] == "shell") {
            std::cerr << "ddict: this is a shell of ddict already\n";
            status = wrong_call;
            continue;
        }
        status = run(*words, is_typed);
    }
    return status;
}

}  // namespace ddict::tools
