// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Commands on any number of keys: those of the command line, and those of the standard input.
#include <algorithm>
#include <limits>
#include <utility>

#include "tools/commands.h"
#include "tools/escapes.h"
#include "tools/exit_status.h"
#include "tools/json_text.h"
#include "tools/key_text.h"
#include "tools/named_keys.h"
#include "tools/pair_printer.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

// Of one batch: enough to keep all managers busy; of values that have to be kept until they are printed.
constexpr std::size_t keys_at_once = 16384;
constexpr std::size_t values_at_once = 256;
constexpr std::size_t value_bytes_at_once = std::size_t{8} << 20;
constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();

struct AnyBytes {
    std::vector<std::byte> bytes;
    std::uint16_t type = 0;

    Result<std::span<std::byte>> prepare(std::uint64_t size, std::uint16_t value_type) {
        try {
            bytes.resize(size);
        } catch (const std::exception&) {
            return Error(Errc::system, "not enough memory for a value of " + std::to_string(size) + " bytes");
        }
        type = value_type;
        return std::span(bytes);
    }
};

/// The values of a batch, but for those that are large together: they are fetched one by one.
class Values final : public ItemSink {
  public:
    explicit Values(std::size_t count) : all(count), statuses(count), is_late_(count) {}
    Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t bytes,
                                         std::uint16_t value_type) override {
        if (bytes > value_bytes_at_once - taken_) {
            is_late_[index] = true;
            return Error(Errc::too_large, "it is fetched alone");
        }
        taken_ += bytes;
        return all[index].prepare(bytes, value_type);
    }
    void done(std::size_t index, const ItemStatus& status) override {
        if (!is_late_[index]) statuses[index] = status;
    }
    bool is_late(std::size_t index) const { return is_late_[index]; }

    std::vector<AnyBytes> all;
    std::vector<ItemStatus> statuses;

  private:
    std::size_t taken_ = 0;
    std::vector<bool> is_late_;
};

class OneValue final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        return value.prepare(bytes, value_type);
    }
    AnyBytes value;
};

/// Whether there are values, none of which is fetched.
class Presence final : public ItemSink {
  public:
    explicit Presence(std::size_t count) : statuses(count), is_there_(count) {}
    Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t, std::uint16_t) override {
        is_there_[index] = true;
        return Error(Errc::too_large, "it is not wanted");
    }
    void done(std::size_t index, const ItemStatus& status) override {
        if (!is_there_[index]) statuses[index] = status;
    }

    std::vector<ItemStatus> statuses;

  private:
    std::vector<bool> is_there_;
};

/// Calls `f` with the keys, up to `max` at once, which sums up what came of them. Its exit status, after what
/// was printed has been ended.
template <class F>
ExitStatus for_all_keys(const Arguments& arguments, Operation operation, std::size_t max, F&& f) {
    const Dictionary dict = attach(arguments);
    NamedKeys named(arguments);
    ManyOutcomes outcomes(dict, operation, arguments.command()->name);
    for (;;) {
        const std::vector<AnyKey> keys = named.next(max);
        if (keys.empty()) return outcomes.status();
        f(dict, keys, outcomes);
    }
}

int run_has(const Arguments& arguments) {
    PairPrinter printer(arguments);
    const ExitStatus status =
        for_all_keys(arguments, Operation::contains, keys_at_once,
                     [&](const Dictionary& dict, std::span<const AnyKey> keys, ManyOutcomes& outcomes) {
                         Presence presence(keys.size());
                         const Result<void> all = dict.multi_get_bytes(views_of(keys), presence);
                         for (std::size_t i = 0; i < keys.size(); ++i) {
                             if (presence.statuses[i].ok()) printer.print_key(keys[i].view());
                         }
                         outcomes.add_quietly_if_absent(keys, presence.statuses, all);
                     });
    return std::max(printer.finish(), status);
}

/// The manager that a key leads to, and its node: empty if it is not known here.
struct Place {
    std::uint32_t manager = 0;
    std::string node;
};
Place place_of(const Dictionary& dict, KeyBytes key) {
    return {dict.manager_of_bytes(key),
            dict.name_error(Error(Errc::not_found), Operation::type_and_size, key).node.data()};
}

/// Type and size of one; of several, after the key.
/// The seconds that are left; null if it stays until it is removed.
nlohmann::ordered_json json_of_ttl(const Dictionary& dict, KeyBytes key) {
    const auto left = dict.time_to_live_bytes(key).value();
    if (!left) return nullptr;
    return static_cast<double>(left->count()) / 1e6;
}

std::string ttl_text(const nlohmann::ordered_json& seconds) {
    return seconds.is_null() ? "-" : seconds.dump();
}

int run_info(const Arguments& arguments) {
    const bool are_many = NamedKeys(arguments).are_many();
    const bool is_json = arguments.has("--json");
    JsonList list;
    const auto print_one = [&](const Dictionary& dict, KeyBytes key, const ValueInfo& info) {
        const Place place = place_of(dict, key);
        if (is_json) {
            nlohmann::ordered_json json = json_of_key(key);
            json["type"] = type_in_words(info.type);
            json["bytes"] = info.bytes;
            json["manager"] = place.manager;
            json["node"] = place.node;
            if (arguments.has("--ttl")) json["ttl"] = json_of_ttl(dict, key);
            return list.add(json);
        }
        std::string text = type_in_words(info.type) + "\t" + std::to_string(info.bytes);
        if (arguments.has("--where"))
            text += "\t" + std::to_string(place.manager) + "\t" + printable(place.node);
        if (arguments.has("--ttl")) text += "\t" + ttl_text(json_of_ttl(dict, key));
        print((are_many ? escaped_text(key, arguments.has("--key-type")) + "\t" : "") + text + "\n");
    };
    const ExitStatus outcome = for_all_keys(
        arguments, Operation::type_and_size, values_at_once,
        [&](const Dictionary& dict, std::span<const AnyKey> keys, ManyOutcomes& outcomes) {
            for (const AnyKey& key : keys) {
                const auto info = dict.type_and_size_bytes(key.view());
                const bool is_there = info.has_value() && info->has_value();
                if (is_there) print_one(dict, key.view(), **info);
                const Error why = info.has_value() ? Error(Errc::not_found) : info.error();
                const ItemStatus status =
                    is_there ? ItemStatus{} : ItemStatus{.code = why.code, .manager = why.manager};
                outcomes.add(std::span(&key, 1), std::span(&status, 1),
                             info.has_value() ? Result<void>() : why);
            }
        });
    if (is_json) list.end();
    return outcome;
}

int run_del(const Arguments& arguments) {
    if (const std::optional<std::string> prefix = arguments.value("--prefix")) {
        if (!arguments.operands().empty() || arguments.has("--stdin") || arguments.has("--key-type"))
            throw UsageError("with --prefix, del takes no keys and no type of theirs");
        return remove_prefix(arguments, arguments.text(*prefix));
    }
    if (arguments.has("--null") && !arguments.has("--stdin"))
        throw UsageError("-0 is about the keys of the standard input (--stdin)");
    return for_all_keys(arguments, Operation::erase, keys_at_once,
                        [](const Dictionary& dict, std::span<const AnyKey> keys, ManyOutcomes& outcomes) {
                            std::vector<ItemStatus> statuses(keys.size());
                            const Result<std::uint64_t> all =
                                dict.multi_erase_bytes(views_of(keys), statuses);
                            outcomes.add(keys, statuses, all ? Result<void>() : all.error());
                        });
}

}  // namespace

int get_many(const Arguments& arguments) {
    PairPrinter printer(arguments);
    const auto print_all = [&](const Dictionary& dict, std::span<const AnyKey> keys, ManyOutcomes& outcomes) {
        Values values(keys.size());
        Result<void> first = dict.multi_get_bytes(views_of(keys), values);
        for (std::size_t i = 0; i < keys.size(); ++i) {
            AnyBytes& value = values.all[i];
            if (values.is_late(i)) {
                OneValue one;
                const Result<void> got = dict.find_bytes(keys[i].view(), one);
                if (!got) {
                    values.statuses[i] = {.code = got.error().code, .manager = got.error().manager};
                    if (got.error().code != Errc::not_found) first = got;
                }
                value = std::move(one.value);
            }
            if (values.statuses[i].ok()) printer.print_pair(keys[i].view(), value.bytes, value.type);
            value = {};
        }
        outcomes.add(keys, values.statuses, first);
    };
    const ExitStatus status = for_all_keys(arguments, Operation::get, values_at_once, print_all);
    return std::max(printer.finish(), status);
}

std::vector<Command> many_key_commands() {
    return {
        {.name = "has",
         .operands = "KEY...",
         .operands_min = 1,
         .operands_max = any_number,
         .options = {stdin_option(), zeros_option(), json_option(), sort_option(), key_type_option(),
                     escaped_option()},
         .summary = "print those of the keys that are there; status 1 if one is not",
         .help =
             "One a line, as keys does; no value is fetched. What is there of a list, and a loop on one:\n"
             "\n"
             "  ddict has --stdin <list\n"
             "  until ddict has ready >/dev/null; do sleep 1; done\n",
         .run = run_has,
         .completes = {keys_here()}},
        {.name = "info",
         .operands = "KEY...",
         .operands_min = 1,
         .operands_max = any_number,
         .options = {{.name = "--where",
                      .help = "then also, each after a tab, its manager and that one's node"},
                     {.name = "--ttl",
                      .help = "then also, after a tab, the seconds that are left of its time to live; '-' if "
                              "it stays until it is removed"},
                     stdin_option(),
                     zeros_of_keys_option(),
                     json_option(),
                     key_type_option(),
                     escaped_option()},
         .summary = "print the type and the size of the value: type, tab, number of bytes",
         .help = "Of several keys, each line begins with the key, as keys prints it, and a tab. With --json "
                 "there are always manager and node. The values themselves are not fetched.\n",
         .run = run_info,
         .completes = {keys_here()}},
        {.name = "del",
         .operands = "KEY...",
         .operands_min = 1,
         .operands_max = any_number,
         .options = {stdin_option(),
                     zeros_of_keys_option(),
                     {.name = "--prefix",
                      .value = "PREFIX",
                      .help = "all pairs whose keys are texts that begin with it, as 'ddict clear PREFIX'",
                      .replaces_operands = true,
                      .completes = keys_here()},
                     key_type_option(),
                     escaped_option()},
         .summary = "remove the pairs",
         .help = "Each that was not removed is named. Keys that another command lists:\n"
                 "\n"
                 "  ddict keys --key-type int | ddict del --key-type int --stdin\n",
         .run = run_del,
         .completes = {keys_here()}},
    };
}

}  // namespace ddict::tools
