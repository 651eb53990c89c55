// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Exchanges by way of the launcher: whatever node launchers say, an exchange that completes gives all of them
// the same, once, and what is kept stays bounded; whatever the launcher says, a node launcher takes only what
// follows.
#include <string>
#include <vector>

#include "base/limits.h"
#include "launcher/exchange.h"
#include "tests/fuzz/fuzz_target.h"

using namespace ddict;
using namespace ddict::launcher;

namespace {

constexpr std::uint32_t nodes = 3;
constexpr std::array<std::string_view, 4> keys{"kept", "directory", "ready", ""};
constexpr std::array<std::string_view, 6> texts{"", "eA", "eHg", "!", "A", "____"};

Event part_of(fuzz::Input& input) {
    Event event;
    event.kind = Event::Kind::part;
    event.node = "n";
    event.node_id = NodeId{static_cast<std::uint32_t>(input.below(nodes + 1))};
    event.key = input.pick(keys);
    event.part = static_cast<std::uint32_t>(input.below(3));
    event.parts = static_cast<std::uint32_t>(input.below(4));
    event.text = input.pick(texts);
    return event;
}

void read_answer(const std::string& answer, std::string_view key) {
    ExchangeInbox inbox(key, nodes);
    std::string_view rest = answer;
    for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1))
        fuzz::require(inbox.take(rest.substr(0, end)).has_value());
    fuzz::require(rest.empty() && inbox.is_complete());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    if (input.flip()) {
        ExchangeBoard board(nodes);
        while (!input.is_empty()) {
            const Event part = part_of(input);
            const auto taken = board.add(part);
            if (!taken) break;
            if (!taken->empty()) read_answer(*taken, part.key);
        }
    } else {
        ExchangeInbox inbox("ready", nodes);
        const auto rest = input.take_bytes(size);
        std::string line = "x cmVhZHk ";
        line.append(rest.begin(), rest.end());
        const bool taken = inbox.take(line).has_value();
        fuzz::require(!inbox.is_complete() && (!taken || line.starts_with("x cmVhZHk 0 ")));
    }
    return 0;
}
