// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict du: who holds all this?
#include <algorithm>
#include <charconv>
#include <chrono>
#include <iomanip>
#include <optional>
#include <sstream>

#include "tools/commands.h"
#include "tools/each_manager.h"
#include "tools/escapes.h"
#include "tools/json_text.h"
#include "tools/key_text.h"
#include "tools/key_usage.h"
#include "tools/named_keys.h"
#include "tools/pair_printer.h"
#include "tools/shown.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

using std::chrono::milliseconds;

// What is asked for at once.
constexpr std::size_t keys_at_once = 16'384;
constexpr std::size_t key_bytes_at_once = std::size_t{1} << 20;

/// How large values are; none is kept, and none that does not come with its size is fetched.
class ValueSizes final : public ItemSink {
  public:
    explicit ValueSizes(std::size_t count) : sizes(count), statuses(count) {}
    Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t bytes, std::uint16_t) override {
        sizes[index] = bytes;
        return Error(Errc::too_large, "it is not wanted");
    }
    void done(std::size_t index, const ItemStatus& status) override { statuses[index] = status; }

    std::vector<std::optional<std::uint64_t>> sizes;
    std::vector<ItemStatus> statuses;
};

/// Keys of one manager at a time, until there are many; then their values' sizes are asked for.
class Measuring {
  public:
    Measuring(const Dictionary& dict, milliseconds timeout, KeyUsage& usage)
        : dict_(dict), timeout_(timeout), usage_(usage) {}

    void add(std::uint32_t manager, KeyBytes key) {
        if (manager != manager_ || keys_.size() == keys_at_once || key_bytes_ >= key_bytes_at_once) finish();
        manager_ = manager;
        keys_.emplace_back(key);
        key_bytes_ += key.bytes().size();
    }

    /// Asks for those that are left.
    void finish() {
        if (keys_.empty()) return;
        ValueSizes values(keys_.size());
        const View manager = dict_.manager(manager_).within(timeout_);
        const Result<void> all = manager.multi_get_bytes(views_of(keys_), values);
        bool is_whole = true;
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            if (values.sizes[i]) {
                usage_.add(manager_, keys_[i].view(), *values.sizes[i]);
            } else if (values.statuses[i].code != Errc::not_found) {  // it has gone since
                is_whole = false;
            }
        }
        if (!is_whole && !all) failed_.push_back(all.error());
        keys_.clear();
        key_bytes_ = 0;
    }

    const std::vector<Error>& failed() const { return failed_; }

  private:
    const Dictionary& dict_;
    const milliseconds timeout_;
    KeyUsage& usage_;
    std::uint32_t manager_ = 0;
    std::vector<AnyKey> keys_;
    std::size_t key_bytes_ = 0;
    std::vector<Error> failed_;
};

std::size_t number_given(const Arguments& arguments, std::string_view option, std::size_t otherwise) {
    constexpr std::size_t number_max = 1000;
    const std::optional<std::string> text = arguments.value(option);
    if (!text) return otherwise;
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || number > number_max)
        throw UsageError(std::string(option) + " takes a number from 0 to " + std::to_string(number_max) +
                         ", not '" + printable(*text) + "'");
    return number;
}

/// Host names by manager; empty where one did not say.
std::vector<std::string> nodes_of(const Dictionary& dict, milliseconds timeout) {
    std::vector<std::string> nodes(dict.manager_count());
    if (const auto health = dict.within(timeout).try_health()) {
        for (const ManagerHealth& manager : *health)
            if (manager.manager < nodes.size()) nodes[manager.manager] = manager.node;
    }
    return nodes;
}

std::string text_of(const KeyUsage& usage, const std::vector<std::string>& nodes) {
    std::ostringstream out;
    const auto line = [&out](const KeyUsage::Share& share, const std::string& what) {
        out << std::setw(7) << size_text(share.bytes) << std::setw(9)
            << count_text(static_cast<double>(share.keys)) << "  " << what << '\n';
    };
    out << "  bytes     keys  prefix\n";
    for (const KeyUsage::Prefix& prefix : usage.prefixes())
        line(prefix.share, prefix.text.empty() ? "(none)" : prefix.text);
    if (usage.others().keys != 0) line(usage.others(), "(other prefixes)");
    line(usage.all(), "in all");
    if (const auto largest = usage.largest(); !largest.empty()) {
        out << "\n  bytes  manager  largest\n";
        for (const KeyUsage::Large& one : largest)
            out << std::setw(7) << size_text(one.bytes) << std::setw(9) << one.manager << "  "
                << escaped_text(one.key.view()) << '\n';
    }
    out << "\n  bytes     keys  manager\n";
    for (std::uint32_t manager = 0; manager < nodes.size(); ++manager)
        line(usage.managers()[manager],
             std::to_string(manager) + (nodes[manager].empty() ? "" : " on " + printable(nodes[manager])));
    if (nodes.size() > 1 && usage.all().bytes != 0)
        out << "The fullest manager has " << std::fixed << std::setprecision(2) << usage.imbalance()
            << " times the mean.\n";
    return out.str();
}

std::string json_of(const KeyUsage& usage, const std::vector<std::string>& nodes) {
    using Json = nlohmann::ordered_json;
    const auto with_share = [](Json object, const KeyUsage::Share& share) {
        object["keys"] = share.keys;
        object["bytes"] = share.bytes;
        return object;
    };
    Json json = with_share(Json::object(), usage.all());
    json["prefixes"] = Json::array();
    for (const KeyUsage::Prefix& prefix : usage.prefixes())
        json["prefixes"].push_back(with_share({{"prefix", prefix.text}}, prefix.share));
    json["other_prefixes"] = with_share(Json::object(), usage.others());
    json["largest"] = Json::array();
    for (const KeyUsage::Large& one : usage.largest()) {
        Json key = json_of_key(one.key.view());
        key["bytes"] = one.bytes;
        key["manager"] = one.manager;
        json["largest"].push_back(key);
    }
    json["managers"] = Json::array();
    for (std::uint32_t manager = 0; manager < nodes.size(); ++manager)
        json["managers"].push_back(
            with_share({{"manager", manager}, {"node", nodes[manager]}}, usage.managers()[manager]));
    json["imbalance"] = usage.imbalance();
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

int run_du(const Arguments& arguments) {
    UsageOptions options{.depth = number_given(arguments, "--depth", 1),
                         .largest = number_given(arguments, "--largest", 5)};
    if (const auto separator = arguments.value("--separator")) options.separator = *separator;
    if (options.separator.empty()) throw UsageError("--separator takes a text that is not empty");
    const std::string prefix = arguments.operands().empty() ? std::string() : arguments.text(0);
    options.begins = prefix.size();

    const Dictionary dict = attach(arguments);
    const milliseconds timeout = timeout_of(arguments);
    KeyUsage usage(options, dict.manager_count());
    Measuring measuring(dict, timeout, usage);
    Answers answers = walk_managers(
        dict, {timeout}, {.prefix = prefix, .values = false},
        [&](const Cursor& item) { measuring.add(item.manager(), KeyBytes(item.key(), item.key_type())); });
    measuring.finish();
    answers.missing.insert(answers.missing.end(), measuring.failed().begin(), measuring.failed().end());
    if (answers.any) {
        const std::vector<std::string> nodes = nodes_of(dict, std::min(timeout, milliseconds(2'000)));
        print(arguments.has("--json") ? json_of(usage, nodes) : text_of(usage, nodes));
    }
    return answers.tell(arguments.command()->name);
}

}  // namespace

std::vector<Command> usage_commands() {
    return {
        {.name = "du",
         .operands = "[PREFIX]",
         .operands_max = 1,
         .options =
             {{.name = "--depth",
               .value = "N",
               .help =
                   "up to which separator, behind PREFIX, keys are added up (default 1; 0: all together)"},
              {.name = "--separator", .value = "TEXT", .help = "what divides keys (default /)"},
              {.name = "--largest",
               .value = "N",
               .help = "how many of the keys with the largest values are told (default 5)"},
              json_option(),
              escaped_prefix_option()},
         .summary =
             "print who holds how much: keys and bytes by prefix, the largest keys, each manager's share",
         .help =
             "Bytes are those of keys and values, without what a pool needs besides. Each key counts once, "
             "those "
             "with the most bytes come first; a prefix stands as keys prints it, and keys that are numbers "
             "stand together by their type. Of more than 16384 prefixes the rest is one line. Values above a "
             "few kilobytes are not fetched: each costs a message. What is stored or removed meanwhile may "
             "or "
             "may not count.\n"
             "\n"
             "  ddict du --depth 2\n"
             "  ddict du step/7/ --json | jq '.managers'\n",
         .run = run_du,
         .completes = {keys_here()}},
    };
}

}  // namespace ddict::tools
