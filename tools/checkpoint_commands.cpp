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
#include "tools/escapes.h"
#include "tools/exit_status.h"
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

unsigned number_to_keep(const Arguments& arguments) {
    const std::optional<std::string> text = arguments.value("--keep");
    if (!text) return 0;
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || number == 0)
        throw UsageError("--keep takes a number from 1 on, not '" + printable_text(*text) + "'");
    return number;
}

int run_save(const Arguments& arguments) {
    ignore_closed_output();
    const Dictionary dict = attach(arguments);
    ProgressLine line(!arguments.has("--no-progress"));
    SaveOptions options{.progress = line.shower(), .keep = number_to_keep(arguments)};
    if (arguments.has("--until-input-ends")) {
        options.progress = [show = options.progress](const CheckpointProgress& progress) {
            return (!show || show(progress)) && !input_has_ended();
        };
    }
    const CheckpointInfo info = dict.save(arguments.operands()[0], options);
    report_done(done_line("saved", info, line.seconds()));
    if (info.error.detail[0] != '\0')
        std::cerr << "ddict: an older checkpoint stays: " << printable_text(info.error.message()) << '\n';
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

std::string time_text(std::chrono::system_clock::time_point time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    char text[40];
    if (::localtime_r(&seconds, &parts) == nullptr ||
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return "?";
    return text;
}

int list(const std::string& path) {
    const std::vector<CheckpointInfo> all = Checkpoints::list(path).value();
    for (const CheckpointInfo& info : all) {
        std::string text = printable_text(info.path) + "\t" + std::string(name(info.state));
        if (info.state == CheckpointState::committed) {
            text += "\t" + time_text(info.ended) + "\t" + std::to_string(info.pairs) + " pairs\t" +
                    mebibytes(static_cast<double>(info.bytes));
        }
        if (info.state == CheckpointState::damaged) text += "\t" + printable_text(info.error.detail.data());
        print(text + "\n");
    }
    return success;
}

int show(const std::string& path) {
    const CheckpointInfo info = Checkpoints::find(path).value();
    const double seconds = std::chrono::duration<double>(info.ended - info.began).count();
    char took[32];
    std::snprintf(took, sizeof took, "%.2f s", seconds);
    print("path        " + printable_text(info.path) + "\ndictionary  " + printable_text(info.name) +
          "\ngeneration  " + std::to_string(info.generation) + "\nmanagers    " +
          std::to_string(info.managers) + "\npairs       " + std::to_string(info.pairs) + "\nvalues      " +
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

int print_pairs(const std::string& path) {
    Checkpoints::for_each(path, [](const CheckpointPair& pair) -> Result<void> {
        print(escaped_text(pair.key) + "\t" + value_text(pair) + "\n");
        return {};
    }).value();
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
    if (what == "diff" && of_two) return compare(path, arguments.operands()[2]);
    if (what == "diff") throw UsageError("checkpoint diff takes two paths");
    if (of_two) throw UsageError("checkpoint " + what + " takes one path");
    if (what == "ls") return list(path);
    if (what == "info") return show(path);
    if (what == "verify") return verify(path);
    if (what == "cat") return print_pairs(path);
    if (what != "rm")
        throw UsageError("there is no 'checkpoint " + what + "': ls, info, verify, cat, diff, rm");
    Checkpoints::remove(path).value();
    return success;
}

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
                     {.name = "--until-input-ends", .help = "give up when the standard input ends"},
                     {.name = "--no-progress", .help = "show no progress on a terminal"}},
         .summary = "save all pairs to a new folder in DIR",
         .help =
             "DIR/NAME/GENERATION, which is there when this ends with status 0, and not before. Others may "
             "go on meanwhile: each pair is as it was at one moment; for all of one moment, freeze first.\n"
             "\n"
             "Earlier ones stay, unless --keep is given; 'ddict checkpoint rm' removes them. The status is 0 "
             "also if the line about what was saved cannot be printed; so it is of load.\n",
         .run = run_save},
        {.name = "load",
         .operands = "PATH",
         .operands_min = 1,
         .operands_max = 1,
         .options = {{.name = "--latest",
                      .help = "the newest whole one of a dictionary of this name in DIR; says so if "
                              "there is none yet, for certain: a folder that cannot be read is an error"},
                     {.name = "--exclusive",
                      .help = "nobody else uses the dictionary before this ends: if it is empty, the files "
                              "are read once rather than twice, and if that fails it is empty again"}},
         .summary = "store all pairs of a saved checkpoint, the newest at PATH",
         .help =
             "PATH is DIR/NAME/GENERATION, DIR/NAME, or DIR if it has checkpoints of one dictionary only. "
             "The number of managers may be another. What does not fit is refused before anything is "
             "changed. What is in the dictionary stays, but for the keys that are in both.\n",
         .run = run_load},
        {.name = "checkpoint",
         .operands = "ls|info|verify|cat|diff|rm PATH [PATH]",
         .operands_min = 2,
         .operands_max = 3,
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
         .run = run_checkpoint},
    };
}

}  // namespace ddict::tools
