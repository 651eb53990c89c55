// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <limits>

#include "tools/activity.h"
#include "tools/commands.h"
#include "tools/each_manager.h"
#include "tools/error_text.h"
#include "tools/escapes.h"
#include "tools/standard_streams.h"
#include "tools/stats_text.h"
#include "tools/top.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

int run_stats(const Arguments& arguments) {
    const Dictionary dict = attach_for_question(arguments);
    const Sample sample = ask_each(dict.within(timeout_of_question(arguments)));
    print(arguments.has("--json") ? stats_json(sample, dict.profile()) : stats_table(sample));
    return status_of(sample);
}

int run_top(const Arguments& arguments) {
    TopOptions options;
    options.once = arguments.has("--once");
    if (const auto interval = arguments.seconds("--interval", 0.1, 3600)) options.interval = *interval;
    return run_top(attach(arguments), options);
}

std::string health_text(const ManagerHealth& health) {
    if (!health.alive())
        return printable_text(reason_of(*health.error)) +
               (health.restarting ? "; another process is being started in its place" : "");
    const std::string restarts =
        health.restarts != 0 ? ", restarted " + std::to_string(health.restarts) + "x" : "";
    return "alive, " + std::to_string(health.round_trip.count() / 1000) + " us" + restarts;
}

int run_health(const Arguments& arguments) {
    const Dictionary dict = attach_for_question(arguments);
    Sample sample;
    for (const ManagerHealth& health : dict.within(timeout_of_question(arguments)).health()) {
        const std::string node = health.node.empty() ? "?" : printable(health.node);
        print("manager " + std::to_string(health.manager) + " on " + node + ": " + health_text(health) +
              "\n");
        sample.managers.push_back({.manager = health.manager, .lost = health.error});
    }
    return status_of(sample);
}

std::uint32_t number_of_manager(const std::string& text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
        throw UsageError("'" + printable(text) + "' is not the number of a manager");
    return number;
}

int run_restart(const Arguments& arguments) {
    Dictionary dict = attach(arguments);
    for (std::size_t i = 0; i < arguments.operands().size(); ++i)
        dict.restart(number_of_manager(arguments.operands()[i]));
    return success;
}

int run_destroy(const Arguments& arguments) {
    attach(arguments).destroy();
    return success;
}

}  // namespace

std::vector<Command> state_commands() {
    constexpr const char* at_most = "It takes 5 s at the most, or --timeout SECONDS.\n";
    constexpr const char* legend =
        "It takes 5 s at the most, or --timeout SECONDS.\n"
        "\n"
        "Of each manager:\n"
        "  pool, used, free  memory for pairs; K, M and G are powers of 1024\n"
        "  largest           the largest piece that is free: what fits in one pair\n"
        "  sess              clients: threads of programs with a session there\n"
        "  wait              operations that wait for a key or for a value\n"
        "  rej               malformed or unauthorised messages since it came up\n"
        "  transport         how clients reach it; 'frozen' where nothing may change; how\n"
        "                    often another process has taken its place\n"
        "Of each kind of operation: how many requests, and how long half of them, 99 of 100 and the longest "
        "took in the manager. Reads of this node's shared memory ask no manager and are not counted. ping, "
        "directory, detach and stats are what clients ask besides, this command among them; "
        "cancel_wait ends the waits for the keys of a wait --any that did not come first.\n";
    return {
        {.name = "stats",
         .options = {{.name = "--json",
                      .help = "for programs; also how fast each answers, and what this command did itself"}},
         .summary = "what each manager says of itself, or why it does not answer",
         .help = legend,
         .run = run_stats},
        {.name = "top",
         .options = {{.name = "--once", .help = "one picture of one interval, as text, also on a terminal"},
                     {.name = "--interval", .value = "SECONDS", .help = "how often it changes (default 1)"}},
         .summary = "a live screen of what the managers do; q ends it",
         .help = "Where the output is no terminal, one picture as text.\n",
         .run = run_top},
        {.name = "health",
         .summary = "whether each manager answers, how fast, and how often it was restarted",
         .help = at_most,
         .run = run_health},
        {.name = "restart",
         .operands = "MANAGER...",
         .operands_min = 1,
         .operands_max = std::numeric_limits<std::size_t>::max(),
         .summary = "have other processes take the place of managers, one after the other",
         .help = "All pairs stay, clients go on. MANAGER is a number as in stats. Each is over when the new "
                 "process answers.\n",
         .run = run_restart},
        {.name = "destroy", .summary = "end the dictionary, for everybody", .run = run_destroy},
    };
}

}  // namespace ddict::tools
