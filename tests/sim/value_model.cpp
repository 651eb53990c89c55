// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/value_model.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <sstream>

#include "base/assert.h"

namespace ddict::sim {
namespace {

using wire::Verb;

constexpr std::uint16_t number_types[] = {0x0113, 0x0123, 0x0133};  // i64 u64 f64

template <class T>
T from_bits(std::uint64_t bits) {
    T out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
}

std::uint64_t bits_of_float(double number) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &number, sizeof bits);
    return bits;
}

std::uint64_t bits_of(const std::vector<std::byte>& bytes) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, bytes.data(), std::min(bytes.size(), sizeof bits));
    return bits;
}

std::vector<std::byte> bytes_of_bits(std::uint64_t bits) {
    std::vector<std::byte> out(sizeof bits);
    std::memcpy(out.data(), &bits, sizeof bits);
    return out;
}

bool is_number(std::uint16_t type) {
    return std::find(std::begin(number_types), std::end(number_types), type) != std::end(number_types);
}

/// The bits of a stored number as one of the type that is added; nothing if it is none.
std::optional<std::uint64_t> number_of(const Stored& stored, std::uint16_t type) {
    if (stored.type == type && stored.bytes.size() == 8) return bits_of(stored.bytes);
    const bool is_short = stored.type == 0x0112 && stored.bytes.size() == 4;
    if (!is_short && (stored.bytes.size() != 8 || !is_number(stored.type))) return std::nullopt;
    if (stored.type == 0x0133) return std::nullopt;  // a float is no integer
    std::int32_t narrow = 0;
    if (is_short) std::memcpy(&narrow, stored.bytes.data(), sizeof narrow);
    const std::uint64_t bits =
        is_short ? static_cast<std::uint64_t>(std::int64_t{narrow}) : bits_of(stored.bytes);
    const bool negative = stored.type != 0x0123 && static_cast<std::int64_t>(bits) < 0;
    if (type != 0x0133) {
        const bool changes = (bits >> 63) != 0 && (stored.type == 0x0123 || type == 0x0123);
        return changes ? std::nullopt : std::optional(bits);
    }
    const std::uint64_t size = negative ? 0 - bits : bits;
    if (size >> 53 != 0 && size % (std::uint64_t{1} << (std::bit_width(size) - 53)) != 0) return std::nullopt;
    const auto as_float = static_cast<double>(size);
    return bits_of_float(negative ? -as_float : as_float);
}

Answer add(const Ask& ask, Value& value) {
    if (!is_number(ask.value_type)) return {.code = Errc::wrong_type};
    if (!value && ask.value.empty()) return {.code = Errc::not_found};
    const std::optional<std::uint64_t> there = value ? number_of(*value, ask.value_type) : bits_of(ask.value);
    if (!there) return {.code = Errc::wrong_type};
    const std::uint64_t before = *there;
    std::uint64_t after = before + ask.argument;
    if (ask.value_type == 0x0133) {
        const double sum = from_bits<double>(before) + from_bits<double>(ask.argument);
        std::memcpy(&after, &sum, sizeof after);
    }
    value = Stored{bytes_of_bits(after), ask.value_type};
    return {.argument = before};
}

Answer swap(const Ask& ask, Value& value) {
    const auto middle = ask.value.begin() + static_cast<std::ptrdiff_t>(ask.argument);
    const std::vector<std::byte> expected(ask.value.begin(), middle);
    const bool fits = ask.flags == wire::swap_if_absent
                          ? !value
                          : value && value->bytes == expected &&
                                (value->type == ask.value_type || value->type == 0 || ask.value_type == 0);
    if (!fits) return {.argument = 0};
    value =
        ask.flags == wire::swap_erases ? Value() : Value(Stored{{middle, ask.value.end()}, ask.value_type});
    return {.argument = 1};
}

Answer append(const Ask& ask, Value& value) {
    const std::uint16_t type = ask.value_type;
    const bool is_vector = (type & 0xff00) == 0x0200 || (type & 0xe000) == 0x4000;
    if (type > 1 && !is_vector && type < 0x8000) return {.code = Errc::wrong_type};
    if (!value) value = Stored{{}, ask.value_type};
    if (value->type != ask.value_type) return {.code = Errc::wrong_type};
    value->bytes.insert(value->bytes.end(), ask.value.begin(), ask.value.end());
    return {.argument = value->bytes.size()};
}

/// Of the type and the size of a value.
std::uint64_t name_of_info(std::uint16_t type, std::uint64_t bytes) {
    return std::uint64_t{1} << 63 | std::uint64_t{type} << 40 | bytes;
}

Answer read(const Value& value) {
    if (!value) return {.code = Errc::not_found};
    return {.content = content_of(value->bytes, value->type)};
}

}  // namespace

std::string text_of(const Answer& answer) {
    std::ostringstream out;
    out << (answer.code == Errc{} ? "ok" : name(answer.code)) << " argument " << answer.argument
        << " content " << std::hex << answer.content;
    return out.str();
}

Answer perform(const Ask& ask, Value& value) {
    switch (ask.verb) {
        case Verb::put: {
            const bool refused =
                (ask.flags == wire::put_if_absent && value) || (ask.flags == wire::put_if_present && !value);
            if (!refused) value = Stored{ask.value, ask.value_type};
            return {.argument = refused ? 0u : 1u};
        }
        case Verb::get:
            return read(value);
        case Verb::contains:
            if (!value) return {};
            return {.argument = 1, .content = name_of_info(value->type, value->bytes.size())};
        case Verb::erase:
        case Verb::pop: {
            Answer answer = read(value);
            if (ask.verb == Verb::erase) answer.content = 0;
            value.reset();
            return answer;
        }
        case Verb::clear:
            value.reset();
            return {};
        case Verb::compare_and_swap:
            return swap(ask, value);
        case Verb::fetch_add:
            return add(ask, value);
        case Verb::append:
            return append(ask, value);
        case Verb::touch:
            return {.argument = value ? 1u : 0u};
        default:
            DDICT_ASSERT(false, "the model does not know this verb");
            return {};
    }
}

Answer answer_of(Verb verb, const Outcome& outcome) {
    if (!outcome.ok()) return {.code = outcome.code()};
    if (verb == Verb::get || verb == Verb::pop)
        return {.content = content_of(outcome.value, outcome.reply->value_type)};
    if (verb == Verb::contains && outcome.reply->argument != 0)
        return {.argument = outcome.reply->argument & 1,  // above it, what is left of a time to live
                .content = name_of_info(outcome.reply->value_type, outcome.reply->argument2)};
    return {.argument = outcome.reply->argument};
}

Ask random_ask(Random& random, std::string key, const Value& seen) {
    Ask ask{.verb = Verb::get, .key = std::move(key)};
    const auto some_value = [&] {
        return random.bytes(random.chance(10) ? limits::inline_value_bytes_max - 50 + random.below(9000)
                                              : random.below(60));
    };
    const std::uint16_t types[] = {0, 1, 1, 1, 0x0113, 0x0113, 0x0213, 0x2005, 0x4005};
    ask.value_type = types[random.below(std::size(types))];
    // Longer than any run.
    constexpr std::uint64_t long_ttl = 86'400'000'000;
    switch (random.below(14)) {
        case 0:
            ask.verb = Verb::erase;
            break;
        case 1:
            ask.verb = Verb::pop;
            break;
        case 2:
            ask.verb = Verb::contains;
            break;
        case 3:
        case 4:
            ask.verb = Verb::put;
            ask.flags = static_cast<std::uint16_t>(random.below(3));
            ask.value = ask.value_type == 0x0113 ? bytes_of_bits(random.number()) : some_value();
            if (ask.value_type == 0x0113 && random.chance(30)) {
                ask.value_type = 0x0112;
                ask.value.resize(sizeof(std::int32_t));
            }
            break;
        case 5:
        case 6:
        case 7: {
            ask.verb = Verb::compare_and_swap;
            if (!seen || random.chance(15)) {
                ask.flags = wire::swap_if_absent;
            } else {
                ask.value = random.chance(80) ? seen->bytes : some_value();
                if (random.chance(80)) ask.value_type = seen->type;
                if (random.chance(20)) ask.flags = wire::swap_erases;
            }
            ask.argument = ask.value.size();
            const std::vector<std::byte> desired = some_value();
            if (ask.flags != wire::swap_erases)
                ask.value.insert(ask.value.end(), desired.begin(), desired.end());
            break;
        }
        case 8:
        case 9:
            ask.verb = Verb::fetch_add;
            ask.argument = random.chance(50) ? random.below(10) : random.number();
            if (random.chance(75)) {
                ask.value_type = 0x0113;
            } else if (random.chance(60)) {
                ask.value_type = random.chance(50) ? 0x0123 : 0x0133;
                if (ask.value_type == 0x0133)
                    ask.argument = bits_of_float(static_cast<double>(random.below(10)));
            }
            if (random.chance(70)) ask.value = bytes_of_bits(random.below(100));
            break;
        case 10:
        case 11:
            ask.verb = Verb::append;
            if (seen && random.chance(80)) ask.value_type = seen->type;
            ask.value = some_value();
            break;
        case 12:
            ask.verb = Verb::touch;
            ask.argument = random.chance(70) ? long_ttl : 0;
            break;
        default:
            break;
    }
    if (wire::rule_of(ask.verb).takes_ttl && random.chance(25)) ask.ttl = long_ttl;
    if (ask.verb == Verb::get || ask.verb == Verb::contains || ask.verb == Verb::erase ||
        ask.verb == Verb::pop || ask.verb == Verb::touch) {
        ask.value_type = 0;
    }
    return ask;
}

ValueModel::State ValueModel::name_of(const Value& value) {
    if (!value) return 0;
    const State state = content_of(value->bytes, value->type);
    values_.emplace(state, *value);
    return state;
}

std::optional<ValueModel::State> ValueModel::apply(const Operation& operation, State state) {
    Value value = state == 0 ? Value() : Value(values_.at(state));
    const Answer answer = perform(operation.ask, value);
    if (operation.complete() && answer != operation.answer) return std::nullopt;
    return name_of(value);
}

bool ValueModel::only_reads(const Operation& operation) {
    const Verb verb = operation.ask.verb;
    if (verb == Verb::get || verb == Verb::contains) return true;
    if (!operation.complete()) return false;
    if (operation.answer.code != Errc{}) return true;
    return (verb == Verb::put || verb == Verb::compare_and_swap) && operation.answer.argument == 0;
}

}  // namespace ddict::sim
