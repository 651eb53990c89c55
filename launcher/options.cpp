// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/options.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>

#include "base/assert.h"
#include "launcher/sizes.h"
#include "launcher/topology.h"
#include "os/signal_names.h"
#include "os/signals.h"
#include "persist/compression.h"
#include "slurm/hostlist.h"

namespace ddict::launcher {
namespace {

namespace po = boost::program_options;

constexpr std::uint32_t saves_kept_max = 1'000'000;
constexpr std::size_t persist_path_bytes_max = 4095;  // as Linux has it; the handle holds it

struct VerbText {
    std::string_view word;
    Verb verb;
};
constexpr std::array<VerbText, 17> verbs{{{"start", Verb::start},
                                          {"stop", Verb::stop},
                                          {"status", Verb::status},
                                          {"env", Verb::env},
                                          {"exec", Verb::exec},
                                          {"restart", Verb::restart},
                                          {"discard", Verb::discard},
                                          {"serve", Verb::serve},
                                          {"--node", Verb::node},
                                          {"--check-node", Verb::check_node},
                                          {"--addresses", Verb::addresses},
                                          {"--on-hosts", Verb::on_hosts},
                                          {"--lives", Verb::lives},
                                          {"--keep-log", Verb::keep_log},
                                          {"--discard-here", Verb::discard_here},
                                          {"--sweep", Verb::sweep},
                                          {"--keep-record", Verb::keep_record}}};

Error wrong(std::string_view text) {
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

Error wrong_value(std::string_view origin, std::string_view value, std::string_view expected) {
    return wrong(std::string(origin) + ": '" + std::string(value.substr(0, 60)) + "' is not " +
                 std::string(expected));
}

Result<std::uint32_t> parse_number(std::string_view origin, std::string_view text, std::uint32_t min,
                                   std::uint32_t max) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < min || number > max)
        return wrong_value(origin, text,
                           "a number from " + std::to_string(min) + " to " + std::to_string(max));
    return number;
}

Result<std::uint32_t> parse_count(std::string_view origin, std::string_view text, std::uint32_t max) {
    return parse_number(origin, text, 1, max);
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

Result<BootstrapOption> parse_bootstrap(std::string_view origin, std::string_view text) {
    if (text == "auto") return BootstrapOption::automatic;
    if (text == "pmix") return BootstrapOption::pmix;
    if (text == "streams") return BootstrapOption::streams;
    return wrong_value(origin, text, "auto, pmix or streams");
}

Result<Bind> parse_bind(std::string_view origin, std::string_view text) {
    const auto bind = bind_named(text);
    return bind ? *bind : Result<Bind>(wrong_value(origin, text, "none, numa or core"));
}

Result<LogLevel> parse_log_level(std::string_view origin, std::string_view text) {
    if (text == "error") return LogLevel::error;
    if (text == "warning") return LogLevel::warning;
    if (text == "info") return LogLevel::info;
    if (text == "debug") return LogLevel::debug;
    return wrong_value(origin, text, "error, warning, info or debug");
}

/// Also in the background, where the folder is another one.
Result<void> apply_log(Options& options, std::string_view origin, const std::string& text) {
    std::error_code error;
    options.log.path = std::filesystem::absolute(text, error).string();
    if (text.empty() || error || !can_be_log(options.log.path))
        return wrong_value(origin, text, "the path of a file");
    return {};
}

/// As seen from here: programs may be elsewhere.
Result<void> apply_persist_path(Options& options, std::string_view origin, const std::string& text) {
    std::error_code error;
    const std::string path = std::filesystem::absolute(text, error).string();
    if (text.empty() || error || path.size() > persist_path_bytes_max)
        return wrong_value(origin, text, "the path of a folder");
    options.persist.path = path;
    return {};
}

/// Sets what was understood; otherwise says why it was not.
template <class To, class T>
Result<void> assign(To& to, Result<T> understood) {
    if (!understood.has_value()) return understood.error();
    to = *std::move(understood);
    return {};
}

/// What a flag sets if it is given; null for all else.
bool* flag_of(Options& options, std::string_view option) {
    if (option == "wait-for-keys") return &options.working_set.waits_for_keys;
    if (option == "wait-for-writers") return &options.working_set.waits_for_writers;
    if (option == "prefault") return &options.prefault;
    if (option == "huge-pages") return &options.huge_pages;
    if (option == "keep") return &options.keep;
    if (option == "resume") return &options.resume;
    if (option == "allow-empty") return &options.allow_empty;
    if (option == "fail-on-loss") return &options.fail_on_loss;
    if (option == "quiet") return &options.quiet;
    if (option == "compress") return &options.compress;
    if (option == "read-only") return &options.persist.read_only;
    return nullptr;
}

/// Sets one option from its text. `origin` is what the text was given by, for the error: "--nodes",
/// "DDICT_NODES".
Result<void> apply(Options& options, std::string_view option, std::string_view origin,
                   const std::string& text) {
    if (bool* const flag = flag_of(options, option)) return assign(*flag, parse_flag(origin, text));
    if (option == "no-restart") {
        const auto wanted = parse_flag(origin, text);
        if (!wanted.has_value()) return wanted.error();
        options.restart = !*wanted;
    } else if (option == "nodes") {
        return assign(options.nodes, parse_count(origin, text, limits::managers_max));
    } else if (option == "nodelist") {
        auto names = slurm::expand_hostlist(text);
        if (!names) return wrong(std::string(origin) + ": " + names.error().detail.data());
        options.nodelist = std::move(*names);
    } else if (option == "managers-per-node") {
        return assign(options.managers_per_node, parse_count(origin, text, limits::managers_per_node_max));
    } else if (option == "total-mem") {
        const auto bytes = parse_size(text);
        if (!bytes) return wrong(std::string(origin) + ": " + bytes.error().detail.data());
        options.total_bytes = *bytes;
    } else if (option == "working-set") {
        return assign(options.working_set.size, parse_count(origin, text, limits::working_set_max));
    } else if (option == "timeout") {
        return assign(options.timeout, parse_seconds(origin, text));
    } else if (option == "name") {
        if (!name_is_good(text))
            return wrong_value(origin, text,
                               "a name: letters, digits, '.', '_' and '-', at most 40, no '.' or '-' first");
        options.name = text;
    } else if (option == "state-dir") {
        options.state_dir = text;
    } else if (option == "log") {
        return apply_log(options, origin, text);
    } else if (option == "log-level") {
        return assign(options.log.level, parse_log_level(origin, text));
    } else if (option == "hosts") {
        options.hosts = text;
    } else if (option == "rsh") {
        if (text.find_first_not_of(" \t") == std::string::npos) return wrong_value(origin, text, "a command");
        options.rsh = text;
    } else if (option == "bootstrap") {
        return assign(options.bootstrap, parse_bootstrap(origin, text));
    } else if (option == "bind") {
        return assign(options.bind, parse_bind(origin, text));
    } else if (option == "manager-program") {
        options.manager_program = text;
    } else if (option == "load") {
        options.load = text;
    } else if (option == "save") {
        options.save = text;
    } else if (option == "save-before") {
        return assign(options.save_before, parse_seconds(origin, text));
    } else if (option == "save-on") {
        return assign(options.save_on, parse_signals(origin, text));
    } else if (option == "save-keep") {
        return assign(options.save_keep, parse_count(origin, text, saves_kept_max));
    } else if (option == "persist-path") {
        return apply_persist_path(options, origin, text);
    } else if (option == "persist-count") {
        return assign(options.persist.count, parse_count(origin, text, saves_kept_max));
    } else if (option == "persist-freq") {
        return assign(options.persist_freq, parse_count(origin, text, limits::checkpoint_id_max));
    } else if (option == "restore-from") {
        return assign(options.restore_from, parse_number(origin, text, 0, limits::checkpoint_id_max));
    }
    return {};
}

/// The first word that is neither an option nor the value of one; nothing if there is none.
std::optional<std::string> stray_word(const std::vector<std::string>& args) {
    for (std::size_t i = 0; i < args.size(); ++i) {
        if (!args[i].starts_with("--")) return args[i];
        const bool takes_value =
            args[i] == "--manager" || args[i] == "--job" ||
            std::any_of(option_texts().begin(), option_texts().end(), [&](const OptionText& text) {
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
    for (const OptionText& text : option_texts()) {
        if (text.value.empty()) {
            description.add_options()(std::string(text.option).c_str(), "");
        } else {
            description.add_options()(std::string(text.option).c_str(), po::value<std::string>());
        }
    }
    description.add_options()("help", "")("version", "")("check", "")("export", "")("json", "");
    description.add_options()("manager", po::value<std::string>())("job", po::value<std::string>());
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
    for (const OptionText& text : option_texts()) {
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

/// Of which job the dictionary is.
Result<void> apply_job(Options& options, const po::variables_map& given) {
    if (given.count("job") == 0) return {};
    if (options.verb != Verb::status && options.verb != Verb::env && options.verb != Verb::exec &&
        options.verb != Verb::stop && options.verb != Verb::restart)
        return wrong("--job belongs to: ddict-launch status, env, exec, stop and restart");
    options.job = given["job"].as<std::string>();
    if (options.job.empty() || options.job.find_first_not_of("0123456789") != std::string::npos)
        return wrong_value("--job", options.job,
                           "the number of a job; of a task of an array or of a part of "
                           "a heterogeneous job that of squeue --format=%A");
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
    if (const auto done = apply_job(options, given); !done) return done;
    for (const char* option : {"load", "save", "save-before", "save-on", "save-keep"}) {
        if (given.count(option) != 0 && options.verb != Verb::run)
            return wrong(std::string("--") + option +
                         " belongs to: ddict-launch -- COMMAND; after start: ddict " +
                         std::string(option).substr(0, 4));
    }
    if (given.count("restore-from") != 0 && options.verb != Verb::run)
        return wrong("--restore-from belongs to: ddict-launch -- COMMAND; after start: ddict restore");
    for (const char* option : {"fail-on-loss", "quiet"}) {
        if (given.count(option) != 0 && options.verb != Verb::run)
            return wrong(std::string("--") + option + " belongs to: ddict-launch -- COMMAND");
    }
    return {};
}

/// What the oldest checkpoint waits for is at the next.
Result<void> check_working_set(const Options& options) {
    if (!options.working_set.waits() || options.working_set.size > 1) return {};
    const char* option = options.working_set.waits_for_keys ? "wait-for-keys" : "wait-for-writers";
    return wrong(options.given_by(option) +
                 " needs two checkpoints or more: --working-set 2, or DDICT_WORKING_SET");
}

/// What is of the beginning of a dictionary; what is kept, and gone on with.
Result<void> check_keeping(const Options& options, const po::variables_map& given) {
    const bool begins = options.verb == Verb::run || options.verb == Verb::start ||
                        options.verb == Verb::serve || options.verb == Verb::check;
    if (given.count("keep") != 0 && options.verb != Verb::run && options.verb != Verb::stop)
        return wrong("--keep belongs to: ddict-launch -- COMMAND, and to: ddict-launch stop");
    for (const char* option : {"resume", "allow-empty", "bind", "prefault", "huge-pages", "persist-path",
                               "persist-count", "persist-freq", "read-only"}) {
        if (given.count(option) != 0 && !begins)
            return wrong(std::string("--") + option +
                         " belongs to what begins: a command, start, serve or --check");
    }
    if (options.verb == Verb::discard && given.count("name") == 0)
        return wrong("which? ddict-launch discard --name NAME; status has the names");
    if (!begins) return {};
    if (options.bind != Bind::none && !can_find_domains())
        return wrong(options.given_by("bind") + " " + std::string(word_of(options.bind)) +
                     " asks for what this ddict cannot do: it is built without hwloc");
    if (given.count("allow-empty") != 0 && !options.resume)
        return wrong("--allow-empty needs --resume, or DDICT_RESUME");
    if (options.resume && options.verb == Verb::run && !options.load.empty())
        return wrong(options.given_by("resume") + " and " + options.given_by("load") +
                     " are two ways to begin: choose one");
    return {};
}

/// What is said of a persist path needs one.
Result<void> check_persisting(const Options& options, const po::variables_map& given) {
    for (const char* option : {"persist-count", "persist-freq", "restore-from", "read-only"}) {
        if (given.count(option) != 0 && options.persist.path.empty())
            return wrong(std::string("--") + option + " needs --persist-path DIR, or DDICT_PERSIST_PATH");
    }
    const bool begins =
        options.verb == Verb::run || options.verb == Verb::start || options.verb == Verb::serve;
    if (given.count("compress") != 0 && options.save.empty() && options.persist_freq == 0)
        return wrong("--compress needs --save DIR, or --persist-freq N: it is for what they write");
    // And not when there is something to be saved.
    if (options.compress && (!options.save.empty() || options.persist_freq != 0) && !persist::can_compress())
        return wrong(options.given_by("compress") +
                     " asks for what this ddict cannot do: it is built without zstd");
    if (begins && options.persist_freq != 0 && options.persist.path.empty())
        return wrong(options.given_by("persist-freq") + " needs --persist-path DIR, or DDICT_PERSIST_PATH");
    if (begins && options.persist_freq != 0 && options.persist.read_only)
        return wrong(options.given_by("persist-freq") + " and " + options.given_by("read-only") +
                     " do not go together: nothing is written to the path of one that is read-only");
    if (options.persist.read_only && options.verb == Verb::run && !options.restore_from)
        return wrong(options.given_by("read-only") + " needs --restore-from ID, or DDICT_RESTORE_FROM");
    if (!options.restore_from || options.verb != Verb::run) return {};
    for (const auto& [option, is_given] :
         {std::pair("load", !options.load.empty()), {"resume", options.resume}}) {
        if (is_given)
            return wrong(options.given_by("restore-from") + " and " + options.given_by(option) +
                         " are two ways to begin: choose one");
    }
    return options.persist.path.empty()
               ? wrong(options.given_by("restore-from") + " needs --persist-path DIR, or DDICT_PERSIST_PATH")
               : Result<void>();
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
    const auto text = std::find_if(option_texts().begin(), option_texts().end(),
                                   [&](const OptionText& candidate) { return candidate.option == option; });
    DDICT_ASSERT(text != option_texts().end(), "there is no such option");
    return by_variable.contains(option) ? std::string(text->variable) : "--" + std::string(option);
}

Result<Options> parse_options(const std::vector<std::string>& args, const os::Environment& environment) {
    Options options;
    std::vector<std::string> mine = args;
    options.verb = take_verb(mine);
    if (options.verb == Verb::node || options.verb == Verb::check_node || options.verb == Verb::addresses ||
        options.verb == Verb::on_hosts || options.verb == Verb::lives || options.verb == Verb::keep_log ||
        options.verb == Verb::discard_here || options.verb == Verb::sweep ||
        options.verb == Verb::keep_record) {
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
    if (const auto done = check_working_set(options); !done) return done.error();
    if (const auto done = check_keeping(options, *given); !done) return done.error();
    if (const auto done = check_persisting(options, *given); !done) return done.error();
    options.name_given = given->count("name") != 0;
    if (options.verb == Verb::run && options.command.empty())
        return wrong(
            "no command: write it after --, for example: ddict-launch -- srun ./program; see --help");
    if (options.verb == Verb::exec && options.command.empty())
        return wrong("no command: write it after --, for example: ddict-launch exec --job 27 -- ddict top");
    if (options.verb != Verb::run && options.verb != Verb::exec && options.verb != Verb::check && has_command)
        return wrong("this runs no command; leave out -- and what follows");
    return options;
}

}  // namespace ddict::launcher
