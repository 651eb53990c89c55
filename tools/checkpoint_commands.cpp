// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/checkpoint.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <map>
#include <optional>
#include <tuple>

#include "tools/commands.h"
#include "tools/error_text.h"
#include "tools/escapes.h"
#include "tools/exit_status.h"
#include "tools/json_text.h"
#include "tools/key_text.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

using std::chrono::steady_clock;

std::string mebibytes(double bytes) {
    char text[40];
    std::snprintf(text, sizeof text, "%.1f MiB", bytes / (1 << 20));
    return text;
}

/// A line on a terminal that is written over and over; nothing elsewhere.
class ProgressLine {
  public:
    explicit ProgressLine(bool wanted = true) : shown_(wanted && ::isatty(STDERR_FILENO) != 0) {}
    ~ProgressLine() {
        if (shown_ && written_) std::cerr << "\r\x1b[K" << std::flush;
    }
    OnCheckpointProgress shower() {
        if (!shown_) return {};
        return [this](const CheckpointProgress& progress) { return show(progress), true; };
    }
    double seconds() const { return std::chrono::duration<double>(steady_clock::now() - began_).count(); }

  private:
    void show(const CheckpointProgress& progress) {
        const auto now = steady_clock::now();
        if (now < next_) return;
        next_ = now + std::chrono::milliseconds(200);
        const auto bytes = static_cast<double>(progress.bytes);
        const double rate = bytes / std::max(seconds(), 0.001);
        std::string line = mebibytes(bytes);
        if (progress.bytes_in_all > 0) line += " of " + mebibytes(static_cast<double>(progress.bytes_in_all));
        line += ", " + mebibytes(rate) + "/s";
        if (progress.bytes_in_all > progress.bytes && rate > 0) {
            const auto left = static_cast<double>(progress.bytes_in_all - progress.bytes) / rate;
            line += ", " + std::to_string(static_cast<long>(left) + 1) + " s left";
        }
        std::cerr << '\r' << line << "\x1b[K" << std::flush;
        written_ = true;
    }

    const bool shown_;
    bool written_ = false;
    const steady_clock::time_point began_ = steady_clock::now();
    steady_clock::time_point next_ = began_;
};

std::string done_line(std::string_view what, const CheckpointInfo& info, double seconds) {
    char time[32];
    std::snprintf(time, sizeof time, "%.2f", seconds);
    return std::string(what) + " " + printable_text(info.path) + ": " + std::to_string(info.pairs) +
           (info.pairs == 1 ? " pair, " : " pairs, ") + mebibytes(static_cast<double>(info.bytes)) + ", " +
           time + " s\n";
}

/// Of the standard input, which a program that watches over this one holds the other end of.
bool input_has_ended() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    char ignored[64];
    return ::poll(&input, 1, 0) > 0 && ::read(STDIN_FILENO, ignored, sizeof ignored) <= 0;
}

/// From 1 on; 0 if the option is not given.
unsigned number_of(const Arguments& arguments, const std::string& option) {
    const std::optional<std::string> text = arguments.value(option);
    if (!text) return 0;
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || number == 0)
        throw UsageError(option + " takes a number from 1 on, not '" + printable_text(*text) + "'");
    return number;
}

void tell_what_stays(const CheckpointInfo& info) {
    if (info.error.detail[0] != '\0')
        std::cerr << "ddict: an older checkpoint stays: " << printable_text(info.error.message()) << '\n';
}

/// Of a checkpoint in memory.
std::optional<std::uint32_t> given_id(const std::optional<std::string>& text) {
    if (!text) return std::nullopt;
    std::uint32_t id = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), id);
    if (error != std::errc() || end != text->data() + text->size() || id > checkpoint_id_max)
        throw UsageError("the id of a checkpoint is a number from 0 to " + std::to_string(checkpoint_id_max) +
                         ", not '" + printable_text(*text) + "'");
    return id;
}

/// Not said: as the environment has it.
std::optional<bool> compress_of(const Arguments& arguments) {
    return arguments.has("--compress") ? std::optional(true) : std::nullopt;
}

int run_save(const Arguments& arguments) {
    ignore_closed_output();
    const Dictionary dict = attach(arguments);
    ProgressLine line(!arguments.has("--no-progress"));
    SaveOptions options{.progress = line.shower(),
                        .keep = number_of(arguments, "--keep"),
                        .compress = compress_of(arguments)};
    if (arguments.has("--until-input-ends")) {
        options.progress = [show = options.progress](const CheckpointProgress& progress) {
            return (!show || show(progress)) && !input_has_ended();
        };
    }
    const CheckpointInfo info = dict.save(arguments.operands()[0], options);
    report_done(done_line("saved", info, line.seconds()));
    tell_what_stays(info);
    return success;
}

int load_latest(const Arguments& arguments) {
    const Dictionary dict = attach(arguments);
    ProgressLine line;
    const auto tell = [](const CheckpointInfo& damaged) {
        std::cerr << "ddict: passes over " << printable_text(damaged.path) << ": "
                  << printable_text(damaged.error.message()) << '\n';
    };
    const Result<CheckpointInfo> loaded = dict.try_load_latest(
        arguments.operands()[0],
        {.progress = line.shower(), .exclusive = arguments.has("--exclusive"), .on_damaged = tell});
    if (!loaded && loaded.error().code == Errc::not_found) {
        report_done(printable_text(loaded.error().detail.data()) + ": nothing is loaded\n");
        return success;
    }
    report_done(done_line("loaded", loaded.value(), line.seconds()));
    return success;
}

int run_load(const Arguments& arguments) {
    ignore_closed_output();
    if (arguments.has("--latest")) return load_latest(arguments);
    const Dictionary dict = attach(arguments);
    ProgressLine line;
    const CheckpointInfo info = dict.load(
        arguments.operands()[0], {.progress = line.shower(), .exclusive = arguments.has("--exclusive")});
    report_done(done_line("loaded", info, line.seconds()));
    return success;
}

/// What the program that has started this one says by the standard input: "stop", and by its end.
PersistEveryOptions::Order order_of_input() {
    using Order = PersistEveryOptions::Order;
    static bool stops = false;
    pollfd input{STDIN_FILENO, POLLIN, 0};
    char words[64];
    while (::poll(&input, 1, 0) > 0) {
        const ssize_t read = ::read(STDIN_FILENO, words, sizeof words);
        if (read <= 0) return stops ? Order::stop : Order::finish;
        stops = true;
    }
    return Order::go_on;
}

/// To the program that has started this one, once no step is missed any more. A manager that was away is
/// asked again with the next order.
void say_once_it_holds(const Dictionary& dict, bool& is_said) {
    if (is_said) return;
    const Result<PersistStatus> status = dict.try_persist_status();
    if (!status || !status->running) return;
    is_said = true;
    report_done("holds checkpoints\n");
}

int persist_every(const Arguments& arguments) {
    const bool is_watched = arguments.has("--until-input-ends");
    const Dictionary dict = attach(arguments);
    PersistEveryOptions options{.every = number_of(arguments, "--every"), .compress = compress_of(arguments)};
    if (is_watched) {
        ignore_closed_output();
        options.order = [&dict, is_said = false]() mutable {
            say_once_it_holds(dict, is_said);
            return order_of_input();
        };
    }
    if (!is_watched) {
        options.on_persisted = [](const CheckpointInfo& info) {
            report_done("persisted checkpoint " + std::to_string(info.checkpoint) + " to " +
                        printable_text(info.path) + "\n");
        };
    }
    options.on_missed = [](std::uint32_t id, const Error& error) {
        std::cerr << "ddict: checkpoint " << id << " is not persisted: " << printable_text(reason_of(error))
                  << std::endl;
    };
    const Result<PersistStatus> done = dict.try_persist_every(options);
    // A dictionary that ends takes this with it.
    if (!done && done.error().code != Errc::dictionary_gone) throw Exception(done.error());
    return success;
}

int show_persist_status(const Arguments& arguments) {
    const PersistStatus status = attach(arguments).persist_status();
    const auto id = [](const std::optional<std::uint32_t>& one) {
        return one ? std::to_string(*one) : std::string("-");
    };
    if (status.every == 0) {
        print("nothing persists checkpoints by itself\n");
        return no_such_key;
    }
    print("running         " + std::string(status.running ? "yes" : "no") + "\nevery           " +
          std::to_string(status.every) + "\npersisted       " + std::to_string(status.persisted) +
          "\novertaken       " + std::to_string(status.overtaken) + "\nfailed          " +
          std::to_string(status.failed) + "\nlast persisted  " + id(status.last_persisted) +
          "\nlast missed     " + id(status.last_missed) + "\n");
    if (status.error) print("error           " + printable_text(status.error->message()) + "\n");
    return status.running && status.failed == 0 ? success : no_such_key;
}

int run_persist(const Arguments& arguments) {
    ignore_closed_output();
    if (arguments.has("--status")) return show_persist_status(arguments);
    if (arguments.value("--every")) return persist_every(arguments);
    const Dictionary dict = attach(arguments);
    ProgressLine line;
    const CheckpointInfo info = dict.persist({.progress = line.shower(),
                                              .checkpoint = given_id(arguments.value("--checkpoint")),
                                              .compress = compress_of(arguments)});
    report_done(
        done_line("persisted checkpoint " + std::to_string(info.checkpoint) + " to", info, line.seconds()));
    tell_what_stays(info);
    return success;
}

int run_restore(const Arguments& arguments) {
    ignore_closed_output();
    const std::uint32_t id = *given_id(arguments.operands()[0]);
    Dictionary dict = attach(arguments);
    ProgressLine line;
    const CheckpointInfo info =
        dict.restore(id, {.progress = line.shower(), .exclusive = arguments.has("--exclusive")});
    report_done(done_line("restored checkpoint " + std::to_string(id) + " from", info, line.seconds()));
    return success;
}

int run_advance(const Arguments& arguments) {
    ignore_closed_output();
    Dictionary dict = attach(arguments);
    ProgressLine line;
    const CheckpointInfo info = dict.advance({.progress = line.shower()});
    report_done(
        done_line("restored checkpoint " + std::to_string(info.checkpoint) + " from", info, line.seconds()));
    return success;
}

int run_persisted_ids(const Arguments& arguments) {
    for (const std::uint32_t id : attach(arguments).persisted_ids())
        print(std::to_string(id) + "\n");
    return success;
}

int run_clone(const Arguments& arguments) {
    ignore_closed_output();
    Dictionary dict = attach(arguments);
    dict.sync_to_newest_checkpoint();
    Dictionary target = Dictionary::attach(arguments.operands()[0]);
    ProgressLine line;
    dict.clone_to(target, {.progress = line.shower()});
    char time[32];
    std::snprintf(time, sizeof time, "%.2f", line.seconds());
    report_done("cloned checkpoint " + std::to_string(target.checkpoint_id()) + ": " +
                std::to_string(target.size()) + " pairs, " + time + " s\n");
    return success;
}

std::string time_text(std::chrono::system_clock::time_point time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    char text[40];
    if (::localtime_r(&seconds, &parts) == nullptr ||
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return "?";
    return text;
}

/// As of ISO 8601.
std::string time_in_utc(std::chrono::system_clock::time_point time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    char text[40];
    if (::gmtime_r(&seconds, &parts) == nullptr ||
        std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return "?";
    return text;
}

nlohmann::ordered_json json_of(const CheckpointInfo& info) {
    nlohmann::ordered_json json{{"path", info.path}, {"state", name(info.state)}};
    if (info.state == CheckpointState::damaged) json["error"] = info.error.message();
    if (info.state != CheckpointState::committed) return json;
    json["dictionary"] = info.name;
    json["generation"] = info.generation;
    json["checkpoint"] = info.checkpoint;
    json["managers"] = info.managers;
    json["pairs"] = info.pairs;
    json["value_bytes"] = info.value_bytes;
    json["bytes"] = info.bytes;
    json["began"] = time_in_utc(info.began);
    json["ended"] = time_in_utc(info.ended);
    return json;
}

int list(const std::string& path, bool is_json) {
    const std::vector<CheckpointInfo> all = Checkpoints::list(path).value();
    if (is_json) {
        JsonList list;
        for (const CheckpointInfo& info : all)
            list.add(json_of(info));
        list.end();
        return success;
    }
    for (const CheckpointInfo& info : all) {
        std::string text = printable_text(info.path) + "\t" + std::string(name(info.state));
        if (info.state == CheckpointState::committed) {
            text += "\t" + time_text(info.ended) + "\t" + std::to_string(info.pairs) + " pairs\t" +
                    mebibytes(static_cast<double>(info.bytes)) + "\tcheckpoint " +
                    std::to_string(info.checkpoint);
        }
        if (info.state == CheckpointState::damaged) text += "\t" + printable_text(info.error.detail.data());
        print(text + "\n");
    }
    return success;
}

int show(const std::string& path, bool is_json) {
    const CheckpointInfo info = Checkpoints::find(path).value();
    if (is_json) {
        print(json_of(info).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
        return success;
    }
    const double seconds = std::chrono::duration<double>(info.ended - info.began).count();
    char took[32];
    std::snprintf(took, sizeof took, "%.2f s", seconds);
    print("path        " + printable_text(info.path) + "\ndictionary  " + printable_text(info.name) +
          "\ngeneration  " + std::to_string(info.generation) + "\ncheckpoint  " +
          std::to_string(info.checkpoint) + "\nmanagers    " + std::to_string(info.managers) +
          "\npairs       " + std::to_string(info.pairs) + "\nvalues      " +
          mebibytes(static_cast<double>(info.value_bytes)) + "\nfiles       " +
          mebibytes(static_cast<double>(info.bytes)) + "\nsaved       " + time_text(info.ended) + ", in " +
          took + "\n");
    return success;
}

int verify(const std::string& path) {
    ProgressLine line;
    Checkpoints::verify(path, line.shower()).value();
    print(done_line("whole:", Checkpoints::find(path).value(), line.seconds()));
    return success;
}

std::string value_text(const CheckpointPair& pair) {
    if (auto scalar = scalar_text(pair.value, pair.value_type)) return *std::move(scalar);
    if (pair.value_type != type_text) return in_words(pair.value, pair.value_type);
    return printable({reinterpret_cast<const char*>(pair.value.data()), pair.value.size()});
}

int print_pairs(const std::string& path, bool is_json) {
    JsonList list;
    Checkpoints::for_each(path, [&](const CheckpointPair& pair) -> Result<void> {
        if (is_json) {
            list.add(json_of_pair(pair.key, pair.value, pair.value_type));
        } else {
            print(escaped_text(pair.key) + "\t" + value_text(pair) + "\n");
        }
        return {};
    }).value();
    if (is_json) list.end();
    return success;
}

/// A key with its type, and where it was placed: what makes a pair the same in two checkpoints.
using PairName = std::tuple<std::string, std::uint16_t, bool, std::uint64_t>;
using PairValue = std::tuple<std::uint16_t, bool, std::string>;

PairName name_of(const CheckpointPair& pair) {
    const auto bytes = pair.key.bytes();
    return {std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), pair.key.type(),
            pair.placed_by_hand, pair.placement};
}

PairValue value_of(const CheckpointPair& pair) {
    return {pair.value_type, pair.broadcast,
            std::string(reinterpret_cast<const char*>(pair.value.data()), pair.value.size())};
}

/// Lines as of diff: "-" only in the first, "+" only in the second, "~" with another value.
int compare(const std::string& one, const std::string& other) {
    std::map<PairName, PairValue> pairs;
    Checkpoints::for_each(one, [&](const CheckpointPair& pair) -> Result<void> {
        pairs.emplace(name_of(pair), value_of(pair));
        return {};
    }).value();
    bool same = true;
    Checkpoints::for_each(other, [&](const CheckpointPair& pair) -> Result<void> {
        const auto found = pairs.find(name_of(pair));
        const bool there = found != pairs.end();
        const bool equal = there && found->second == value_of(pair);
        if (!equal) print((there ? "~ " : "+ ") + escaped_text(pair.key) + "\n");
        same = same && equal;
        if (there) pairs.erase(found);
        return {};
    }).value();
    for (const auto& [name, value] : pairs) {
        const std::string& key = std::get<0>(name);
        print("- " + escaped_text({std::as_bytes(std::span(key)), std::get<1>(name)}) + "\n");
        same = false;
    }
    return same ? success : no_such_key;
}

int run_checkpoint(const Arguments& arguments) {
    const std::string& what = arguments.operands()[0];
    const std::string& path = arguments.operands()[1];
    const bool of_two = arguments.operands().size() == 3;
    if (what == "diff" && arguments.has("--json"))
        throw UsageError("--json is of checkpoint ls, info and cat");
    if (what == "diff" && of_two) return compare(path, arguments.operands()[2]);
    if (what == "diff") throw UsageError("checkpoint diff takes two paths");
    if (of_two) throw UsageError("checkpoint " + what + " takes one path");
    const bool is_json = arguments.has("--json");
    if (is_json && what != "ls" && what != "info" && what != "cat")
        throw UsageError("--json is of checkpoint ls, info and cat");
    if (what == "ls") return list(path, is_json);
    if (what == "info") return show(path, is_json);
    if (what == "verify") return verify(path);
    if (what == "cat") return print_pairs(path, is_json);
    if (what != "rm")
        throw UsageError("there is no 'checkpoint " + what + "': ls, info, verify, cat, diff, rm");
    Checkpoints::remove(path).value();
    return success;
}

constexpr Option compress_option{.name = "--compress",
                                 .help = "by zstd, where that makes it smaller by an eighth or more"};
constexpr Option exclusive_option{
    .name = "--exclusive",
    .help =
        "nobody else uses the dictionary before this ends: if it is empty, the files are read once rather "
        "than twice, and if that fails it is empty again"};

}  // namespace

std::vector<Command> checkpoint_commands() {
    return {
        {.name = "save",
         .operands = "DIR",
         .operands_min = 1,
         .operands_max = 1,
         .options = {{.name = "--keep",
                      .value = "N",
                      .help = "remove older ones of this dictionary, until N are left"},
                     compress_option,
                     {.name = "--until-input-ends", .help = "give up when the standard input ends"},
                     {.name = "--no-progress", .help = "show no progress on a terminal"}},
         .summary = "save all pairs to a new folder in DIR",
         .help =
             "DIR/NAME/GENERATION, which is there when this ends with status 0, and not before. Others may "
             "go on meanwhile: each pair is as it was at one moment; for all of one moment, freeze first.\n"
             "\n"
             "Earlier ones stay, unless --keep is given; 'ddict checkpoint rm' removes them. The status is 0 "
             "also if the line about what was saved cannot be printed; so it is of load.\n",
         .run = run_save,
         .completes = {{.kind = Completes::Kind::file}}},
        {.name = "load",
         .operands = "PATH",
         .operands_min = 1,
         .operands_max = 1,
         .options = {{.name = "--latest",
                      .help = "the newest whole one of a dictionary of this name in DIR; says so if "
                              "there is none yet, for certain: a folder that cannot be read is an error"},
                     exclusive_option},
         .summary = "store all pairs of a saved checkpoint, the newest at PATH",
         .help =
             "PATH is DIR/NAME/GENERATION, DIR/NAME, or DIR if it has checkpoints of one dictionary only. "
             "The number of managers may be another. What does not fit is refused before anything is "
             "changed. What is in the dictionary stays, but for the keys that are in both.\n",
         .run = run_load,
         .completes = {{.kind = Completes::Kind::file}}},
        {.name = "persist",
         .options = {{.name = "--checkpoint",
                      .value = "ID",
                      .help = "which of those that are kept in memory; without it, the newest"},
                     compress_option,
                     {.name = "--every",
                      .value = "N",
                      .help = "every N-th by itself, once newer ones have retired it, until the dictionary "
                              "ends: what ddict-launch --persist-freq N starts"},
                     {.name = "--until-input-ends",
                      .help = "--every ends with the standard input, and says on the standard output as soon "
                              "as no step is missed"},
                     {.name = "--status",
                      .help = "how --every is going: status 0 if it runs and none has failed"}},
         .summary = "save a checkpoint to the persist path",
         .help =
             "The persist path is that of the dictionary (ddict-launch --persist-path DIR). What it takes is "
             "what save DIR takes. What was persisted of the same checkpoint before is removed when the new "
             "one is there, and so is what is more than ddict-launch --persist-count.\n",
         .run = run_persist},
        {.name = "restore",
         .operands = "ID",
         .operands_min = 1,
         .operands_max = 1,
         .options = {exclusive_option},
         .summary = "put a persisted checkpoint in the place of all pairs",
         .help =
             "The managers then keep this checkpoint only, as the newest, whichever there were; clients are "
             "to go on at it. What does not fit, is not there or is damaged is refused before anything is "
             "changed. Nothing is removed from the persist path.\n",
         .run = run_restore},
        {.name = "advance",
         .summary = "go on to the next persisted checkpoint",
         .help = "Of a dictionary that is read-only (ddict-launch --read-only): restore of the one that "
                 "follows the "
                 "newest. The status is 1 if there is none yet.\n",
         .run = run_advance},
        {.name = "clone",
         .operands = "HANDLE",
         .operands_min = 1,
         .operands_max = 1,
         .summary = "put all pairs in the place of those of another dictionary",
         .help =
             "HANDLE is that of the other one ('ddict-launch env' prints it); its number of managers may be "
             "another. It keeps the newest checkpoint of this one only. What does not fit is refused "
             "before anything is changed. The pairs go through this process, without a file.\n",
         .run = run_clone},
        {.name = "persisted-ids",
         .summary = "list the checkpoints in the persist path, one id a line",
         .help = "Those that are complete. 'ddict checkpoint ls DIR' has all that is known of each.\n",
         .run = run_persisted_ids},
        {.name = "checkpoint",
         .operands = "ls|info|verify|cat|diff|rm PATH [PATH]",
         .operands_min = 2,
         .operands_max = 3,
         .options = {{.name = "--json", .help = "what ls, info and cat say, for programs"}},
         .summary = "what was saved: list, look at, check, print, compare, remove",
         .help = "Needs no dictionary.\n"
                 "\n"
                 "  ls PATH      all at PATH: folder, state, time, pairs, size\n"
                 "  info PATH    what the newest holds\n"
                 "  verify PATH  reads all of the newest, and says what is wrong with it\n"
                 "  cat PATH     prints its pairs, as items does\n"
                 "  diff A B     keys: - only in A, + only in B, ~ with another value;\n"
                 "               status 1 if there are any\n"
                 "  rm PATH      removes one: PATH is DIR/NAME/GENERATION\n",
         .run = run_checkpoint,
         .completes = {{.kind = Completes::Kind::words, .words = "ls|info|verify|cat|diff|rm"},
                       {.kind = Completes::Kind::file}}},
    };
}

}  // namespace ddict::tools
