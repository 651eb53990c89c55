// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstring>
#include <iostream>
#include <limits>

#include "tools/commands.h"
#include "tools/deferred_signals.h"
#include "tools/error_text.h"
#include "tools/escapes.h"
#include "tools/exit_status.h"
#include "tools/key_text.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

using Bytes = std::span<const std::byte>;
using std::chrono::steady_clock;

/// Any value, as its bytes.
class AnyValue final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        try {
            value.resize(bytes);
        } catch (const std::exception&) {
            return Error(Errc::system,
                         "not enough memory for a value of " + std::to_string(bytes) + " bytes");
        }
        type = value_type;
        return std::span(value);
    }
    std::vector<std::byte> value;
    std::uint16_t type = 0;
};

Bytes bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

/// The type that the options name; nothing if they name none.
std::optional<std::uint16_t> type_given(const Arguments& arguments) {
    constexpr std::string_view flags[] = {"--text", "--bytes", "--bool",  "--int",
                                          "--uint", "--float", "--double"};
    std::optional<std::string> name = arguments.value("--as");
    for (const std::string_view flag : flags) {
        if (!arguments.has(flag)) continue;
        if (name)
            throw UsageError("a value has one type, not " + printable(*name) + " and " +
                             std::string(flag.substr(2)));
        name = flag.substr(2);
    }
    if (!name) return std::nullopt;
    const std::optional<std::uint16_t> type = type_named(*name);
    if (!type) throw UsageError(no_such_type(*name));
    return type;
}

/// So that a program can read what any other wrote: a number as its text, everything else as its bytes. On a
/// terminal nothing that it would act upon, and a line end.
void print_value(const AnyValue& any, bool raw) {
    if (const auto scalar = scalar_text(any.value, any.type); scalar && !raw) {
        print(*scalar);
        if (output_is_terminal()) print("\n");
        return;
    }
    const std::string_view bytes(reinterpret_cast<const char*>(any.value.data()), any.value.size());
    if (raw || !output_is_terminal()) return print(bytes);
    const std::string shown = any.type == type_text ? printable_text(bytes) : in_words(any.value, any.type);
    print(shown);
    if (!shown.ends_with('\n')) print("\n");
    if (any.type != type_text) std::cerr << "ddict: --raw prints its bytes\n";
}

/// Throws OutputError where print_value would say only what the value is.
void require_shown(const AnyValue& any, bool raw) {
    if (raw || !output_is_terminal() || any.type == type_text || scalar_text(any.value, any.type)) return;
    throw OutputError("without --raw a terminal shows no value of type " + type_in_words(any.type));
}

std::string_view without_line_end(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.remove_suffix(1);
    return text;
}

/// A counter, counted further. Prints what it is then.
template <class Number>
void increment(const Dictionary& dict, const AnyKey& key, const std::string& delta) {
    const std::vector<std::byte> bytes = value_of(Codec<Number>::type, delta);
    Number step{};
    std::memcpy(&step, bytes.data(), sizeof step);
    const DeferredSignals signals;
    Number now = dict.fetch_add<Number>(key, step);
    if constexpr (std::is_floating_point_v<Number>) {
        now += step;
    } else {  // as the manager adds: around the end of the numbers
        now = static_cast<Number>(static_cast<std::uint64_t>(now) + static_cast<std::uint64_t>(step));
    }
    try {
        print(scalar_text(std::as_bytes(std::span(&now, 1)), Codec<Number>::type).value() + "\n");
        finish_output();
    } catch (const OutputError& error) {
        signals.fail(std::string(error.what()) + "; key " + shown_key(key.view()) +
                     " was counted all the same");
    }
}

/// Names each that was not removed, and says why, on a line each. Returns the exit status: `partial` is for
/// who should try again.
int tell_of_removals(const Dictionary& dict, std::span<const AnyKey> keys,
                     std::span<const ItemStatus> statuses, const Result<std::uint64_t>& all) {
    std::size_t removed = 0;
    std::size_t absent = 0;
    std::size_t no_keys = 0;  // as they can be told to be without a manager: empty, too long
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const ItemStatus& status = statuses[i];
        if (status.ok()) {
            ++removed;
            continue;
        }
        if (status.code == Errc::not_found) ++absent;
        if (status_of(status.code) == wrong_call) ++no_keys;
        Error error(status.code);
        // Of the errors of managers one is known in full.
        if (!all && all.error().code == status.code && all.error().manager == status.manager)
            error = all.error();
        error = dict.name_error(error, Operation::erase, keys[i].view());
        error.in_doubt = status.in_doubt;
        error.key_bytes_shown = 0;  // an error's text is too short for all of a long one
        const std::string what = "del of key " + shown_key(keys[i].view());
        std::cerr << "ddict: " << printable_text(message_of(error, what)) << '\n';
    }
    if (removed == keys.size()) return success;
    if (removed + absent == keys.size()) return no_such_key;
    if (removed + absent + no_keys == keys.size()) return wrong_call;
    return removed + absent == 0 ? status_of(all.error().code) : partial;
}

/// All operands.
std::vector<AnyKey> all_keys(const Arguments& arguments) {
    std::vector<AnyKey> keys;
    for (std::size_t i = 0; i < arguments.operands().size(); ++i)
        keys.push_back(key_operand(arguments, i));
    return keys;
}

std::vector<KeyBytes> views_of(std::span<const AnyKey> keys) {
    std::vector<KeyBytes> views;
    for (const AnyKey& key : keys)
        views.push_back(key.view());
    return views;
}

int run_put(const Arguments& arguments) {
    const std::uint16_t type = type_given(arguments).value_or(type_text);
    const AnyKey key = key_operand(arguments, 0);
    std::optional<Dictionary> dict;
    std::string text;
    if (arguments.operands()[1] == "-") {
        text = read_input([&] {
            dict.emplace(attach(arguments));
            return dict->stats(dict->which_manager(key)).pool_bytes;
        });
        if (is_scalar_with_text(type)) text = without_line_end(text);
    } else {
        text = arguments.text(1);
    }
    const bool as_is = !is_scalar_with_text(type);
    const std::vector<std::byte> number = as_is ? std::vector<std::byte>() : value_of(type, text);
    if (as_is) check_size_of_value(type, text.size());
    if (!dict) dict.emplace(attach(arguments));
    dict->put_bytes(key.view(), as_is ? bytes_of(text) : Bytes(number), type).value();
    return success;
}

/// What the value is, for a command that does what `operation` says; not_found if there is no such key.
ValueInfo info_of(const Dictionary& dict, const AnyKey& key, Operation operation) {
    const std::optional<ValueInfo> info = dict.type_and_size_bytes(key.view()).value();
    if (!info) throw Exception(dict.name_error(Error(Errc::not_found), operation, key.view()));
    return *info;
}

int run_get(const Arguments& arguments) {
    const Dictionary dict = attach(arguments);
    const AnyKey key = key_operand(arguments, 0);
    if (arguments.has("--type")) {
        print(type_in_words(info_of(dict, key, Operation::get).type) + "\n");
        return success;
    }
    AnyValue any;
    dict.get_bytes(key.view(), any).value();
    print_value(any, arguments.has("--raw"));
    return success;
}

int run_info(const Arguments& arguments) {
    const ValueInfo info = info_of(attach(arguments), key_operand(arguments, 0), Operation::type_and_size);
    print(type_in_words(info.type) + "\t" + std::to_string(info.bytes) + "\n");
    return success;
}

int run_del(const Arguments& arguments) {
    const std::vector<AnyKey> keys = all_keys(arguments);
    const Dictionary dict = attach(arguments);
    std::vector<ItemStatus> statuses(keys.size());
    const Result<std::uint64_t> all = dict.multi_erase_bytes(views_of(keys), statuses);
    return tell_of_removals(dict, keys, statuses, all);
}

int run_pop(const Arguments& arguments) {
    const Dictionary dict = attach(arguments);
    const AnyKey key = key_operand(arguments, 0);
    AnyValue any;
    const DeferredSignals signals;
    dict.pop_bytes(key.view(), any).value();
    try {
        require_shown(any, arguments.has("--raw"));
        print_value(any, arguments.has("--raw"));
        finish_output();
    } catch (const OutputError& error) {
        // What nobody has seen is not to be lost.
        const Result<bool> back = dict.put_bytes_if(PutCondition::absent, key.view(), any.value, any.type);
        const std::string what_now = back.has_value() && *back ? "the pair was put back"
                                     : back.has_value()
                                         ? "its value is lost: the key has another one by now"
                                         : "its value is lost: " + message_of(back.error(), {});
        signals.fail(std::string(error.what()) + "; " + what_now);
    }
    return success;
}

int run_incr(const Arguments& arguments) {
    const std::uint16_t type = type_given(arguments).value_or(Codec<std::int64_t>::type);
    const AnyKey key = key_operand(arguments, 0);
    const std::string delta = arguments.operands().size() > 1 ? arguments.operands()[1] : "1";
    if (type != Codec<std::int64_t>::type && type != Codec<std::uint64_t>::type &&
        type != Codec<double>::type)
        throw UsageError("a counter is an int64, a uint64 or a float64, not " + type_in_words(type));
    static_cast<void>(value_of(type, delta));  // before anything is asked
    const Dictionary dict = attach(arguments);
    if (type == Codec<double>::type) {
        increment<double>(dict, key, delta);
    } else if (type == Codec<std::uint64_t>::type) {
        increment<std::uint64_t>(dict, key, delta);
    } else {
        increment<std::int64_t>(dict, key, delta);
    }
    return success;
}

/// Prints the first of the keys that is there.
int wait_for_any(const Arguments& arguments) {
    if (type_given(arguments) || arguments.has("--raw"))
        throw UsageError("with --any, wait prints a key, and takes no option about values");
    const std::vector<AnyKey> keys = all_keys(arguments);
    const Dictionary dict = attach(arguments);
    AnyValue any;
    const std::size_t first =
        dict.within(timeout_of(arguments)).wait_for_any_bytes(views_of(keys), any).value();
    print(escaped_text(keys[first].view(), arguments.has("--key-type")) + "\n");
    return success;
}

int run_wait(const Arguments& arguments) {
    if (arguments.has("--any")) return wait_for_any(arguments);
    if (arguments.operands().size() > 2)
        throw UsageError("wait takes KEY [VALUE], or --any KEY..., not " +
                         std::to_string(arguments.operands().size()) + " words");
    const std::optional<std::uint16_t> asked = type_given(arguments);
    const AnyKey key = key_operand(arguments, 0);
    std::optional<std::vector<std::byte>> wanted;
    if (asked && arguments.operands().size() > 1) wanted = value_of(*asked, arguments.text(1));
    const Dictionary dict = attach(arguments);
    // Two waits, one deadline.
    const View in_time =
        dict.within(timeout_of(arguments)).until(steady_clock::now() + timeout_of(arguments));
    if (wanted) {
        in_time.wait_for_value_bytes(key.view(), *wanted, *asked).value();
        return success;
    }
    AnyValue any;
    in_time.wait_for_bytes(key.view(), any).value();
    if (arguments.operands().size() < 2) {
        print_value(any, arguments.has("--raw"));
        return success;
    }
    // Of the type that the key has; a text that cannot be of it is waited for as bytes of whatever type.
    const std::string text = arguments.text(1);
    std::uint16_t type = any.type;
    std::vector<std::byte> value;
    try {
        value = value_of(type, text);
    } catch (const UsageError&) {
        type = type_bytes;
        value = value_of(type, text);
    }
    if (!is_scalar_with_text(type)) type = type_bytes;
    in_time.wait_for_value_bytes(key.view(), value, type).value();
    return success;
}

const Option raw{.name = "--raw", .help = "the bytes of the value, also of a number, also to a terminal"};

/// The types that a value can be given; `more` comes after them.
std::vector<Option> with_types(std::vector<Option> more) {
    std::vector<Option> all{
        {.name = "--as",
         .value = "TYPE",
         .help =
             "the type of VALUE, as get --type prints it: text, bytes, bool, int8 to int64 (int), uint8 to "
             "uint64 (uint), float32 (float), float64 (double), 'vector of float64', ...; of what is neither "
             "a number nor a bool, VALUE is the bytes: their number must fit a vector; those of lists, "
             "arrays, records and maps are stored unchecked"},
        {.name = "--int", .help = "--as int, which is int64"},
        {.name = "--uint", .help = "--as uint, which is uint64"},
        {.name = "--double", .help = "--as double, which is float64"},
        {.name = "--float", .help = "--as float, which is float32"},
        {.name = "--bool", .help = "--as bool: true or false"},
        {.name = "--text", .help = "--as text"},
        {.name = "--bytes", .help = "--as bytes"},
    };
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

Command put_command() {
    return {.name = "put",
            .operands = "KEY VALUE",
            .operands_min = 2,
            .operands_max = 2,
            .options = with_types({key_type_option(), escaped_pair_option()}),
            .summary = "store VALUE; '-' reads it from the standard input",
            .help =
                "Without a type, VALUE is text. A number is read in decimal, also nan, inf and -0; what does "
                "not fit into its type is refused. As 'ddict get' prints a number, 'ddict put' stores it "
                "again, bit by bit. Any value can be copied:\n"
                "\n"
                "  ddict get FROM | ddict put TO - --as \"$(ddict get --type FROM)\"\n",
            .run = run_put};
}

Command get_command() {
    return {
        .name = "get",
        .operands = "KEY",
        .operands_min = 1,
        .operands_max = 1,
        .options = {{.name = "--type", .help = "print the type of the value instead"},
                    raw,
                    key_type_option(),
                    escaped_option()},
        .summary = "print the value, without a line end",
        .help =
            "A number is printed in decimal, the shortest text that is read back as the same number, a "
            "bool as true or false, a complex number as (1.5,-2); everything else as its bytes, vectors, "
            "arrays, records and maps too (docs/values.md has what they mean).\n"
            "On a terminal, bytes that it would act upon are shown as \\xNN, a value that is neither text "
            "nor a number by its type and size, and the line is ended.\n",
        .run = run_get};
}

Command incr_command() {
    return {
        .name = "incr",
        .operands = "KEY [N]",
        .operands_min = 1,
        .operands_max = 2,
        .options = {{.name = "--as",
                     .value = "TYPE",
                     .help = "int (int64), uint (uint64) or double (float64)"},
                    {.name = "--int", .help = "--as int, which is what it is without a type"},
                    {.name = "--uint", .help = "--as uint"},
                    {.name = "--double", .help = "--as double"},
                    key_type_option(),
                    escaped_option()},
        .summary = "add N (default 1) to a counter, and print it",
        .help =
            "A counter is an int64, or with --uint or --double a uint64 or a float64. It begins at 0 when "
            "there is no such key. Beyond the largest number of its type an integer goes on at the smallest, "
            "and the other way round. What put stores without a type is text, which cannot be counted: "
            "'ddict put --int KEY N' stores a number.\n",
        .run = run_incr};
}

Command wait_command() {
    const Option any{.name = "--any", .help = "all operands are keys: print the first that is there"};
    return {
        .name = "wait",
        .operands = "KEY [VALUE]",
        .operands_min = 1,
        .operands_max = std::numeric_limits<std::size_t>::max(),
        .options = with_types({any, raw, key_type_option(), escaped_pair_option()}),
        .summary = "wait until there is such a key, and print its value, or until it has VALUE",
        .help =
            "At most --timeout SECONDS (30 without it), and at most 24 hours. VALUE is of the type that is "
            "given, or else of the one that the key's value has when there is one; a value of another type "
            "is never the one that is waited for. With --any it waits for up to 256 keys at once, and prints "
            "the one that is there, as keys does:\n"
            "\n"
            "  ddict wait --any result/1 result/2 failed\n"
            "\n"
            "It then ends with exit status 4 as soon as the manager of one of the keys is lost, though "
            "others may still come.\n",
        .also = "--any KEY...",
        .run = run_wait};
}

}  // namespace

std::vector<Command> key_commands() {
    return {
        put_command(),
        get_command(),
        {.name = "info",
         .operands = "KEY",
         .operands_min = 1,
         .operands_max = 1,
         .options = {key_type_option(), escaped_option()},
         .summary = "print the type and the size of the value: type, tab, number of bytes",
         .help = "The value itself is not fetched.\n",
         .run = run_info},
        {.name = "del",
         .operands = "KEY...",
         .operands_min = 1,
         .operands_max = std::numeric_limits<std::size_t>::max(),
         .options = {key_type_option(), escaped_option()},
         .summary = "remove the pairs",
         .help = "Each that was not removed is named.\n",
         .run = run_del},
        {.name = "pop",
         .operands = "KEY",
         .operands_min = 1,
         .operands_max = 1,
         .options = {raw, key_type_option(), escaped_option()},
         .summary = "remove the pair and print its value, as get does",
         .help =
             "If the value cannot be printed, since nobody reads it, the disk is full, or a signal ends "
             "ddict (Ctrl-C, TERM), the pair is put back; also on a terminal, without --raw, if the value is "
             "neither text nor a number. A second signal ends it at once; the value may then be lost, as by "
             "KILL.\n",
         .run = run_pop},
        incr_command(),
        wait_command(),
    };
}

}  // namespace ddict::tools
