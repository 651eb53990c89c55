// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/options.h"

#include <boost/program_options.hpp>
#include <charconv>
#include <sstream>
#include <string_view>

#include "base/limits.h"

namespace ddict::bench {
namespace {

namespace po = boost::program_options;

constexpr std::uint64_t clients_max = 256;
constexpr std::uint64_t pairs_max = 100'000'000;
constexpr std::uint64_t value_bytes_max = std::uint64_t{1} << 30;
constexpr std::uint64_t operations_max = 1'000'000'000;
constexpr std::uint64_t saved_bytes_min = 1 << 16;
constexpr std::uint64_t saved_bytes_max = std::uint64_t{1} << 40;

struct Range {
    std::uint64_t low;
    std::uint64_t high;
};

std::uint64_t number(std::string_view option, std::string_view text, Range range) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < range.low || value > range.high) {
        throw UsageError("--" + std::string(option) + ": '" + std::string(text) + "' is no number from " +
                         std::to_string(range.low) + " to " + std::to_string(range.high));
    }
    return value;
}

template <class T>
std::vector<T> numbers(std::string_view option, const std::string& text, Range range) {
    std::vector<T> values;
    std::istringstream items(text);
    for (std::string item; std::getline(items, item, ',');)
        values.push_back(static_cast<T>(number(option, item, range)));
    if (values.empty()) throw UsageError("--" + std::string(option) + ": nothing is there");
    return values;
}

double positive(std::string_view option, double value) {
    if (!(value > 0) || value > 3600) {
        throw UsageError("--" + std::string(option) + ": a number of seconds above 0, up to 3600");
    }
    return value;
}

Transport transport_named(const std::string& name) {
    if (name == "samehost") return Transport::samehost;
    if (name == "ucx") return Transport::ucx;
    throw UsageError("--transport: '" + name + "' is neither samehost nor ucx");
}

std::vector<Transport> transports_named(const std::string& text) {
    std::vector<Transport> transports;
    std::istringstream items(text);
    for (std::string item; std::getline(items, item, ',');)
        transports.push_back(transport_named(item));
    if (transports.empty()) throw UsageError("--transport: nothing is there");
    return transports;
}

std::vector<const OperationKind*> operations_named(const std::string& text) {
    std::vector<const OperationKind*> chosen;
    std::istringstream items(text);
    for (std::string item; std::getline(items, item, ',');) {
        chosen.push_back(operation_named(item));
        if (chosen.back() != nullptr) continue;
        std::string known;
        for (const OperationKind& one : all_operations())
            known += (known.empty() ? "" : ", ") + std::string(one.name);
        throw UsageError("--operations: '" + item + "' is none of " + known);
    }
    if (chosen.empty()) throw UsageError("--operations: nothing is there");
    return chosen;
}

double exponent(double value) {
    if (!(value > 0) || value > 10) throw UsageError("--zipf-exponent: a number above 0, up to 10");
    return value;
}

double zipf_exponent(const po::variables_map& given) {
    const std::string name =
        given.count("distribution") == 0 ? "uniform" : given["distribution"].as<std::string>();
    const bool zipf = name == "zipf";
    if (!zipf && name != "uniform") {
        throw UsageError("--distribution: '" + name + "' is neither uniform nor zipf");
    }
    if (given.count("zipf-exponent") == 0) return zipf ? 0.99 : 0;
    if (!zipf) throw UsageError("--zipf-exponent goes with --distribution zipf");
    return exponent(given["zipf-exponent"].as<double>());
}

Peer peer_named(const std::string& name) {
    if (name == "redis") return Peer::redis;
    throw UsageError("--peer: '" + name + "' is not redis");
}

po::options_description description() {
    po::options_description text("Options");
    auto add = text.add_options();
    const auto value = [](const char* name) { return po::value<std::string>()->value_name(name); };
    add("clients", value("N[,N...]"), "client processes [1]");
    add("managers", value("M[,M...]"), "managers of the dictionary that is created [1]");
    add("pairs", value("N"), "pairs in the dictionary [8192]");
    add("key-bytes", value("N"), "length of the keys, random letters [30]");
    add("value-bytes", value("N[,N...]"), "lengths of the values [8,8192]");
    add("operations", value("NAME[,NAME...]"),
        "what the clients do: get, put, mixed, batch_get, batch_put, async_get, async_put, bget, bput; "
        "get_message and the like do not read this node's memory [get,get_message,put]");
    add("batch", value("N"), "pairs in a batch, and in a pipeline of the peer [64]");
    add("in-flight", value("N"), "asynchronous operations under way at once [64]");
    add("put-percent", value("N"), "how many of mixed operations are puts [10]");
    add("distribution", value("uniform|zipf"), "how often each pair is chosen [uniform]");
    add("zipf-exponent", po::value<double>()->value_name("X"), "of --distribution zipf [0.99]");
    add("peer", value("redis"), "measure another store beside it: a Redis of our own on a Unix socket");
    add("seconds", po::value<double>()->value_name("S"),
        "how long each phase should take; the number of operations is chosen once for it [0.3]");
    add("ops", value("N"), "operations per client and phase, instead of --seconds");
    add("repetitions", value("N"), "of each phase; medians are shown [5]");
    add("transport", value("samehost|ucx[,...]"),
        "within the host, or over the network as between hosts; beside it UCX alone, over its shared memory "
        "and over the network");
    add("pin",
        "keep every process that measures, and every manager, on one processor, in turns: for a machine on "
        "which others are at work");
    add("attach", "measure the dictionary of the environment; its other pairs are left alone");
    add("seed", value("N"), "of keys and choices [1]");
    add("json", value("FILE"), "write all figures there");
    add("idle", po::value<double>()->value_name("SECONDS"),
        "measure the CPU time that an idle dictionary takes, and the first request after it");
    add("suite", value("targets|saving"),
        "measure everything that ddict has set itself as a target, and say what is met: of operations, or of "
        "what goes on while a dictionary is saved, is restored, or goes to its next checkpoint; goes with "
        "--pairs, --seconds, --repetitions, --pin, --seed, --json; and with --idle, --large-value-bytes, or "
        "with --save (needed), --saved-bytes, --step-pairs");
    add("large-value-bytes", value("N[,N...]"), "lengths of large values, of that suite [1048576,67108864]");
    add("bring-up", "measure how long the dictionary takes to come up and to go");
    add("memory", "measure what pairs take, what of a full pool is payload, and how long moving pairs takes");
    add("connections", "measure what attaching and the first requests cost, for each number of --managers");
    add("save", value("DIR"),
        "measure saving to this folder and loading from it, beside writing the same bytes with fsync, and "
        "copying them");
    add("saved-bytes", value("N"), "what is saved, of --suite saving [1073741824]");
    add("step-pairs", value("N"), "pairs that are put at each checkpoint, of --suite saving [2000000]");
    add("help", "this text");
    add("version", "the version of ddict");
    return text;
}

void set_suite(Options& options, const std::string& name) {
    options.targets = name == "targets";
    options.saving_targets = name == "saving";
    if (!options.targets && !options.saving_targets)
        throw UsageError("--suite: '" + name + "' is neither targets nor saving");
}

void check_suite(const Options& options, const po::variables_map& given) {
    const auto refuse = [&](std::initializer_list<const char*> others, const std::string& why) {
        for (const char* other : others)
            if (given.count(other) != 0) throw UsageError("--" + std::string(other) + why);
    };
    if (!options.saving_targets) refuse({"saved-bytes", "step-pairs"}, " goes with --suite saving");
    if (!options.targets) refuse({"large-value-bytes"}, " goes with --suite targets");
    if (!options.targets && !options.saving_targets) return;
    for (const char* other : {"clients", "managers", "value-bytes", "operations", "batch", "in-flight",
                              "put-percent", "transport", "attach", "bring-up", "memory", "connections",
                              "peer", "ops", options.targets ? "save" : "idle"}) {
        if (given.count(other) != 0) {
            throw UsageError("--suite chooses that itself: leave out --" + std::string(other));
        }
    }
    if (options.saving_targets && options.save.empty())
        throw UsageError("--suite saving needs a folder to save to: --save DIR");
}

void check_together(const Options& options, const po::variables_map& given) {
    check_suite(options, given);
    if (options.attach && given.count("managers") != 0) {
        throw UsageError("--managers: the dictionary of --attach has as many as it has");
    }
    if (options.attach && options.pin)
        throw UsageError("--pin: the managers of --attach are not ours to pin");
    if (options.attach && options.bring_up) {
        throw UsageError("--bring-up creates dictionaries; it cannot be used with --attach");
    }
    if (options.attach && (options.memory || options.connections)) {
        throw UsageError("--memory and --connections create dictionaries; they cannot be used with --attach");
    }
    if (options.bring_up + options.memory + options.connections > 1) {
        throw UsageError("--bring-up, --memory, --connections: one at a time");
    }
    if (!options.save.empty() &&
        (options.attach || options.bring_up || options.memory || options.connections || options.idle != 0)) {
        throw UsageError(
            "--save creates a dictionary, and measures nothing else: leave out --attach, --bring-up, "
            "--memory, --connections, --idle");
    }
    if (options.bring_up && options.idle != 0) throw UsageError("--idle and --bring-up: one at a time");
    if (options.transports.size() > 1 && !options.headline())
        throw UsageError("--transport: one at a time, but for operations");
    if (given.count("seconds") != 0 && given.count("ops") != 0) {
        throw UsageError("--seconds and --ops: one of them");
    }
    if (Workload::keys_possible(options.workload.key_bytes) / 2 < options.workload.pairs) {
        throw UsageError("--key-bytes: there are too few keys of that length for so many pairs");
    }
}

}  // namespace

Options parse_options(const std::vector<std::string>& args) {
    po::variables_map given;
    try {
        const po::options_description known = description();
        const po::parsed_options parsed =
            po::command_line_parser(args)
                .options(known)
                .style(po::command_line_style::default_style & ~po::command_line_style::allow_guessing)
                .run();
        for (const po::option& one : parsed.options) {
            if (one.position_key >= 0) throw UsageError("'" + one.value.front() + "' is not an option");
        }
        po::store(parsed, given);
        po::notify(given);
    } catch (const po::error& error) {
        throw UsageError(error.what());
    }
    const auto text = [&](const char* name) { return given[name].as<std::string>(); };
    const auto has = [&](const char* name) { return given.count(name) != 0; };

    Options options;
    options.help = has("help");
    options.version = has("version");
    if (has("clients"))
        options.clients = numbers<std::uint32_t>("clients", text("clients"), {1, clients_max});
    if (has("managers")) {
        options.managers =
            numbers<std::uint32_t>("managers", text("managers"), {1, limits::managers_per_node_max});
    }
    if (has("value-bytes")) {
        options.value_bytes =
            numbers<std::uint64_t>("value-bytes", text("value-bytes"), {0, value_bytes_max});
    }
    if (has("pairs")) options.workload.pairs = number("pairs", text("pairs"), {1, pairs_max});
    if (has("key-bytes")) {
        options.workload.key_bytes =
            static_cast<std::size_t>(number("key-bytes", text("key-bytes"), {1, limits::key_bytes_max}));
    }
    options.operations_measured =
        operations_named(has("operations") ? text("operations") : "get,get_message,put");
    if (has("batch"))
        options.grouping.batch = static_cast<unsigned>(number("batch", text("batch"), {1, 65536}));
    if (has("in-flight")) {
        options.grouping.in_flight = static_cast<unsigned>(number("in-flight", text("in-flight"), {1, 1024}));
    }
    if (has("put-percent")) {
        options.grouping.put_percent =
            static_cast<unsigned>(number("put-percent", text("put-percent"), {0, 100}));
    }
    options.workload.zipf_exponent = zipf_exponent(given);
    if (has("peer")) options.peer = peer_named(text("peer"));
    if (has("seed")) options.workload.seed = number("seed", text("seed"), {0, UINT64_MAX});
    if (has("ops")) options.effort.operations = number("ops", text("ops"), {1, operations_max});
    if (has("repetitions")) {
        options.effort.repetitions =
            static_cast<unsigned>(number("repetitions", text("repetitions"), {1, 1000}));
    }
    if (has("seconds")) options.effort.seconds = positive("seconds", given["seconds"].as<double>());
    if (has("idle")) options.idle = positive("idle", given["idle"].as<double>());
    if (has("transport")) options.transports = transports_named(text("transport"));
    if (has("suite")) set_suite(options, text("suite"));
    if (has("large-value-bytes")) {
        options.large_value_bytes =
            numbers<std::uint64_t>("large-value-bytes", text("large-value-bytes"), {1024, value_bytes_max});
    }
    if (has("json")) options.json = text("json");
    options.attach = has("attach");
    options.pin = has("pin");
    options.bring_up = has("bring-up");
    options.memory = has("memory");
    options.connections = has("connections");
    if (has("save")) options.save = text("save");
    if (has("saved-bytes"))
        options.saved_bytes = number("saved-bytes", text("saved-bytes"), {saved_bytes_min, saved_bytes_max});
    if (has("step-pairs")) options.step_pairs = number("step-pairs", text("step-pairs"), {1, pairs_max});
    check_together(options, given);
    return options;
}

std::string help_text() {
    std::ostringstream out;
    out << "usage: ddict-bench [OPTIONS]\n\n"
           "Measures a dictionary, and beside it, in the same run, what UCX can do by itself: client "
           "processes\n"
           "get, and then put, values of random keys, one operation after the other. Without options: the\n"
           "headline workload of 8192 pairs, one client, one manager, a dictionary of its own on this "
           "machine.\n\n"
        << description()
        << "\nExit status: 0, 1 when something failed, 2 for a command line that makes no sense.\n"
           "docs/performance.md says what is measured and what the columns mean.\n";
    return out.str();
}

}  // namespace ddict::bench
