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
#include "tools/json_value.h"
#include "tools/key_text.h"
#include "tools/named_keys.h"
#include "tools/pair_printer.h"
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

// Of a text on a terminal: some screens.
constexpr std::size_t text_shown_max = 16384;

bool is_too_long_for_terminal(const AnyValue& any) {
    return any.type == type_text && any.value.size() > text_shown_max && output_is_terminal();
}

void print_beginning(const AnyValue& any) {
    print(printable_text({reinterpret_cast<const char*>(any.value.data()), text_shown_max}) + "...\n");
    finish_output();
    std::cerr << "ddict: that is the beginning of " << in_words(any.value, any.type)
              << "; --raw, or a pipe, gets all of it\n";
}

void print_json(const AnyKey& key, const AnyValue& any) {
    const auto json = json_of_value(any.value, any.type);
    if (!json)
        throw UsageError("JSON has no value as that of key " + shown_key(key.view()) + ", " +
                         in_words(any.value, any.type) + "; without --json its bytes are printed");
    print(json->dump() + "\n");
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

/// All operands.
std::vector<AnyKey> all_keys(const Arguments& arguments) {
    std::vector<AnyKey> keys;
    for (std::size_t i = 0; i < arguments.operands().size(); ++i)
        keys.push_back(key_operand(arguments, i));
    return keys;
}

constexpr double ttl_max_seconds = 1e9;

Option ttl_option() {
    return {.name = "--ttl",
            .value = "SECONDS",
            .help = "its time to live: the manager erases it so long after it was stored"};
}

std::optional<std::chrono::milliseconds> ttl_of(const Arguments& arguments) {
    return arguments.seconds("--ttl", 0.001, ttl_max_seconds);
}

int run_touch(const Arguments& arguments) {
    const auto ttl = ttl_of(arguments);
    if (ttl.has_value() == arguments.has("--no-ttl"))
        throw UsageError("touch takes either --ttl SECONDS or --no-ttl");
    const Dictionary dict = attach(arguments);
    ExitStatus status = success;
    for (const AnyKey& key : all_keys(arguments)) {
        if (dict.touch_bytes(key.view(), ttl).value()) continue;
        std::cerr << "ddict: there is no key " << shown_key(key.view()) << '\n';
        status = no_such_key;
    }
    return status;
}

View view_for_puts(const Dictionary& dict, const Arguments& arguments) {
    View view = arguments.has("--persistent") ? dict.persistent() : View(dict);
    if (const auto ttl = ttl_of(arguments)) view = view.with_ttl(*ttl);
    return arguments.has("--when-space") ? view.within(timeout_of(arguments)).when_space() : view;
}

int run_put(const Arguments& arguments) {
    const bool is_json = arguments.has("--json");
    if (is_json && type_given(arguments)) throw UsageError("with --json, the value says of what type it is");
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
        text = is_json ? arguments.operands()[1] : arguments.text(1);  // JSON has escapes of its own
    }
    if (is_json) {
        const TypedBytes value = value_of_json(text);
        if (!dict) dict.emplace(attach(arguments));
        view_for_puts(*dict, arguments).put_bytes(key.view(), value.bytes, value.type).value();
        return success;
    }
    const bool as_is = !is_scalar_with_text(type);
    const std::vector<std::byte> number = as_is ? std::vector<std::byte>() : value_of(type, text);
    if (as_is) check_size_of_value(type, text.size());
    if (!dict) dict.emplace(attach(arguments));
    view_for_puts(*dict, arguments)
        .put_bytes(key.view(), as_is ? bytes_of(text) : Bytes(number), type)
        .value();
    return success;
}

/// What the value is, for a command that does what `operation` says; not_found if there is no such key.
ValueInfo info_of(const Dictionary& dict, const AnyKey& key, Operation operation) {
    const std::optional<ValueInfo> info = dict.type_and_size_bytes(key.view()).value();
    if (!info) throw Exception(dict.name_error(Error(Errc::not_found), operation, key.view()));
    return *info;
}

int run_get(const Arguments& arguments) {
    if (NamedKeys(arguments).are_many()) {
        if (arguments.has("--raw"))
            throw UsageError("--raw is about one value; --full prints all bytes of several");
        return get_many(arguments);
    }
    for (const std::string_view of_list : {"--full", "--null", "--sort"}) {
        if (arguments.has(of_list))
            throw UsageError(std::string(of_list) + " is about a list of several keys");
    }
    const Dictionary dict = attach(arguments);
    const AnyKey key = key_operand(arguments, 0);
    if (arguments.has("--type")) {
        print(type_in_words(info_of(dict, key, Operation::get).type) + "\n");
        return success;
    }
    AnyValue any;
    dict.find_bytes(key.view(), any).value();
    if (arguments.has("--json")) {
        print_json(key, any);
    } else if (is_too_long_for_terminal(any) && !arguments.has("--raw")) {
        print_beginning(any);
    } else {
        print_value(any, arguments.has("--raw"));
    }
    return success;
}

int run_pop(const Arguments& arguments) {
    const Dictionary dict = attach(arguments);
    const AnyKey key = key_operand(arguments, 0);
    AnyValue any;
    const DeferredSignals signals;
    dict.at_once().pop_bytes(key.view(), any).value();
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

/// As long as it is there, another one is waited for.
std::optional<AnyKey> alive_key(const Arguments& arguments) {
    const std::optional<std::string> given = arguments.value("--while");
    if (!given) return std::nullopt;
    return KeyReader(arguments).key(*given, arguments.has("--escaped"));
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
    const std::optional<AnyKey> alive = alive_key(arguments);
    if (alive && arguments.operands().size() > 1) throw UsageError("--while goes with a KEY alone");
    if (wanted) {
        in_time.wait_for_value_bytes(key.view(), *wanted, *asked).value();
        return success;
    }
    AnyValue any;
    if (alive)
        in_time.wait_for_while_bytes(key.view(), alive->view(), any).value();
    else
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
             "arrays, records and maps are stored unchecked",
         .completes = {.kind = Completes::Kind::type}},
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
    return {
        .name = "put",
        .operands = "KEY VALUE",
        .operands_min = 2,
        .operands_max = 2,
        .options = with_types(
            {{.name = "--json",
              .help = "VALUE is JSON, which says of what type it is: int64, float64, bool, "
                      "text, vectors of numbers, lists, records, maps of texts"},
             {.name = "--persistent", .help = "for later checkpoints too, also where they wait for keys"},
             ttl_option(),
             {.name = "--when-space", .help = "wait until there is space for it, at most --timeout SECONDS"},
             key_type_option(),
             escaped_pair_option()}),
        .summary = "store VALUE; '-' reads it from the standard input",
        .help =
            "Without a type, VALUE is text. A number is read in decimal, also nan, inf and -0; what does "
            "not fit into its type is refused. As 'ddict get' prints a number, 'ddict put' stores it "
            "again, bit by bit. Any value can be copied:\n"
            "\n"
            "  ddict get FROM | ddict put TO - --as \"$(ddict get --type FROM)\"\n",
        .run = run_put,
        .completes = {keys_here(), {}}};
}

Command get_command() {
    return {
        .name = "get",
        .operands = "KEY...",
        .operands_min = 1,
        .operands_max = std::numeric_limits<std::size_t>::max(),
        .options = {{.name = "--type",
                     .help = "print the type of the value instead; of several keys, also the type"},
                    raw,
                    {.name = "--full",
                     .help = "of several keys: with the type, and all bytes of each value, as items --full"},
                    stdin_option(),
                    zeros_option(),
                    {.name = "--json",
                     .help = "the value as JSON, which put --json stores again; of several keys, for "
                             "programs; what JSON has not is in base64 then"},
                    sort_option(),
                    key_type_option(),
                    escaped_option()},
        .summary = "print the value, without a line end; of several keys, a line each",
        .help =
            "A number is printed in decimal, the shortest text that is read back as the same number, a "
            "bool as true or false, a complex number as (1.5,-2); everything else as its bytes, vectors, "
            "arrays, records and maps too (docs/values.md has what they mean).\n"
            "On a terminal, bytes that it would act upon are shown as \\xNN, a value that is neither text "
            "nor a number by its type and size, a text by its first 16 KiB, and the line is ended.\n"
            "With several keys, or --stdin, it prints what items prints of those that are there, and "
            "names the others.\n",
        .run = run_get,
        .completes = {keys_here()}};
}

Command incr_command() {
    return {
        .name = "incr",
        .operands = "KEY [N]",
        .operands_min = 1,
        .operands_max = 2,
        .options = {{.name = "--as",
                     .value = "TYPE",
                     .help = "int (int64), uint (uint64) or double (float64)",
                     .completes = {.kind = Completes::Kind::words, .words = "int|uint|double"}},
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
        .run = run_incr,
        .completes = {keys_here(), {}}};
}

Command wait_command() {
    const Option any{.name = "--any", .help = "all operands are keys: print the first that is there"};
    return {
        .name = "wait",
        .operands = "KEY [VALUE]",
        .operands_min = 1,
        .operands_max = std::numeric_limits<std::size_t>::max(),
        .options = with_types({any,
                               {.name = "--while",
                                .value = "KEY",
                                .help = "as long as there is that key, too (put --ttl)",
                                .completes = keys_here()},
                               raw,
                               key_type_option(),
                               escaped_pair_option()}),
        .summary = "wait until there is such a key, and print its value, or until it has VALUE",
        .help =
            "At most --timeout SECONDS (30 without it), and at most 24 hours. VALUE is of the type that is "
            "given, or else of the one that the key's value has when there is one; a value of another type "
            "is never the one that is waited for. With --any it waits for up to 256 keys, and prints the "
            "one that is there:\n"
            "\n"
            "  ddict wait --any result/1 result/2 failed\n"
            "\n"
            "It then ends with exit status 4 as soon as the manager of one of the keys is lost, though "
            "others may still come.\n",
        .also = "--any KEY...",
        .run = run_wait,
        .completes = {keys_here()}};
}

}  // namespace

std::vector<Command> key_commands() {
    return {
        put_command(),
        get_command(),
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
         .run = run_pop,
         .completes = {keys_here()}},
        incr_command(),
        {.name = "touch",
         .operands = "KEY...",
         .operands_min = 1,
         .operands_max = std::numeric_limits<std::size_t>::max(),
         .options = {{.name = "--ttl", .value = "SECONDS", .help = "the pair is erased so long from now"},
                     {.name = "--no-ttl", .help = "it stays until it is removed"},
                     key_type_option(),
                     escaped_option()},
         .summary = "give the pairs that are there another time to live",
         .help =
             "'ddict put --ttl SECONDS' stores a pair that has one, and 'ddict info --ttl' prints what is "
             "left of it. Each key that is not there is named.\n",
         .run = run_touch,
         .completes = {keys_here()}},
        wait_command(),
    };
}

}  // namespace ddict::tools
