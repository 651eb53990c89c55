// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/commands.h"

#include <algorithm>
#include <cstdlib>

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

Dictionary attach_within(const Arguments& arguments, milliseconds attach_timeout) {
    AttachOptions options;
    options.timeout = given_timeout(arguments);
    options.attach_timeout = std::min(options.attach_timeout, attach_timeout);
    const std::optional<std::string> handle = arguments.value("--handle");
    return handle ? Dictionary::attach(*handle, options) : Dictionary::attach(options);
}

}  // namespace

std::span<const Command> all_commands() {
    static const std::vector<Command> commands = [] {
        std::vector<Command> all = key_commands();
        for (const std::vector<Command>& more : {pair_commands(), state_commands(), checkpoint_commands()})
            all.insert(all.end(), more.begin(), more.end());
        return all;
    }();
    return commands;
}

std::span<const Option> options_of_all_commands() {
    static constexpr Option options[] = {
        {.name = "--timeout",
         .value = "SECONDS",
         .help = "how long it may take, give or take half a second; for keys and items, how long nothing may "
                 "come (default 30, or DDICT_OPERATION_TIMEOUT; of stats and health no more than 5)"},
        {.name = "--handle",
         .value = "HANDLE",
         .help = "of another dictionary. A handle holds a secret, and as an argument others on this machine "
                 "can see it"},
        {.name = "--help", .letter = 'h', .help = "this text; with a command, what there is to say of it"},
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
