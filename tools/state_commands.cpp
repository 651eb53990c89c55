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
#include "tools/json_text.h"
#include "tools/metrics_server.h"
#include "tools/metrics_text.h"
#include "tools/pair_printer.h"
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

bool has_ended(const Sample& sample) {
    return std::all_of(sample.managers.begin(), sample.managers.end(), [](const ManagerSample& manager) {
        return manager.lost && manager.lost->code == Errc::dictionary_gone;
    });
}

int serve_metrics(const Dictionary& dict, std::chrono::milliseconds timeout, const std::string& where) {
    MetricsServer server(where);
    print(server.address() + "\n");
    finish_output();
    server.serve([&](MetricsFormat format) {
        const Sample sample = ask_each(dict.within(timeout));
        return has_ended(sample) ? std::nullopt : std::optional(metrics_text(sample, dict.name(), format));
    });
    return success;
}

int run_metrics(const Arguments& arguments) {
    const Dictionary dict = attach_for_question(arguments);
    if (const auto where = arguments.value("--listen"))
        return serve_metrics(dict, timeout_of_question(arguments), *where);
    const Sample sample = ask_each(dict.within(timeout_of_question(arguments)));
    print(
        metrics_text(sample, dict.name(),
                     arguments.has("--prometheus") ? MetricsFormat::prometheus : MetricsFormat::openmetrics));
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

nlohmann::ordered_json json_of(const ManagerHealth& health) {
    nlohmann::ordered_json json{
        {"manager", health.manager}, {"node", health.node}, {"alive", health.alive()}};
    if (health.alive()) {
        json["round_trip_ns"] = health.round_trip.count();
        json["restarts"] = health.restarts;
    } else {
        json["error"] = {{"code", name(health.error->code)}, {"message", health.error->message()}};
        json["restarting"] = health.restarting;
    }
    return json;
}

int run_health(const Arguments& arguments) {
    const Dictionary dict = attach_for_question(arguments);
    const bool is_json = arguments.has("--json");
    JsonList list;
    Sample sample;
    for (const ManagerHealth& health : dict.within(timeout_of_question(arguments)).health()) {
        sample.managers.push_back({.manager = health.manager, .lost = health.error});
        if (is_json) {
            list.add(json_of(health));
            continue;
        }
        const std::string node = health.node.empty() ? "?" : printable(health.node);
        print("manager " + std::to_string(health.manager) + " on " + node + ": " + health_text(health) +
              "\n");
    }
    if (is_json) list.end();
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
    attach(arguments).destroy({.keep_pools = arguments.has("--keep")});
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
        "  transport         how clients reach it; 'frozen' where nothing may change;\n"
        "                    'began empty' where a dictionary was resumed, and nothing\n"
        "                    was kept; how often another process has taken its place;\n"
        "                    tunnels, by which children of fork() reach other nodes\n"
        "                    through it or end in it\n"
        "Of each kind of operation: how many requests, and how long half of them, 99 of 100 and the longest "
        "took in the manager. (local read): keys that clients of the manager's node have looked up in its "
        "memory; that asks no manager, so it has no times. ping, "
        "directory, detach and stats are what clients ask besides, this command among them; "
        "cancel_wait ends the waits for the keys of a wait --any that did not come first.\n";
    return {
        {.name = "stats",
         .options = {{.name = "--json",
                      .help = "for programs; also how fast each answers, and what this command did itself"}},
         .summary = "what each manager says of itself, or why it does not answer",
         .help = legend,
         .run = run_stats},
        {.name = "metrics",
         .options = {{.name = "--prometheus",
                      .help = "in Prometheus' older text format, which the textfile collector of "
                              "node_exporter reads"},
                     {.name = "--listen",
                      .value = "PORT|PATH",
                      .help = "answer GET /metrics over HTTP until the dictionary ends: on a port of this "
                              "host's loopback network, 0 for any, or on a Unix socket, a path with a '/' "
                              "in it; prints where",
                      .completes = {.kind = Completes::Kind::file}}},
         .summary = "the same for monitors, as OpenMetrics text",
         .help =
             "Of each manager with its node and the dictionary's name as labels; of one that does not "
             "answer, only that ddict_manager_up is 0. Counters are from when the manager came up. It takes "
             "5 s at the most, or --timeout SECONDS.\n",
         .run = run_metrics},
        {.name = "top",
         .options = {{.name = "--once", .help = "one picture of one interval, as text, also on a terminal"},
                     {.name = "--interval", .value = "SECONDS", .help = "how often it changes (default 1)"}},
         .summary = "a live screen of what the managers do; q ends it",
         .help = "Where the output is no terminal, one picture as text.\n",
         .run = run_top},
        {.name = "health",
         .options = {json_option()},
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
         .run = run_restart,
         .completes = {{.kind = Completes::Kind::manager}}},
        {.name = "destroy",
         .options = {{.name = "--keep", .help = "its pools stay in memory, for ddict-launch --resume"}},
         .summary = "end the dictionary, for everybody",
         .help = "What is kept takes memory until it is resumed, or until ddict-launch discard\n"
                 "gives it back.\n",
         .run = run_destroy},
    };
}

}  // namespace ddict::tools
