// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/call.h"

#include <array>
#include <cstring>

namespace ddict::manager {
namespace {

using wire::RequestHeader;
using wire::Verb;

enum class Key : std::uint8_t { none, needed, allowed };

/// What a verb takes.
struct Rule {
    Key key = Key::none;
    bool changes = false;
    std::uint16_t flags = 0;          // those that it knows
    std::uint16_t contradiction = 0;  // those that must not come together
    std::uint64_t value_bytes_max = 0;
    // What the lengths, the flags and the argument must be to each other; null: nothing more.
    bool (*fits)(const RequestHeader&) = nullptr;
};

constexpr std::uint64_t any_value = ~std::uint64_t{0};

/// Without a session it says whose is to end.
bool goodbye_fits(const RequestHeader& header) {
    return (header.session == 0) == (header.value_bytes != 0);
}

bool swap_fits(const RequestHeader& header) {
    if (header.argument > header.value_bytes) return false;
    switch (header.flags) {
        case wire::swap_if_absent:
            return header.argument == 0;
        case wire::swap_erases:
            return header.argument == header.value_bytes;
        default:
            return true;
    }
}

bool fetch_add_fits(const RequestHeader& header) {
    return header.value_bytes == 0 || header.value_bytes == 8;
}

bool wait_fits(const RequestHeader& header) {
    return header.flags == wire::wait_for_value || header.value_bytes == 0;
}

bool batch_fits(const RequestHeader& header) {
    return header.argument <= limits::batch_items_max;
}

bool freeze_fits(const RequestHeader& header) {
    return header.argument <= 2;
}

constexpr std::array<Rule, wire::verb_last + 1> make_rules() {
    std::array<Rule, wire::verb_last + 1> rules{};
    const auto rule = [&](Verb verb) -> Rule& { return rules[static_cast<std::size_t>(verb)]; };
    rule(Verb::hello) = {.value_bytes_max = limits::inline_value_bytes_max};
    rule(Verb::goodbye) = {.value_bytes_max = limits::inline_value_bytes_max, .fits = goodbye_fits};
    rule(Verb::put) = {.key = Key::needed,
                       .changes = true,
                       .flags = wire::put_if_absent | wire::put_if_present,
                       .contradiction = wire::put_if_absent | wire::put_if_present,
                       .value_bytes_max = any_value};
    rule(Verb::get) = rule(Verb::contains) = {.key = Key::needed};
    rule(Verb::erase) = rule(Verb::pop) = {.key = Key::needed, .changes = true};
    rule(Verb::clear) = {.changes = true};
    rule(Verb::scan) = {.key = Key::allowed, .flags = wire::scan_values};
    rule(Verb::compare_and_swap) = {.key = Key::needed,
                                    .changes = true,
                                    .flags = wire::swap_if_absent | wire::swap_erases,
                                    .contradiction = wire::swap_if_absent | wire::swap_erases,
                                    .value_bytes_max = limits::operand_bytes_max,
                                    .fits = swap_fits};
    rule(Verb::fetch_add) = {
        .key = Key::needed, .changes = true, .value_bytes_max = 8, .fits = fetch_add_fits};
    rule(Verb::append) = {.key = Key::needed, .changes = true, .value_bytes_max = limits::operand_bytes_max};
    rule(Verb::wait_for) = {.key = Key::needed,
                            .flags = wire::wait_for_value,
                            .value_bytes_max = limits::operand_bytes_max,
                            .fits = wait_fits};
    rule(Verb::batch_get) = rule(Verb::batch_put) =
        rule(Verb::batch_erase) = {.value_bytes_max = limits::batch_bytes_max, .fits = batch_fits};
    rule(Verb::broadcast_put) = {
        .key = Key::needed, .changes = true, .flags = wire::relayed, .value_bytes_max = any_value};
    rule(Verb::broadcast_erase) = {.key = Key::needed, .changes = true, .flags = wire::relayed};
    rule(Verb::freeze) = {.fits = freeze_fits};
    return rules;
}

constexpr std::array<Rule, wire::verb_last + 1> rules = make_rules();

constexpr const Rule& rule_of(Verb verb) {
    return rules[static_cast<std::size_t>(verb)];
}

}  // namespace

Form read_call(Bytes head, const IncomingBody& body, Call& call) noexcept {
    RequestHeader& header = call.header;
    if (head.size() < sizeof header) return Form::malformed;
    std::memcpy(&header, head.data(), sizeof header);
    const auto verb = static_cast<std::uint8_t>(header.verb);
    if (header.version != wire::protocol_version || verb == 0 || verb > wire::verb_last)
        return Form::malformed;
    const Rule& rule = rules[verb];
    const Bytes rest = head.subspan(sizeof header);
    if (header.key_bytes > limits::key_bytes_max || header.key_bytes > rest.size() ||
        (header.flags & ~rule.flags) != 0 || (header.flags != 0 && header.flags == rule.contradiction)) {
        return Form::malformed;
    }
    if (rule.key != Key::allowed && (header.key_bytes != 0) != (rule.key == Key::needed))
        return Form::malformed;
    call.key = rest.first(header.key_bytes);
    const Bytes inline_value = rest.subspan(header.key_bytes);
    if (header.value_bytes <= limits::inline_value_bytes_max) {
        if (inline_value.size() != header.value_bytes || header.value_bytes > rule.value_bytes_max ||
            body.present()) {
            return Form::malformed;
        }
        call.value = inline_value;
        call.body_token = 0;
    } else {
        if (!inline_value.empty() || body.bytes != header.value_bytes ||
            rule.value_bytes_max <= limits::inline_value_bytes_max) {
            return Form::malformed;
        }
        call.value = body.in_memory;
        call.body_token = body.token;
    }
    if (rule.fits != nullptr && !rule.fits(header)) return Form::malformed;
    return header.value_bytes <= rule.value_bytes_max ? Form::good : Form::too_large;
}

std::uint64_t value_bytes_max(Verb verb) noexcept {
    return rule_of(verb).value_bytes_max;
}

bool changes_pairs(Verb verb) noexcept {
    return rule_of(verb).changes;
}

}  // namespace ddict::manager
