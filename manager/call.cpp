// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/call.h"

#include <array>

namespace ddict::manager {
namespace {

using wire::RequestHeader;
using wire::Verb;

/// How long the key may be: none, unless said otherwise.
struct KeyBytes {
    std::uint16_t min = 0;
    std::uint16_t max = 0;
};
constexpr KeyBytes needed{1, limits::key_bytes_max};
constexpr KeyBytes allowed{0, limits::key_bytes_max};

/// What a verb takes.
struct Rule {
    KeyBytes key{};
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
    rule(Verb::put) = {.key = needed,
                       .changes = true,
                       .flags = wire::put_if_absent | wire::put_if_present,
                       .contradiction = wire::put_if_absent | wire::put_if_present,
                       .value_bytes_max = any_value};
    rule(Verb::get) = rule(Verb::contains) = {.key = needed};
    rule(Verb::erase) = rule(Verb::pop) = {.key = needed, .changes = true};
    rule(Verb::clear) = {.changes = true};
    rule(Verb::scan) = {.key = allowed, .flags = wire::scan_values};
    rule(Verb::compare_and_swap) = {.key = needed,
                                    .changes = true,
                                    .flags = wire::swap_if_absent | wire::swap_erases,
                                    .contradiction = wire::swap_if_absent | wire::swap_erases,
                                    .value_bytes_max = limits::operand_bytes_max,
                                    .fits = swap_fits};
    rule(Verb::fetch_add) = {.key = needed, .changes = true, .value_bytes_max = 8, .fits = fetch_add_fits};
    rule(Verb::append) = {.key = needed, .changes = true, .value_bytes_max = limits::operand_bytes_max};
    rule(Verb::wait_for) = {.key = needed,
                            .flags = wire::wait_for_value,
                            .value_bytes_max = limits::operand_bytes_max,
                            .fits = wait_fits};
    rule(Verb::batch_get) = rule(Verb::batch_put) =
        rule(Verb::batch_erase) = {.value_bytes_max = limits::batch_bytes_max, .fits = batch_fits};
    rule(Verb::broadcast_put) = {
        .key = needed, .changes = true, .flags = wire::relayed, .value_bytes_max = any_value};
    rule(Verb::broadcast_erase) = {.key = needed, .changes = true, .flags = wire::relayed};
    rule(Verb::freeze) = {.fits = freeze_fits};
    return rules;
}

constexpr std::array<Rule, wire::verb_last + 1> rules = make_rules();

constexpr const Rule& rule_of(Verb verb) {
    return rules[static_cast<std::size_t>(verb)];
}

}  // namespace

Form read_call(Bytes rest, const IncomingBody& body, Call& call) noexcept {
    const RequestHeader& header = call.header;
    const auto verb = static_cast<std::uint8_t>(header.verb);
    if (header.version != wire::protocol_version || verb == 0 || verb > wire::verb_last)
        return Form::malformed;
    const Rule& rule = rules[verb];
    if (header.key_bytes < rule.key.min || header.key_bytes > rule.key.max) return Form::malformed;
    if (header.flags != 0 && ((header.flags & ~rule.flags) != 0 || header.flags == rule.contradiction))
        return Form::malformed;
    const bool has_body = header.value_bytes > limits::inline_value_bytes_max;
    if (rest.size() != header.key_bytes + (has_body ? 0 : header.value_bytes) ||
        body.bytes != (has_body ? header.value_bytes : 0)) {
        return Form::malformed;
    }
    Form form = Form::good;
    if (header.value_bytes > rule.value_bytes_max) {
        if (rule.value_bytes_max <= limits::inline_value_bytes_max) return Form::malformed;
        form = Form::too_large;
    }
    call.key = rest.first(header.key_bytes);
    call.value = has_body ? body.in_memory : rest.subspan(header.key_bytes);
    call.body_token = has_body ? body.token : 0;
    return rule.fits == nullptr || rule.fits(header) ? form : Form::malformed;
}

std::uint64_t value_bytes_max(Verb verb) noexcept {
    return rule_of(verb).value_bytes_max;
}

bool changes_pairs(Verb verb) noexcept {
    return rule_of(verb).changes;
}

}  // namespace ddict::manager
