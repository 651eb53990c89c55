// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/commands.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "tools/escapes.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::optional<milliseconds> given_timeout(const Arguments& arguments) {
    return arguments.seconds("--timeout", 0.001, 999'999);
}

const steady_clock::time_point began = steady_clock::now();

milliseconds left_of(milliseconds all) {
    constexpr milliseconds least{100};
    return std::max(least, std::chrono::ceil<milliseconds>(began + all - steady_clock::now()));
}

milliseconds all_of(const Arguments& arguments) {
    if (const auto timeout = given_timeout(arguments)) return *timeout;
    // Attaching judges what stands there.
    const char* const preset = std::getenv("DDICT_OPERATION_TIMEOUT");
    const double seconds = preset == nullptr ? 0 : std::strtod(preset, nullptr);
    if (!(seconds > 0)) return milliseconds(30'000);
    return std::chrono::ceil<milliseconds>(std::chrono::duration<double>(std::min(seconds, 1e6)));
}

milliseconds all_of_question(const Arguments& arguments) {
    constexpr milliseconds enough{5'000};
    return arguments.has("--timeout") ? all_of(arguments) : std::min(all_of(arguments), enough);
}

/// A handle holds a secret.
void warn_if_others_can_read(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || (info.st_mode & 044) == 0) return;
    std::cerr << "ddict: others can read " << printable(path)
              << ", and use the dictionary whose handle it has: chmod 600 it\n";
}

Dictionary attach_within(const Arguments& arguments, milliseconds attach_timeout) {
    if (const auto file = arguments.value("--handle-file")) warn_if_others_can_read(*file);
    AttachOptions options;
    options.timeout = given_timeout(arguments);
    options.attach_timeout = std::min(options.attach_timeout, attach_timeout);
    const std::optional<std::string> handle = given_handle(arguments);
    Dictionary dictionary = handle ? Dictionary::attach(*handle, options) : Dictionary::attach(options);
    dictionary.set_checkpoint_id(newest_checkpoint);
    return dictionary;
}

}  // namespace

std::optional<std::string> given_handle(const Arguments& arguments) {
    const std::optional<std::string> path = arguments.value("--handle-file");
    if (!path) return arguments.value("--handle");
    std::ifstream file(*path);
    std::string line;
    if (!std::getline(file, line) || line.empty())
        throw UsageError("no handle can be read from " + printable(*path) +
                         (file.is_open() ? ": its first line is empty" : ": it cannot be opened"));
    return line;
}

std::span<const Command> all_commands() {
    static const std::vector<Command> commands = [] {
        std::vector<Command> all = key_commands();
        for (const std::vector<Command>& more :
             {many_key_commands(), pair_commands(), usage_commands(), state_commands(), checkpoint_commands(),
              queue_commands(), shell_commands()})
            all.insert(all.end(), more.begin(), more.end());
        return all;
    }();
    return commands;
}

std::span<const Option> options_of_all_commands() {
    static constexpr Option options[] = {
        {.name = "--timeout",
         .value = "SECONDS",
         .help =
             "how long it may take, give or take half a second; for keys and items, how long nothing may "
             "come (default 30, or DDICT_OPERATION_TIMEOUT; of stats, metrics and health no more than 5)"},
        {.name = "--handle",
         .value = "HANDLE",
         .help = "of another dictionary. A handle holds a secret, and as an argument others on this machine "
                 "can see it"},
        {.name = "--handle-file",
         .value = "FILE",
         .help = "the same, from the first line of a file, which should be yours alone (mode 0600)",
         .completes = {.kind = Completes::Kind::file}},
        {.name = "--job",
         .value = "N",
         .help = "the dictionary of that Slurm job of yours, also from the head node: ddict-launch status "
                 "lists them"},
        {.name = "--name",
         .value = "NAME",
         .help = "your dictionary of that name; with --job that of the job"},
        {.name = "--help", .letter = 'h', .help = "this text; with a command, what there is to say of it"},
        {.name = "--man", .help = "the same as a manual page: ddict get --man | man -l -"},
        {.name = "--version", .help = "the version of ddict"},
    };
    return options;
}

Option escaped_option() {
    return {.name = "--escaped",
            .help = "KEY is as keys prints it: \\xNN is a byte, and \\TYPE:VALUE is a key of that type"};
}

Option escaped_pair_option() {
    return {.name = "--escaped",
            .help =
                "KEY and VALUE are as keys and items print them: \\xNN is a byte, and a KEY "
                "\\TYPE:VALUE is of that type"};
}

Option escaped_prefix_option() {
    return {.name = "--escaped", .help = "in PREFIX \\xNN is a byte, as keys prints it"};
}

Dictionary attach(const Arguments& arguments) {
    return attach_within(arguments, all_of(arguments));
}

Dictionary attach_for_question(const Arguments& arguments) {
    return attach_within(arguments, all_of_question(arguments));
}

milliseconds timeout_of(const Arguments& arguments) {
    return left_of(all_of(arguments));
}

milliseconds timeout_of_question(const Arguments& arguments) {
    return left_of(all_of_question(arguments));
}

}  // namespace ddict::tools
