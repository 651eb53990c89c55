// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/exchange.h"

#include <algorithm>
#include <utility>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "launcher/lifeline.h"

namespace ddict::launcher {
namespace {

// With what an event needs besides, base64 of so many bytes stays below event_line_bytes_max.
constexpr std::size_t part_bytes = 420;

Error refused(Errc code, std::string_view key, const std::string& why) {
    return Error(code,
                 "the exchange '" + std::string(key.substr(0, limits::exchange_key_bytes_max)) + "': " + why)
        .set_operation(Operation::launch);
}

std::string named(const Event& event) {
    return "the node launcher on " +
           (event.node.empty() ? "node " + std::to_string(number_of(event.node_id)) : event.node);
}

std::string text(std::string_view bytes) {
    return encode_base64url(bytes_of(bytes));
}

}  // namespace

std::vector<std::string> format_parts(Event part, std::string_view bytes) {
    std::vector<std::string> lines;
    part.parts =
        static_cast<std::uint32_t>(std::max<std::size_t>(1, (bytes.size() + part_bytes - 1) / part_bytes));
    for (part.part = 0; part.part < part.parts; ++part.part) {
        part.text = text(bytes.substr(std::min(bytes.size(), part.part * part_bytes), part_bytes));
        lines.push_back(format_event(part));
    }
    return lines;
}

std::vector<std::string> format_contribution(const Event& from, std::string_view key, std::string_view mine) {
    Event part = from;
    part.kind = Event::Kind::part;
    part.key = key;
    return format_parts(std::move(part), mine);
}

Result<std::string> ExchangeBoard::add(const Event& part) {
    const std::uint32_t node = number_of(part.node_id);
    if (part.key.empty() || part.key.size() > limits::exchange_key_bytes_max)
        return refused(Errc::protocol, part.key, named(part) + " gives it no name that can be");
    if (node >= nodes_)
        return refused(Errc::protocol, part.key,
                       named(part) + " says that it is number " + std::to_string(node) + " of " +
                           std::to_string(nodes_));
    Exchange* const begun = under_way_.contains(part.key) ? &under_way_[part.key] : nullptr;
    if (done_.contains(part.key) || (begun != nullptr && begun->by_node[node].is_whole))
        return refused(Errc::protocol, part.key, named(part) + " has contributed twice");
    if (begun == nullptr && under_way_.size() + done_.size() >= limits::exchanges_max)
        return refused(Errc::too_large, part.key,
                       "there were " + std::to_string(limits::exchanges_max) + " before it");
    Exchange& exchange = under_way_[part.key];
    Contribution& mine = exchange.by_node[node];
    const auto bytes = decode_base64url(part.text);
    if (!bytes || part.part != mine.parts || part.parts <= part.part)
        return refused(Errc::protocol, part.key,
                       named(part) + " sent part " + std::to_string(part.part + 1) + " of " +
                           std::to_string(part.parts) + " where part " + std::to_string(mine.parts + 1) +
                           " follows");
    ++mine.parts;
    mine.bytes.append(text_of(*bytes));
    exchange.bytes += bytes->size();
    if (mine.bytes.size() > limits::contribution_bytes_max || exchange.bytes > limits::exchange_bytes_max)
        return refused(Errc::too_large, part.key, named(part) + " contributes more than can be passed on");
    if (part.part + 1 < part.parts) return std::string();
    mine.is_whole = true;
    if (++exchange.whole < nodes_) return std::string();

    std::string lines;
    const std::string key = text(part.key);
    for (const auto& [number, one] : exchange.by_node)
        lines += std::string(exchange_on_lifeline) + key + " " + std::to_string(number) + " " +
                 text(one.bytes) + "\n";
    done_.insert(part.key);
    under_way_.erase(part.key);
    return lines;
}

std::string ExchangeBoard::waiting_for(const std::function<std::string(std::uint32_t)>& name_of) const {
    if (under_way_.empty()) return {};
    const auto& [key, exchange] = *under_way_.begin();
    for (std::uint32_t node = 0; node < nodes_; ++node) {
        const auto found = exchange.by_node.find(node);
        if (found != exchange.by_node.end() && found->second.is_whole) continue;
        return "the exchange '" + key + "' waits for " +
               (found == exchange.by_node.end() ? "" : "the rest of ") + "what the node launcher on " +
               name_of(node) + " contributes";
    }
    return {};
}

Result<void> ExchangeInbox::take(std::string_view line) {
    line.remove_prefix(std::min(line.size(), exchange_on_lifeline.size()));
    const std::size_t first = line.find(' ');
    const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos)
        return refused(Errc::protocol, key_, "the launcher sent a malformed line");
    const auto blob = decode_base64url(line.substr(second + 1));
    if (line.substr(0, first) != text(key_) || is_complete() || !blob ||
        line.substr(first + 1, second - first - 1) != std::to_string(blobs_.size()))
        return refused(Errc::protocol, key_, "the launcher sent a line that does not follow the one before");
    bytes_ += blob->size();
    if (bytes_ > limits::exchange_bytes_max)
        return refused(Errc::too_large, key_, "the launcher sent too much");
    blobs_.emplace_back(text_of(*blob));
    return {};
}

}  // namespace ddict::launcher
