// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <clocale>
#include <functional>
#include <iostream>

#include "tools/commands.h"
#include "tools/each_manager.h"
#include "tools/escapes.h"
#include "tools/key_text.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

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

/// Prints the fields of pairs: on lines, so that each field can be read back, or with a zero byte after each.
class PairPrinter {
  public:
    explicit PairPrinter(const Arguments& arguments)
        : zero_(arguments.has("--null")),
          full_(arguments.has("--full")),
          type_(arguments.has("--type") || full_),
          key_type_is_known_(arguments.has("--key-type")),
          width_(!zero_ && !full_ && output_is_terminal() ? terminal_width() : 0) {
        // How wide characters are is the locale's to say.
        if (width_ > 0 && (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1))
            std::setlocale(LC_CTYPE, "C.UTF-8");
    }

    void print_key(KeyBytes key) { print_fields(key, {}); }

    void print_item(const Cursor& item) {
        const std::string type = type_in_words(item.value_type());
        std::string value = value_of_item(item);
        if (width_ > 0) return print_cut(item, type, value);
        std::vector<std::string_view> fields;
        if (type_) fields.push_back(type);
        fields.push_back(value);
        print_fields(key_of(item), fields);
    }

    /// Success, unless a field held what stands between fields.
    ExitStatus status() const { return ambiguous_ ? partial : success; }

  private:
    /// As bytes where fields are escaped when they are printed.
    std::string value_of_item(const Cursor& item) const {
        if (auto scalar = scalar_text(item.value(), item.value_type())) return *std::move(scalar);
        if (zero_ || full_ || item.value_type() == type_text) return std::string(text_of(item.value()));
        return in_words(item.value(), item.value_type());
    }

    void print_fields(KeyBytes key, const std::vector<std::string_view>& more) {
        if (zero_) return print_with_zeros(key, more);
        std::string line = escaped_text(key, key_type_is_known_);
        for (const std::string_view field : more)
            line.append("\t").append(printable(field));
        print(line + "\n");
    }

    void print_with_zeros(KeyBytes key, const std::vector<std::string_view>& more) {
        if (key.type() != type_text && !key_type_is_known_)
            return refuse(key, "it is no text; without -0, or with --key-type, it is printed");
        std::string fields = plain_text(key);
        fields += '\0';
        for (const std::string_view field : more)
            fields.append(field).push_back('\0');
        if (static_cast<std::size_t>(std::ranges::count(fields, '\0')) != more.size() + 1)
            return refuse(key, "it has a zero byte, at which it would be cut; without -0 it is printed");
        print(fields);
    }

    void refuse(KeyBytes key, std::string_view why) {
        std::cerr << "ddict: incomplete: the pair of key " << shown_key(key) << " is left out: " << why
                  << '\n';
        ambiguous_ = true;
    }

    /// On one line of the terminal; what does not fit is cut, and how much it is stands at the end.
    void print_cut(const Cursor& item, const std::string& type, const std::string& value) const {
        constexpr std::string_view dots = "...";
        std::string key = escaped_text(key_of(item), key_type_is_known_);
        if (width_of(key) > width_ / 2)
            key = std::string(beginning_of(key, width_ / 2 - std::min(width_ / 2, dots.size()))).append(dots);
        std::string line = key + "  " + (type_ ? type + "  " : "");
        // Of a long value not more is looked at than could be shown.
        const bool is_text = item.value_type() == type_text;
        const std::string shown =
            printable(std::string_view(value).substr(0, is_text ? 4 * width_ : value.size()));
        const std::size_t left = width_ - std::min(width_, width_of(line));
        const bool whole = value.size() <= 4 * width_ || !is_text;
        if (whole && width_of(shown) <= left) return print(line + shown + "\n");
        const std::string size =
            " (" + (type_ ? "" : type + ", ") + bytes_in_words(item.value().size()) + ")";
        const std::size_t taken = dots.size() + size.size();
        line.append(beginning_of(shown, left - std::min(left, taken))).append(dots).append(size);
        print(std::string(beginning_of(line, width_)) + "\n");
    }

    bool zero_;
    bool full_;
    bool type_;
    bool key_type_is_known_;
    std::size_t width_;  // of the terminal; 0 where nothing is cut
    bool ambiguous_ = false;
};

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
    return std::max(answers.tell(arguments.command()->name), printer.status());
}

int run_items(const Arguments& arguments) {
    const Dictionary dict = attach(arguments);
    const Listing listing(arguments);
    PairPrinter printer(arguments);
    const Answers answers = walk_managers(dict, {timeout_of(arguments)}, listing.options(true),
                                          [&](const Cursor& item) { printer.print_item(item); });
    return std::max(answers.tell(arguments.command()->name), printer.status());
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

int clear_prefix(const Arguments& arguments) {
    const std::string prefix = arguments.text(0);
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

int run_clear(const Arguments& arguments) {
    if (!arguments.operands().empty()) return clear_prefix(arguments);
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

const Option zeros{
    .name = "--null",
    .letter = '0',
    .help =
        "each as it is, followed by a zero byte (for xargs -0); a pair that has a zero byte "
        "itself, or without --key-type a key that is no text, is left out, and named, and the exit status "
        "is 5"};

Command keys_command() {
    return {
        .name = "keys",
        .operands = "[PREFIX]",
        .operands_max = 1,
        .options = {key_type_of_listing_option(), zeros, escaped_prefix_option()},
        .summary = "print all keys, or those that begin with PREFIX, one a line",
        .help =
            "What cannot be printed is \\xNN, a backslash \\x5c, a blank at either end \\x20: each key is "
            "one line. A key that is no text stands with its type: \\int64:42. Only texts begin with a "
            "PREFIX, unless --key-type says otherwise.\n"
            "\n"
            "  ddict keys | while IFS= read -r key; do\n"
            "      ddict get --escaped -- \"$key\" && echo\n"
            "  done\n",
        .run = run_keys};
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
                    zeros,
                    escaped_prefix_option()},
        .summary = "print keys and values, one pair a line",
        .help =
            "Key, tab, value. Text is escaped like a key; of what is neither text nor a number stand the "
            "type and the size. On a terminal a value that does not fit is cut, and its type and size "
            "are told.\n",
        .run = run_items};
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
         .run = run_size},
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
             "  ddict keys -0 --key-type int | xargs -0 -r ddict del --key-type int --\n",
         .run = run_clear},
        {.name = "freeze", .summary = "refuse all changes from now on, by everybody", .run = run_freeze},
        {.name = "unfreeze", .summary = "allow changes again", .run = run_unfreeze},
    };
}

}  // namespace ddict::tools
