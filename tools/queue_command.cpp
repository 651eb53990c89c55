// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/queue.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "tools/commands.h"
#include "tools/deferred_signals.h"
#include "tools/escapes.h"
#include "tools/exit_status.h"
#include "tools/item_command.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

/// "64M" and so on. Throws UsageError.
std::uint64_t size_in(std::string_view option, const std::string& text) {
    constexpr std::string_view units = "KMGT";
    std::uint64_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    const std::size_t power = unit.empty() ? 0 : units.find(unit[0]) + 1;
    if (failure != std::errc() || number == 0 || unit.size() > 1 || (!unit.empty() && power == 0) ||
        number > (std::numeric_limits<std::uint64_t>::max() >> (10 * power)))
        throw UsageError("invalid " + std::string(option) + " '" + printable(text) +
                         "': a number above 0, with K, M, G or T behind it");
    return number << (10 * power);
}

std::uint32_t count_in(const Arguments& arguments, std::string_view option) {
    const std::optional<std::string> text = arguments.value(option);
    if (!text) return 0;
    const std::uint64_t count = size_in(option, *text);
    if (count > std::numeric_limits<std::uint32_t>::max())
        throw UsageError(std::string(option) + " " + printable(*text) + " is too large");
    return static_cast<std::uint32_t>(count);
}

QueueOptions options_of(const Arguments& arguments) {
    QueueOptions options{.items = count_in(arguments, "--items"),
                         .producers = count_in(arguments, "--producers")};
    if (const auto bytes = arguments.value("--bytes")) options.bytes = size_in("--bytes", *bytes);
    if (const auto lease = arguments.seconds("--lease", 0.1, 2'592'000)) options.lease = *lease;
    return options;
}

int push(const Arguments& arguments, const Dictionary& dict, const Queue& queue) {
    std::uint16_t type = type_text;
    if (const auto named = arguments.value("--as")) {
        const std::optional<std::uint16_t> known = type_named(*named);
        if (!known) throw UsageError(no_such_type(*named));
        type = *known;
    }
    std::string text = arguments.operands()[2];
    if (text == "-") text = read_input([&] { return dict.stats(0).pool_bytes; });
    if (is_scalar_with_text(type)) {
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
            text.pop_back();
        queue.push_bytes(value_of(type, text), type).value();
    } else {
        check_size_of_value(type, text.size());
        queue.push_bytes(std::as_bytes(std::span(text)), type).value();
    }
    return success;
}

/// What nobody has seen is not finished.
int take(const Arguments& arguments, const Queue& queue) {
    const QueueEnd end = arguments.has("--until-gone") ? QueueEnd::producers_gone : QueueEnd::closed;
    std::optional<QueueItem> item = queue.take(end);
    if (!item) return no_such_key;
    detail::BytesSink value;
    item->get_bytes(value).value();
    const DeferredSignals signals;
    try {
        const auto scalar = scalar_text(value.bytes(), value.type());
        const std::string_view bytes(reinterpret_cast<const char*>(value.bytes().data()),
                                     value.bytes().size());
        const bool is_shown = output_is_terminal() && !scalar;
        std::string shown;
        if (is_shown)
            shown = value.type() == type_text ? printable_text(bytes) : in_words(value.bytes(), value.type());
        print(scalar ? std::string_view(*scalar) : is_shown ? std::string_view(shown) : bytes);
        if (output_is_terminal()) print("\n");
        finish_output();
    } catch (const OutputError& error) {
        static_cast<void>(item->try_put_back());
        signals.fail(std::string(error.what()) + "; the item was put back");
    }
    item->finish();
    return success;
}

int stat(const Arguments& arguments, const Queue& queue) {
    const QueueStats stats = queue.stats();
    const nlohmann::ordered_json all{{"bytes", stats.bytes},
                                     {"bytes_max", stats.bytes_max},
                                     {"items", stats.items},
                                     {"items_max", stats.items_max},
                                     {"writing", stats.writing},
                                     {"ready", stats.ready},
                                     {"taken", stats.taken},
                                     {"pushed", stats.pushed},
                                     {"finished", stats.finished},
                                     {"shares", stats.shares},
                                     {"producers", stats.producers},
                                     {"waiting_producers", stats.waiting_producers},
                                     {"waiting_consumers", stats.waiting_consumers},
                                     {"lease_ms", stats.lease.count()},
                                     {"closed", stats.closed}};
    if (arguments.has("--json")) {
        print(all.dump() + "\n");
        return success;
    }
    for (const auto& [name, value] : all.items())
        print(name + "\t" + value.dump() + "\n");
    return success;
}

/// What stands behind "--" after take NAME; nothing if that is not there.
std::optional<ItemCommand> command_of(const Arguments& arguments) {
    const std::span<const std::string> operands = arguments.operands();
    const bool has_command = operands[0] == "take" && arguments.operands_before_dashes() == 2;
    if (!has_command) {
        for (const std::string_view option : {"--all", "--attempts"}) {
            if (arguments.has(option))
                throw UsageError(std::string(option) + " is of queue take NAME -- COMMAND");
        }
        return std::nullopt;
    }
    if (operands.size() == 2) throw UsageError("queue take NAME -- takes a COMMAND");
    return ItemCommand{
        .words = operands.subspan(2),
        .end = arguments.has("--until-gone") ? QueueEnd::producers_gone : QueueEnd::closed,
        .takes_all = arguments.has("--all"),
        .is_bounded = arguments.has("--timeout"),
        .attempts = count_in(arguments, "--attempts"),
    };
}

void check_operands(const Arguments& arguments) {
    const std::string& what = arguments.operands()[0];
    constexpr std::string_view known[] = {"make", "push", "take", "stat", "close", "remove"};
    if (std::find(std::begin(known), std::end(known), what) == std::end(known))
        throw UsageError("there is no 'queue " + printable(what) +
                         "': make, push, take, stat, close, remove");
    if (arguments.operands().size() == (what == "push" ? 3 : 2)) return;
    throw UsageError(what == "push" ? "queue push takes NAME VALUE"
                                    : "queue " + what + " takes NAME" +
                                          (what == "take" ? ", and a COMMAND behind --" : ""));
}

/// What is left to do when the queue and the dictionary are released.
ItemCommandEnd run_released(const Arguments& arguments) {
    const std::string& what = arguments.operands()[0];
    const std::optional<ItemCommand> command = command_of(arguments);
    if (!command) check_operands(arguments);
    const QueueOptions options = options_of(arguments);
    const bool makes = options.bytes != 0 || options.items != 0 || options.producers != 0;
    if (what == "make" && !makes) throw UsageError("queue make takes --bytes, --items or --producers");
    const Dictionary dict = attach(arguments);
    const Queue queue = dict.within(timeout_of(arguments)).queue(arguments.operands()[1], options);
    const Queue in_time = queue.within(timeout_of(arguments));
    if (command) return run_on_items(command->takes_all ? queue : in_time, *command);
    if (what == "push") return {push(arguments, dict, in_time)};
    if (what == "take") return {take(arguments, in_time)};
    if (what == "stat") return {stat(arguments, in_time)};
    if (what == "close") in_time.close();
    if (what == "remove") in_time.remove();
    return {success};
}

int run_queue(const Arguments& arguments) {
    const ItemCommandEnd end = run_released(arguments);
    if (end.ended_by != 0) {
        // As the shell expects it, which ends a loop then.
        std::signal(end.ended_by, SIG_DFL);
        std::raise(end.ended_by);
    }
    return end.status;
}

}  // namespace

std::vector<Command> queue_commands() {
    return {
        {.name = "queue",
         .operands = "make|push|take|stat|close|remove NAME [VALUE]",
         .operands_min = 2,
         .operands_max = std::numeric_limits<std::size_t>::max(),
         .options =
             {{.name = "--bytes",
               .value = "SIZE",
               .help = "of all values together, of an array its elements: 128M"},
              {.name = "--items", .value = "N", .help = "how many items, at most 4096; 1024 without it"},
              {.name = "--producers",
               .value = "N",
               .help = "among how many the bound is divided: each has an equal share; 1 without it"},
              {.name = "--lease",
               .value = "SECONDS",
               .help = "after how long without a sign of life who holds something counts as dead; 10 "
                       "without it"},
              {.name = "--as",
               .value = "TYPE",
               .help = "of push: the type of VALUE, as of put",
               .completes = {.kind = Completes::Kind::type}},
              {.name = "--all",
               .help = "with a COMMAND: item after item, until all is done; with --timeout each comes in "
                       "that time"},
              {.name = "--attempts",
               .value = "N",
               .help = "with a COMMAND: an item that fails so often is given up"},
              {.name = "--until-gone", .help = "of take: ends when all producers have come and gone, too"},
              {.name = "--json", .help = "of stat: for programs"}},
         .summary = "a bounded queue: values that are each given to one consumer, and done once",
         .help =
             "Made by the first command or program that says --bytes, --items or --producers; without them a "
             "command waits until it is there.\n"
             "\n"
             "  make NAME        makes it\n"
             "  push NAME VALUE  appends VALUE ('-': the standard input); waits for space\n"
             "  take NAME        prints the next value, and finishes it: nobody else has it\n"
             "                   if its task is killed then. Waits for one; 1: all is done\n"
             "  take NAME -- COMMAND [ARG...]\n"
             "                   runs it with the next value as its standard input, and holds\n"
             "                   the item meanwhile: finished with status 0, else put back\n"
             "  stat NAME        what there is in it\n"
             "  close NAME       nothing can be pushed any more\n"
             "  remove NAME      with all that is in it\n"
             "\n"
             "COMMAND has DDICT_ITEM (if it is a text or a number), DDICT_ITEM_NUMBER and "
             "DDICT_ITEM_ATTEMPT, "
             "and gets signals that would end ddict; then the item is put back. The status is that of "
             "COMMAND, "
             "128+N after signal N, 127 or 126 if it cannot be run, 6 if the lease was lost; with --all 0 "
             "when "
             "all is done, 5 if items were given up.\n",
         .also = "take NAME -- COMMAND [ARG...]",
         .run = run_queue,
         .completes = {{.kind = Completes::Kind::words, .words = "make|push|take|stat|close|remove"}, {}}},
    };
}

}  // namespace ddict::tools
