// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <functional>

#include "tools/commands.h"
#include "tools/each_manager.h"
#include "tools/escapes.h"
#include "tools/key_text.h"
#include "tools/pair_printer.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

/// What a listing visits. `prefix` must live as long as it.
struct Listing {
    explicit Listing(const Arguments& arguments)
        : prefix(arguments.operands().empty() ? std::string() : arguments.text(0)),
          type(key_type_given(arguments)) {
        if (type && is_scalar_with_text(*type) && !prefix.empty())
            throw UsageError("keys that are numbers have no prefix");
    }
    ScanOptions options(bool values) const { return {.prefix = prefix, .values = values, .type = type}; }

    std::string prefix;
    std::optional<std::uint16_t> type;
};

KeyBytes key_of(const Cursor& item) {
    return {item.key(), item.key_type()};
}

ExitStatus run_everywhere(const Arguments& arguments,
                          const std::function<Result<void>(const View&)>& change) {
    const Dictionary dict = attach(arguments);
    return on_each_manager(dict, {timeout_of(arguments)}, change, change).tell(arguments.command()->name);
}

int run_keys(const Arguments& arguments) {
    const Dictionary dict = attach(arguments);
    const Listing listing(arguments);
    PairPrinter printer(arguments);
    const Answers answers = walk_managers(dict, {timeout_of(arguments)}, listing.options(false),
                                          [&](const Cursor& item) { printer.print_key(key_of(item)); });
    const ExitStatus printed = answers.any ? printer.finish() : success;
    return std::max(answers.tell(arguments.command()->name), printed);
}

int run_items(const Arguments& arguments) {
    const Dictionary dict = attach(arguments);
    const Listing listing(arguments);
    PairPrinter printer(arguments);
    const Answers answers = walk_managers(
        dict, {timeout_of(arguments)}, listing.options(true),
        [&](const Cursor& item) { printer.print_pair(key_of(item), item.value(), item.value_type()); });
    const ExitStatus printed = answers.any ? printer.finish() : success;
    return std::max(answers.tell(arguments.command()->name), printed);
}

int run_size(const Arguments& arguments) {
    const std::string prefix = Listing(arguments).prefix;
    std::uint64_t pairs = 0;
    const auto add = [&](const View& view) -> Result<void> {
        const Result<std::uint64_t> size = prefix.empty() ? view.try_size() : view.try_count_prefix(prefix);
        if (!size) return size.error();
        pairs += *size;
        return {};
    };
    const Dictionary dict = attach(arguments);
    const Answers answers = on_each_manager(dict, {timeout_of(arguments)}, add, add);
    if (answers.any) print(std::to_string(pairs) + "\n");
    return answers.tell(arguments.command()->name);
}

}  // namespace

int remove_prefix(const Arguments& arguments, const std::string& prefix) {
    if (prefix.empty())
        throw UsageError("an empty PREFIX would remove all pairs; 'ddict clear' without it does so");
    const Dictionary dict = attach(arguments);
    std::uint64_t erased = 0;
    const auto erase = [&](const View& view) -> Result<void> {
        const Result<std::uint64_t> some = view.try_erase_prefix(prefix);
        if (!some) return some.error();
        erased += *some;
        return {};
    };
    // One manager after the other: what went before one of them failed is counted.
    const auto erase_everywhere = [&](const View& view) -> Result<void> {
        for (std::uint32_t manager = 0; manager < view.manager_count(); ++manager) {
            if (const Result<void> done = erase(view.manager(manager)); !done) return done;
        }
        return {};
    };
    const Answers answers = on_each_manager(dict, {timeout_of(arguments)}, erase_everywhere, erase);
    const int status = answers.tell(arguments.command()->name);
    try {
        if (answers.any) print(std::to_string(erased) + "\n");
        finish_output();
    } catch (const OutputError& error) {
        throw OutputError(std::string(error.what()) + "; " + std::to_string(erased) +
                          (erased == 1 ? " pair was" : " pairs were") + " removed all the same");
    }
    return status;
}

namespace {

int run_clear(const Arguments& arguments) {
    if (!arguments.operands().empty()) return remove_prefix(arguments, arguments.text(0));
    // Of a large pool it takes its time, in which the manager says nothing.
    const Dictionary dict = attach(arguments);
    const std::chrono::milliseconds timeout = timeout_of(arguments);
    const auto clear = [](const View& view) { return view.try_clear(); };
    return on_each_manager(dict, {.timeout = timeout, .silence = timeout}, clear, clear)
        .tell(arguments.command()->name);
}

int run_freeze(const Arguments& arguments) {
    return run_everywhere(arguments, [](const View& view) { return view.try_freeze(); });
}

int run_unfreeze(const Arguments& arguments) {
    return run_everywhere(arguments, [](const View& view) { return view.try_unfreeze(); });
}

Command keys_command() {
    return {
        .name = "keys",
        .operands = "[PREFIX]",
        .operands_max = 1,
        .options = {key_type_of_listing_option(), sort_option(), zeros_option(), json_option(),
                    escaped_prefix_option()},
        .summary = "print all keys, or those that begin with PREFIX, one a line",
        .help =
            "What cannot be printed is \\xNN, a backslash \\x5c, a blank at either end \\x20: each key is "
            "one line. A key that is no text stands with its type: \\int64:42. Only texts begin with a "
            "PREFIX, unless --key-type says otherwise.\n"
            "\n"
            "  ddict keys | while IFS= read -r key; do\n"
            "      ddict get --escaped -- \"$key\" && echo\n"
            "  done\n",
        .run = run_keys,
        .completes = {keys_here(), {}}};
}

Command items_command() {
    return {
        .name = "items",
        .operands = "[PREFIX]",
        .operands_max = 1,
        .options = {{.name = "--type", .help = "also the type of each value, before it"},
                    {.name = "--full",
                     .help =
                         "with the type, and all bytes of each value, escaped like a key: what 'ddict put "
                         "--escaped --as TYPE -- KEY VALUE' stores again"},
                    key_type_of_listing_option(),
                    sort_option(),
                    zeros_option(),
                    json_option(),
                    escaped_prefix_option()},
        .summary = "print keys and values, one pair a line",
        .help =
            "Key, tab, value. Text is escaped like a key; of what is neither text nor a number stand the "
            "type and the size. On a terminal a value that does not fit is cut, and its type and size "
            "are told.\n",
        .run = run_items,
        .completes = {keys_here(), {}}};
}

}  // namespace

std::vector<Command> pair_commands() {
    return {
        keys_command(),
        items_command(),
        {.name = "size",
         .operands = "[PREFIX]",
         .operands_max = 1,
         .options = {escaped_prefix_option()},
         .summary = "print the number of pairs, or of those whose keys begin with PREFIX",
         .help = "Only keys that are texts begin with a PREFIX; without it all are counted, of whatever "
                 "type. Those "
                 "of one type are counted by\n"
                 "\n"
                 "  ddict keys --key-type int | wc -l\n",
         .run = run_size,
         .completes = {keys_here(), {}}},
        {.name = "clear",
         .operands = "[PREFIX]",
         .operands_max = 1,
         .options = {escaped_prefix_option()},
         .summary = "remove all pairs, or those whose keys begin with PREFIX",
         .help =
             "With PREFIX it prints how many it has removed, and keeps what a broadcast has stored. An empty "
             "PREFIX is refused. Only keys that are texts begin with a PREFIX; those of another type are "
             "removed by\n"
             "\n"
             "  ddict keys --key-type int | ddict del --key-type int --stdin\n",
         .run = run_clear,
         .completes = {keys_here(), {}}},
        {.name = "freeze", .summary = "refuse all changes from now on, by everybody", .run = run_freeze},
        {.name = "unfreeze", .summary = "allow changes again", .run = run_unfreeze},
    };
}

}  // namespace ddict::tools
