// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/options.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <map>

#include "base/assert.h"
#include "launcher/sizes.h"
#include "os/signal_names.h"
#include "os/signals.h"
#include "slurm/hostlist.h"

namespace ddict::launcher {
namespace {

namespace po = boost::program_options;

constexpr std::array<OptionText, 15> texts{{
    {"nodes", "DDICT_NODES", "N", "all of the job",
     "Nodes to place managers on. Without Slurm there is one: this machine; N then multiplies its managers."},
    {"nodelist", "DDICT_NODELIST", "NODES", "all of the job",
     "The nodes of the job that managers may be placed on, as Slurm writes them: n1,n[4-7]. Only in a job."},
    {"managers-per-node", "DDICT_MANAGERS_PER_NODE", "M", "1",
     "Managers on each node. Each is one thread with a pool of its own."},
    {"total-mem", "DDICT_TOTAL_MEM", "SIZE", "256M",
     "Memory of the whole dictionary, divided evenly among the managers, at least 1M for each: 2G, 512M, "
     "1.5G, "
     "268435456."},
    {"timeout", "DDICT_TIMEOUT", "SECONDS", "60",
     "How long the dictionary may take to come up, and to end on stop."},
    {"name", "DDICT_NAME", "NAME", "default",
     "Tells several dictionaries apart. Letters, digits, '.', '_' and '-'; at most 40."},
    {"state-dir", "DDICT_STATE_DIR", "DIR", "~/.local/state/ddict",
     "Where start, stop, status and env keep what is running. Every node of the job must see it."},
    {"manager-program", "DDICT_MANAGER_PROGRAM", "FILE", "beside ddict-launch", "The ddict-manager to run."},
    {"no-restart", "DDICT_NO_RESTART", "", "no",
     "A manager that has died is not started again: its keys are lost. The variable is 1."},
    {"fail-on-loss", "DDICT_FAIL_ON_LOSS", "", "no",
     "The exit status is 3 if the command has ended with 0, but keys were lost meanwhile, with a manager or "
     "a "
     "node. The variable is 1. Only with a command."},
    {"load", "DDICT_LOAD", "PATH", "nothing",
     "A checkpoint to load before the command runs: one that 'ddict save' or --save has written; or latest: "
     "the newest whole one of this name in the folder of --save. If there is none yet, for certain, it says "
     "so, and begins empty. Only with a command."},
    {"save", "DDICT_SAVE", "DIR", "nowhere",
     "Where to save all pairs when the command has ended, whatever its exit status. One ddict-launch at a "
     "time has a folder under one name. Only with a command."},
    {"save-before", "DDICT_SAVE_BEFORE", "SECONDS", "never",
     "Saves so long before the time limit of the Slurm job, too, while the command goes on."},
    {"save-on", "DDICT_SAVE_ON", "SIGNALS", "none",
     "Saves whenever one of these signals comes, too: USR2, or several, USR2,TERM. The command gets it as "
     "well."},
    {"save-keep", "DDICT_SAVE_KEEP", "N", "all",
     "How many saves of this name stay in the folder of --save: the older ones are removed when a new one is "
     "complete."},
}};

struct VerbText {
    std::string_view word;
    Verb verb;
};
constexpr std::array<VerbText, 10> verbs{{{"start", Verb::start},
                                          {"stop", Verb::stop},
                                          {"status", Verb::status},
                                          {"env", Verb::env},
                                          {"restart", Verb::restart},
                                          {"serve", Verb::serve},
                                          {"--node", Verb::node},
                                          {"--check-node", Verb::check_node},
                                          {"--addresses", Verb::addresses},
                                          {"--sweep", Verb::sweep}}};

Error wrong(std::string_view text) {
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

Error wrong_value(std::string_view origin, std::string_view value, std::string_view expected) {
    return wrong(std::string(origin) + ": '" + std::string(value.substr(0, 60)) + "' is not " +
                 std::string(expected));
}

Result<std::uint32_t> parse_count(std::string_view origin, std::string_view text, std::uint32_t max) {
    std::uint32_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || end != text.data() + text.size() || count == 0 || count > max)
        return wrong_value(origin, text, "a number from 1 to " + std::to_string(max));
    return count;
}

Result<std::chrono::milliseconds> parse_seconds(std::string_view origin, std::string_view text) {
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    constexpr double seconds_max = 86'400;
    if (error != std::errc() || end != text.data() + text.size() || !(seconds > 0) || seconds > seconds_max)
        return wrong_value(origin, text, "a number of seconds above 0, at most 86400");
    return std::chrono::milliseconds(std::max(1L, std::lround(seconds * 1000)));
}

Result<std::vector<int>> parse_signals(std::string_view origin, std::string_view text) {
    const sigset_t possible = os::ending_signals();
    std::vector<int> numbers;
    for (std::size_t at = 0; at <= text.size();) {
        const std::string_view name = text.substr(at, text.find(',', at) - at);
        const auto number = os::signal_number(name);
        if (!number || sigismember(&possible, *number) != 1)
            return wrong_value(origin, name, "a signal that a program can wait for: USR2, TERM, RTMIN+1, 12");
        numbers.push_back(*number);
        at += name.size() + 1;
    }
    return numbers;
}

Result<bool> parse_flag(std::string_view origin, std::string_view text) {
    if (text != "0" && text != "1") return wrong_value(origin, text, "0 or 1");
    return text == "1";
}

bool name_is_good(std::string_view name) {
    return !name.empty() && name.size() <= limits::name_bytes_max && name.front() != '.' &&
           name.front() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-';
           });
}

/// Sets one option from its text. `origin` is what the text was given by, for the error: "--nodes",
/// "DDICT_NODES".
Result<void> apply(Options& options, std::string_view option, std::string_view origin,
                   const std::string& text) {
    if (option == "fail-on-loss") {
        const auto wanted = parse_flag(origin, text);
        if (!wanted.has_value()) return wanted.error();
        options.fail_on_loss = *wanted;
    } else if (option == "nodes") {
        const auto nodes = parse_count(origin, text, limits::managers_max);
        if (!nodes) return nodes.error();
        options.nodes = *nodes;
    } else if (option == "nodelist") {
        auto names = slurm::expand_hostlist(text);
        if (!names) return wrong(std::string(origin) + ": " + names.error().detail.data());
        options.nodelist = std::move(*names);
    } else if (option == "managers-per-node") {
        const auto managers = parse_count(origin, text, limits::managers_per_node_max);
        if (!managers) return managers.error();
        options.managers_per_node = *managers;
    } else if (option == "total-mem") {
        const auto bytes = parse_size(text);
        if (!bytes) return wrong(std::string(origin) + ": " + bytes.error().detail.data());
        options.total_bytes = *bytes;
    } else if (option == "timeout") {
        const auto timeout = parse_seconds(origin, text);
        if (!timeout) return timeout.error();
        options.timeout = *timeout;
    } else if (option == "name") {
        if (!name_is_good(text))
            return wrong_value(origin, text,
                               "a name: letters, digits, '.', '_' and '-', at most 40, no '.' or '-' first");
        options.name = text;
    } else if (option == "state-dir") {
        options.state_dir = text;
    } else if (option == "manager-program") {
        options.manager_program = text;
    } else if (option == "no-restart") {
        const auto wanted = parse_flag(origin, text);
        if (!wanted.has_value()) return wanted.error();
        options.restart = !*wanted;
    } else if (option == "load") {
        options.load = text;
    } else if (option == "save") {
        options.save = text;
    } else if (option == "save-before") {
        const auto before = parse_seconds(origin, text);
        if (!before) return before.error();
        options.save_before = *before;
    } else if (option == "save-on") {
        auto numbers = parse_signals(origin, text);
        if (!numbers) return numbers.error();
        options.save_on = *std::move(numbers);
    } else if (option == "save-keep") {
        const auto keep = parse_count(origin, text, 1'000'000);
        if (!keep) return keep.error();
        options.save_keep = *keep;
    }
    return {};
}

/// The first word that is neither an option nor the value of one; nothing if there is none.
std::optional<std::string> stray_word(const std::vector<std::string>& args) {
    for (std::size_t i = 0; i < args.size(); ++i) {
        if (!args[i].starts_with("--")) return args[i];
        const bool takes_value =
            args[i] == "--manager" || std::any_of(texts.begin(), texts.end(), [&](const OptionText& text) {
                return args[i].substr(2) == text.option && !text.value.empty();
            });
        if (takes_value) ++i;
    }
    return std::nullopt;
}

Error wrong_word(const std::string& word, Verb verb) {
    if (word.size() > 1 && word[0] == '-')
        return wrong("unrecognised option '" + word + "'; see ddict-launch --help");
    if (std::any_of(verbs.begin(), verbs.end(), [&](const VerbText& one) { return one.word == word; }))
        return wrong("'" + word + "' comes first: ddict-launch " + word + " [options]");
    for (const VerbText& one : verbs) {
        if (one.verb == verb)
            return wrong(std::string(one.word) + " takes no word '" + word.substr(0, 60) +
                         "'; see ddict-launch --help");
    }
    return wrong(
        "there is no command '" + word.substr(0, 60) +
        "'; see ddict-launch --help. A program to run is written after --: ddict-launch -- ./program");
}

/// The first word may be a verb. Removes it from args.
Verb take_verb(std::vector<std::string>& args) {
    if (args.empty()) return Verb::run;
    const auto found =
        std::find_if(verbs.begin(), verbs.end(), [&](const VerbText& v) { return v.word == args[0]; });
    if (found == verbs.end()) return Verb::run;
    args.erase(args.begin());
    return found->verb;
}

po::options_description described_options() {
    po::options_description description;
    for (const OptionText& text : texts) {
        if (text.value.empty()) {
            description.add_options()(std::string(text.option).c_str(), "");
        } else {
            description.add_options()(std::string(text.option).c_str(), po::value<std::string>());
        }
    }
    description.add_options()("help", "")("version", "")("check", "")("export", "")("json", "");
    description.add_options()("manager", po::value<std::string>());
    return description;
}

Result<po::variables_map> parse_command_line(const std::vector<std::string>& args, Verb verb) {
    po::variables_map given;
    try {
        using namespace po::command_line_style;
        const po::options_description description = described_options();
        const po::positional_options_description no_positional;
        po::store(po::command_line_parser(args)
                      .options(description)
                      .style(allow_long | long_allow_adjacent | long_allow_next)
                      .positional(no_positional)
                      .run(),
                  given);
    } catch (const po::too_many_positional_options_error&) {
        return wrong_word(stray_word(args).value_or(""), verb);
    } catch (const po::error& error) {
        return wrong(std::string(error.what()) + "; see ddict-launch --help");
    }
    return given;
}

Result<void> apply_all(Options& options, const po::variables_map& given, const os::Environment& environment) {
    for (const OptionText& text : texts) {
        const std::string option(text.option);
        if (given.count(option) != 0) {
            const auto done = apply(options, option, "--" + option,
                                    text.value.empty() ? "1" : given[option].as<std::string>());
            if (!done) return done;
        } else if (const auto variable = environment.find(text.variable);
                   variable != environment.end() && !variable->second.empty()) {
            const auto done = apply(options, option, text.variable, variable->second);
            if (!done) return done;
            options.by_variable.insert(option);
        }
    }
    return {};
}

/// Which manager is to be restarted.
Result<void> apply_manager(Options& options, const po::variables_map& given) {
    const bool is_given = given.count("manager") != 0;
    if (options.verb != Verb::restart)
        return is_given ? wrong("--manager belongs to: ddict-launch restart") : Result<void>();
    if (!is_given)
        return wrong("which manager? ddict-launch restart --manager N; 'ddict stats' has the numbers");
    const std::string text = given["manager"].as<std::string>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), options.manager);
    if (error != std::errc() || end != text.data() + text.size() || options.manager >= limits::managers_max)
        return wrong_value("--manager", text, "the number of a manager, of which 0 is the first");
    return {};
}

/// Flags that belong to one verb only.
Result<void> apply_flags(Options& options, const po::variables_map& given) {
    options.export_line = given.count("export") != 0;
    options.json = given.count("json") != 0;
    if (options.export_line && options.verb != Verb::start)
        return wrong("--export belongs to: ddict-launch start");
    if (options.json && options.verb != Verb::status) return wrong("--json belongs to: ddict-launch status");
    if (const auto done = apply_manager(options, given); !done) return done;
    for (const char* option : {"load", "save", "save-before", "save-on", "save-keep"}) {
        if (given.count(option) != 0 && options.verb != Verb::run)
            return wrong(std::string("--") + option +
                         " belongs to: ddict-launch -- COMMAND; after start: ddict " +
                         std::string(option).substr(0, 4));
    }
    if (given.count("fail-on-loss") != 0 && options.verb != Verb::run)
        return wrong("--fail-on-loss belongs to: ddict-launch -- COMMAND");
    return {};
}

/// Options that say when to save, or what to load from there, need a folder.
Result<void> check_saving(const Options& options, const po::variables_map& given) {
    if (options.verb != Verb::run || !options.save.empty()) return {};
    const auto needs_folder = [](std::string_view what) {
        return wrong(std::string(what) + " needs --save DIR, or DDICT_SAVE");
    };
    if (options.load == load_latest)
        return needs_folder(options.given_by("load") + " latest (a folder of that name is ./latest)");
    if (options.save_before) return needs_folder(options.given_by("save-before"));
    if (!options.save_on.empty()) return needs_folder(options.given_by("save-on"));
    if (given.count("save-keep") != 0) return needs_folder("--save-keep");
    return {};
}

}  // namespace

std::string Options::given_by(std::string_view option) const {
    const auto text = std::find_if(texts.begin(), texts.end(),
                                   [&](const OptionText& candidate) { return candidate.option == option; });
    DDICT_ASSERT(text != texts.end(), "there is no such option");
    return by_variable.contains(option) ? std::string(text->variable) : "--" + std::string(option);
}

namespace {

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
    std::string out;
    std::size_t column = indent;
    while (!text.empty()) {
        const std::size_t space = text.find(' ');
        const std::string_view word = text.substr(0, space);
        if (column > indent && column + 1 + word.size() > width) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        } else if (column > indent) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    }
    return out;
}

}  // namespace

std::span<const OptionText> option_texts() {
    return texts;
}

Result<Options> parse_options(const std::vector<std::string>& args, const os::Environment& environment) {
    Options options;
    std::vector<std::string> mine = args;
    options.verb = take_verb(mine);
    if (options.verb == Verb::node || options.verb == Verb::check_node || options.verb == Verb::addresses ||
        options.verb == Verb::sweep) {
        options.hidden = std::move(mine);
        return options;
    }
    const auto dashes = std::find(mine.begin(), mine.end(), "--");
    std::replace(mine.begin(), dashes, std::string("-h"), std::string("--help"));
    const bool has_command = dashes != mine.end();
    if (has_command) options.command.assign(dashes + 1, mine.end());
    mine.erase(dashes, mine.end());

    const auto given = parse_command_line(mine, options.verb);
    if (!given) return given.error();
    if (given->count("help") != 0) {
        options.verb = Verb::help;
        return options;
    }
    if (given->count("version") != 0) {
        options.verb = Verb::version;
        return options;
    }
    if (given->count("check") != 0) {
        if (options.verb != Verb::run) return wrong("--check stands alone: ddict-launch --check [options]");
        options.verb = Verb::check;
    }
    if (const auto done = apply_flags(options, *given); !done) return done.error();
    if (const auto done = apply_all(options, *given, environment); !done) return done.error();
    if (const auto done = check_saving(options, *given); !done) return done.error();
    options.name_given = given->count("name") != 0;
    if (options.verb == Verb::run && options.command.empty())
        return wrong(
            "no command: write it after --, for example: ddict-launch -- srun ./program; see --help");
    if (options.verb != Verb::run && options.verb != Verb::check && has_command)
        return wrong("this runs no command; leave out -- and what follows");
    return options;
}

std::string help_text() {
    std::string out =
        "Brings up a dictionary, runs a command that finds it, and takes it down again.\n"
        "\n"
        "  ddict-launch [options] -- COMMAND [ARGUMENT...]\n"
        "  ddict-launch start [options] [--export]   leave one running; prints its handle,\n"
        "                                            or with --export a line for eval\n"
        "  ddict-launch stop [--name NAME]           end it\n"
        "  ddict-launch status [--name NAME] [--json]  what start has left running\n"
        "  ddict-launch env [--name NAME]            the line that --export printed, again\n"
        "  ddict-launch restart --manager N [--name NAME]  have another process take the place\n"
        "                                            of a manager, and its pairs over; as 'ddict\n"
        "                                            restart N' does where DDICT_HANDLE is set\n"
        "  ddict-launch serve [options]              for programs: prints 'ready HANDLE' or\n"
        "                                            'error CODE: REASON'; ends with its stdin\n"
        "  ddict-launch --check [options]            can it work here? looks at each node and tries\n"
        "                                            the network between them; 0 or 1\n"
        "  ddict-launch --help or -h, --version\n"
        "\n"
        "In a Slurm job the managers are placed on the job's nodes, elsewhere on this machine.\n"
        "The command finds the dictionary by the variables DDICT_HANDLE and DDICT_NAME, and\n"
        "what srun starts in a job by SLURM_DDICT_HANDLE, whatever it exports.\n"
        "\n"
        "Managers accept connections of this host, in a job also of its other nodes;\n"
        "DDICT_ALLOW_HOSTS names further ones, or all.\n"
        "\n"
        "Options, and the environment variables that stand in for them (the option wins):\n";
    for (const OptionText& text : texts) {
        out += "  --" + std::string(text.option) + (text.value.empty() ? "" : " ") + std::string(text.value) +
               ", " + std::string(text.variable) + " [" + std::string(text.preset) + "]\n        " +
               wrapped(text.meaning, 8, 80) + "\n";
    }
    out +=
        "\n"
        "DDICT_UCX_NET_DEVICES and DDICT_UCX_TLS choose the network; so every option of UCX can be\n"
        "set for ddict alone. UCX_NET_DEVICES and the like, which are for MPI as well, count\n"
        "where these are not set.\n"
        "\n"
        "Signals that would end ddict-launch go to the command instead (TERM, INT, USR1, ...),\n"
        "and the dictionary serves until the command has ended. Before it runs, and after it\n"
        "has ended, the first cancels in good order and the second by force; a save at the\n"
        "end is given up by the second, too. A dictionary of\n"
        "start ends by stop, or with its job; outside a job also by INT, TERM or HUP.\n"
        "\n"
        "Exit status: the command's own; 128+N if it was killed by signal N; 127 if it is not\n"
        "found, 126 if it cannot be run; 3 with --fail-on-loss if it ended with 0, but keys were\n"
        "lost; 1 if the dictionary could not be brought up, loaded\n"
        "or saved; 2 if the options are wrong, or do not fit the job; 128+N if cancelled by\n"
        "signal N before the command ran. status: 0 if a dictionary of start is running, 1 if\n"
        "not, 3 if that is not known. stop: 0 if it has ended, also if a client had destroyed\n"
        "it. restart: that of 'ddict restart': 0 when the new process answers.\n"
        "Where env or start --export fail they print 'false', so that eval fails as well.\n";
    return out;
}

}  // namespace ddict::launcher
