// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The verbs: what a request can ask for. One table says what is known of a verb outside the function that
// executes it: the rules of form, what is cached, what a frozen dictionary refuses, the names in errors and
// statistics follow from it. docs/how_to_add_a_verb.md goes through what a new one needs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <ddict/error.h>

#include "base/key_placement.h"
#include "base/limits.h"

namespace ddict::wire {

struct RequestHeader;

enum class Verb : std::uint8_t {
    hello = 1,  // value: Hello; session = the one to go on with, or 0. reply: argument = session
    goodbye,    // ends the session; without one: value = Hello, packed: the one that this client has, if any
    ping,       // reply: argument = how often another process has taken the manager's place
    put,        // key, value; flags: put_if_absent, put_if_present. reply: argument = 1 if stored, 0 if not
    get,        // key. reply: value; argument = its checkpoint
    contains,   // key. reply: argument = 0, or 1 and, above that bit, the microseconds of its time to live
                // that are left, 0 if it has none; then value_type and argument2 = bytes are those of the
                // value
    erase,      // key. reply: not_found or ok
    size,       // reply: argument = number of keys
    clear,      // flags: clear_begins: at every checkpoint, and that of the request is then the only one
    scan,       // key = prefix, or none; argument = cursor (0 at first); flags: scan_*.
                // reply: value = packed keys or pairs, argument = next cursor, 0 at the end
    stats,      // reply: value = ManagerStats, packed
    directory,  // argument = first shard. reply: value = packed directory entries; flags: directory_of_one:
                // of this shard alone; directory_newer: value = packed entry, which replaces an older one.
                // reply: argument = the epoch that is known now
    shutdown,   // the manager ends in good order, and says so to every session (goodbye, in wire/messages.h);
               // flags: shutdown_keeps: its pool stays in shared memory, for another dictionary to go on with
    pop,  // key. reply: the value that was removed, or not_found. flags: pop_put_back, with the number
          // of a pop whose value its client cannot take. reply: none if the pair is there again
    compare_and_swap,  // key; value = expected, then desired; argument = bytes of expected;
                       // flags: swap_if_absent, swap_erases. reply: argument = 1 if swapped, 0 if not
    fetch_add,         // key; argument = the addend's bits; value_type = type of the number; value = 8 bytes
                       // that count where there is no such key, or none. reply: argument = the bits before
    append,            // key, value. reply: argument = bytes of the value afterwards
    wait_for,          // key; argument = microseconds to wait at most; flags: wait_for_value: until it is
                       // this value. reply, when it is there: as get, without value if it was given; timeout
                       // of a wait for a value: as contains
    batch_get,         // value = packed keys; argument = how many. reply: value = packed results
    batch_put,         // value = packed pairs; argument = how many. reply: value = packed statuses
    batch_erase,       // value = packed keys; argument = how many. reply: value = packed statuses
    broadcast_put,    // key, value; to the key's manager, which passes it down a tree of all managers; flags:
                      // relayed (then argument = version). reply when all have it
    broadcast_erase,  // key; the same
    freeze,           // argument = freeze_on, freeze_off, freeze_ask. reply: argument = 1 if frozen
    // The pairs whose keys begin with the key and are of its type, a part of the shard at a time:
    count_prefix,  // key = prefix, or none: all; argument = cursor (0 at first). reply: argument = next
                   // cursor, 0 at the end; argument2 = how many there are in this part
    erase_prefix,  // key = prefix; the same of those that were erased; what a broadcast has stored stays
    cancel_wait,   // argument = number of a wait_for of this session, which is answered with timeout.
                   // reply: argument = 1 if it waited, 0 if not (any more, or yet)
    restart,       // the manager ends as if it had been killed, and another one takes its place
    checkpoints,   // reply: argument = id of the newest checkpoint, argument2 = of the oldest that is kept,
                   // and more (wire/checkpoint_hold.h). flags: hold_checkpoint: argument = id of one that is
                   // to stay readable, for some seconds; value: what its persister says. hold_closes: nobody
                   // changes it any more. hold_ends. hold_asks: reply: value = what was said
    touch,  // key; argument = microseconds that it has from now on, 0: until it is removed. reply: argument =
            // 1 if there is such a key, 0 if not
};
inline constexpr std::uint8_t verb_last = static_cast<std::uint8_t>(Verb::touch);

// RequestHeader::flags, by verb; bits. Unknown ones are an error of form.
inline constexpr std::uint16_t put_if_absent = 1;
inline constexpr std::uint16_t put_if_present = 2;
inline constexpr std::uint16_t clear_begins = 1;
inline constexpr std::uint16_t pop_put_back = 1;  // of a pop that has been answered: see there
inline constexpr std::uint16_t scan_values = 1;
inline constexpr std::uint16_t scan_of_type = 2;     // only keys of the header's type; so also with a prefix
inline constexpr std::uint16_t scan_placements = 4;  // pairs have their placements
inline constexpr std::uint16_t scan_broadcasts = 8;  // only what broadcasts have stored
inline constexpr std::uint16_t swap_if_absent = 1;   // expects that there is no such key; no expected bytes
inline constexpr std::uint16_t swap_erases = 2;      // removes the key instead; no desired bytes
inline constexpr std::uint16_t wait_for_value = 1;
inline constexpr std::uint16_t relayed = 1;
inline constexpr std::uint16_t directory_of_one = 1;
inline constexpr std::uint16_t directory_newer = 2;
inline constexpr std::uint16_t shutdown_keeps = 1;
inline constexpr std::uint16_t hold_checkpoint = 1;
inline constexpr std::uint16_t hold_closes = 2;  // with hold_checkpoint
inline constexpr std::uint16_t hold_ends = 4;
inline constexpr std::uint16_t hold_asks = 8;
// Of each verb at a checkpoint, beside its own; they mean something where a dictionary's checkpoints wait.
inline constexpr std::uint16_t persistent = 0x2000;  // what it stores is seen at later checkpoints as well
inline constexpr std::uint16_t at_once = 0x4000;     // a key that is not there is not waited for
inline constexpr std::uint16_t sent_again =
    0x8000;  // it was told ask_again: it is told next when that is over
inline constexpr std::uint16_t checkpoint_flags = persistent | at_once | sent_again;

// RequestHeader::argument of a freeze.
inline constexpr std::uint64_t freeze_off = 0;
inline constexpr std::uint64_t freeze_on = 1;
inline constexpr std::uint64_t freeze_ask = 2;

/// How long the key of a request may be.
struct KeyRule {
    std::uint16_t bytes_min = 0;
    std::uint16_t bytes_max = 0;
};
inline constexpr KeyRule no_key{0, 0};
inline constexpr KeyRule optional_key{0, limits::key_bytes_max};
inline constexpr KeyRule required_key{1, limits::key_bytes_max};

/// What executing a verb changes. Every verb with an effect, except `end`, is executed once, however often
/// its request comes, and its reply is cached.
enum class Effect : std::uint8_t {
    nothing,
    pairs,  // of the pair of its key, or of all; a frozen dictionary refuses the request
    items,  // several pairs; the verb's function sees to it that none changes that may not
    state,  // of the dictionary
    end,    // of the manager
};

/// What a request of the verb must be like, and what errors say of it.
struct alignas(64) VerbRule {
    Verb verb{};
    std::string_view name;  // in docs/protocol.md
    Operation operation{};  // what errors and statistics call it
    KeyRule key = no_key;
    Effect effect = Effect::nothing;
    std::uint16_t flags = 0;            // those that it knows
    std::uint16_t exclusive_flags = 0;  // of these at most one
    std::uint64_t value_bytes_max = 0;  // any_value: the pool decides
    // What lengths, flags and argument must be to each other; null: nothing more.
    bool (*fits)(const RequestHeader&) noexcept = nullptr;
    // May store a pair under a key placed by hand, and then says what it was placed by.
    bool takes_placement = false;
    // May store pairs that have a time to live, and then says which.
    bool takes_ttl = false;
    bool is_broadcast = false;  // goes to all managers, one after the other: errors say whose they are
    // The manager answers when something happens, or after RequestHeader::argument microseconds.
    bool waits = false;
    // Means the dictionary as it is at RequestHeader::checkpoint; the others do not look at it.
    bool at_checkpoint = false;
};

/// Of the verbs that store the value of their request as it is; others interpret it.
inline constexpr std::uint64_t any_value = ~std::uint64_t{0};

bool goodbye_fits(const RequestHeader& header) noexcept;
bool swap_fits(const RequestHeader& header) noexcept;
bool fetch_add_fits(const RequestHeader& header) noexcept;
bool wait_fits(const RequestHeader& header) noexcept;
bool batch_fits(const RequestHeader& header) noexcept;
bool directory_fits(const RequestHeader& header) noexcept;
bool freeze_fits(const RequestHeader& header) noexcept;
bool checkpoints_fits(const RequestHeader& header) noexcept;

/// In the order of the verbs; the first is of none.
inline constexpr std::array<VerbRule, verb_last + 1> verb_rules = {{
    {},
    {.verb = Verb::hello,
     .name = "hello",
     .operation = Operation::attach,
     .value_bytes_max = limits::inline_value_bytes_max},
    {.verb = Verb::goodbye,
     .name = "goodbye",
     .operation = Operation::detach,
     .value_bytes_max = limits::inline_value_bytes_max,
     .fits = goodbye_fits},
    {.verb = Verb::ping, .name = "ping", .operation = Operation::ping},
    {.verb = Verb::put,
     .name = "put",
     .operation = Operation::put,
     .key = required_key,
     .effect = Effect::pairs,
     .flags = put_if_absent | put_if_present,
     .exclusive_flags = put_if_absent | put_if_present,
     .value_bytes_max = any_value,
     .takes_placement = true,
     .takes_ttl = true,
     .at_checkpoint = true},
    {.verb = Verb::get,
     .name = "get",
     .operation = Operation::get,
     .key = required_key,
     .at_checkpoint = true},
    {.verb = Verb::contains,
     .name = "contains",
     .operation = Operation::contains,
     .key = required_key,
     .at_checkpoint = true},
    {.verb = Verb::erase,
     .name = "erase",
     .operation = Operation::erase,
     .key = required_key,
     .effect = Effect::pairs,
     .at_checkpoint = true},
    {.verb = Verb::size, .name = "size", .operation = Operation::size, .at_checkpoint = true},
    {.verb = Verb::clear,
     .name = "clear",
     .operation = Operation::clear,
     .effect = Effect::pairs,
     .flags = clear_begins,
     .at_checkpoint = true},
    {.verb = Verb::scan,
     .name = "scan",
     .operation = Operation::scan,
     .key = optional_key,
     .flags = scan_values | scan_of_type | scan_placements | scan_broadcasts,
     .at_checkpoint = true},
    {.verb = Verb::stats, .name = "stats", .operation = Operation::stats},
    {.verb = Verb::directory,
     .name = "directory",
     .operation = Operation::directory,
     .flags = directory_of_one | directory_newer,
     .exclusive_flags = directory_of_one | directory_newer,
     .value_bytes_max = limits::inline_value_bytes_max,
     .fits = directory_fits},
    {.verb = Verb::shutdown,
     .name = "shutdown",
     .operation = Operation::destroy,
     .effect = Effect::end,
     .flags = shutdown_keeps},
    {.verb = Verb::pop,
     .name = "pop",
     .operation = Operation::pop,
     .key = required_key,
     .effect = Effect::pairs,
     .flags = pop_put_back,
     .at_checkpoint = true},
    {.verb = Verb::compare_and_swap,
     .name = "compare_and_swap",
     .operation = Operation::compare_and_swap,
     .key = required_key,
     .effect = Effect::pairs,
     .flags = swap_if_absent | swap_erases,
     .exclusive_flags = swap_if_absent | swap_erases,
     .value_bytes_max = limits::operand_bytes_max,
     .fits = swap_fits,
     .takes_placement = true,
     .takes_ttl = true,
     .at_checkpoint = true},
    {.verb = Verb::fetch_add,
     .name = "fetch_add",
     .operation = Operation::fetch_add,
     .key = required_key,
     .effect = Effect::pairs,
     .value_bytes_max = 8,
     .fits = fetch_add_fits,
     .takes_placement = true,
     .takes_ttl = true,
     .at_checkpoint = true},
    {.verb = Verb::append,
     .name = "append",
     .operation = Operation::append,
     .key = required_key,
     .effect = Effect::pairs,
     .value_bytes_max = limits::operand_bytes_max,
     .takes_placement = true,
     .takes_ttl = true,
     .at_checkpoint = true},
    {.verb = Verb::wait_for,
     .name = "wait_for",
     .operation = Operation::wait_for,
     .key = required_key,
     .flags = wait_for_value,
     .value_bytes_max = limits::operand_bytes_max,
     .fits = wait_fits,
     .waits = true,
     .at_checkpoint = true},
    {.verb = Verb::batch_get,
     .name = "batch_get",
     .operation = Operation::batch_get,
     .value_bytes_max = limits::batch_bytes_max,
     .fits = batch_fits,
     .at_checkpoint = true},
    {.verb = Verb::batch_put,
     .name = "batch_put",
     .operation = Operation::batch_put,
     .effect = Effect::items,
     .value_bytes_max = limits::batch_bytes_max,
     .fits = batch_fits,
     .takes_ttl = true,
     .at_checkpoint = true},
    {.verb = Verb::batch_erase,
     .name = "batch_erase",
     .operation = Operation::batch_erase,
     .effect = Effect::items,
     .value_bytes_max = limits::batch_bytes_max,
     .fits = batch_fits,
     .at_checkpoint = true},
    {.verb = Verb::broadcast_put,
     .name = "broadcast_put",
     .operation = Operation::broadcast_put,
     .key = required_key,
     .effect = Effect::pairs,
     .flags = relayed,
     .value_bytes_max = any_value,
     .is_broadcast = true},
    {.verb = Verb::broadcast_erase,
     .name = "broadcast_erase",
     .operation = Operation::broadcast_erase,
     .key = required_key,
     .effect = Effect::pairs,
     .flags = relayed,
     .is_broadcast = true},
    {.verb = Verb::freeze,
     .name = "freeze",
     .operation = Operation::freeze,
     .effect = Effect::state,
     .fits = freeze_fits},
    {.verb = Verb::count_prefix,
     .name = "count_prefix",
     .operation = Operation::count_prefix,
     .key = optional_key,
     .at_checkpoint = true},
    {.verb = Verb::erase_prefix,
     .name = "erase_prefix",
     .operation = Operation::erase_prefix,
     .key = required_key,
     .effect = Effect::items,
     .at_checkpoint = true},
    {.verb = Verb::cancel_wait, .name = "cancel_wait", .operation = Operation::cancel_wait},
    // Of which the answer is remembered: who asks again is answered by the manager that has come.
    {.verb = Verb::restart, .name = "restart", .operation = Operation::restart, .effect = Effect::state},
    {.verb = Verb::checkpoints,
     .name = "checkpoints",
     .operation = Operation::checkpoints,
     .flags = hold_checkpoint | hold_closes | hold_ends | hold_asks,
     .exclusive_flags = hold_checkpoint | hold_ends | hold_asks,
     .value_bytes_max = limits::inline_value_bytes_max,
     .fits = checkpoints_fits},
    {.verb = Verb::touch,
     .name = "touch",
     .operation = Operation::touch,
     .key = required_key,
     .effect = Effect::pairs,
     .at_checkpoint = true},
}};
static_assert(
    [] {
        for (std::size_t i = 0; i < verb_rules.size(); ++i) {
            if (static_cast<std::size_t>(verb_rules[i].verb) != i) return false;
        }
        return true;
    }(),
    "the rules stand in the order of the verbs");
static_assert(
    [] {
        for (std::size_t i = 1; i < verb_rules.size(); ++i) {
            if (verb_rules[i].operation == Operation::none) return false;
            for (std::size_t j = 1; j < i; ++j) {
                if (verb_rules[i].operation == verb_rules[j].operation) return false;
            }
        }
        return true;
    }(),
    "each verb has an operation of its own: statistics know verbs by it");

constexpr bool is_verb(std::uint8_t number) noexcept {
    return number != 0 && number <= verb_last;
}

/// Requires is_verb().
constexpr const VerbRule& rule_of(Verb verb) noexcept {
    return verb_rules[static_cast<std::size_t>(verb)];
}

/// Operation::none of what is no verb.
constexpr Operation operation_of(Verb verb) noexcept {
    return is_verb(static_cast<std::uint8_t>(verb)) ? rule_of(verb).operation : Operation::none;
}

/// The verbs with an effect for which `has` is true: one bit each.
template <class F>
constexpr std::uint64_t verbs_with(F has) noexcept {
    static_assert(verb_last < 64);
    std::uint64_t bits = 0;
    for (const VerbRule& rule : verb_rules)
        bits |= has(rule.effect) ? std::uint64_t{1} << static_cast<unsigned>(rule.verb) : 0;
    return bits;
}

/// Executed once, however often the request comes: the manager keeps the reply until the client has it.
constexpr bool is_cached(Verb verb) noexcept {
    constexpr std::uint64_t cached =
        verbs_with([](Effect effect) { return effect != Effect::nothing && effect != Effect::end; });
    return (cached >> static_cast<unsigned>(verb) & 1) != 0;
}

/// The verb changes something.
constexpr bool is_change(Verb verb) noexcept {
    return rule_of(verb).effect != Effect::nothing;
}

/// The verb changes pairs, and is refused as a whole while the dictionary is frozen.
constexpr bool changes_pairs(Verb verb) noexcept {
    constexpr std::uint64_t changing = verbs_with([](Effect effect) { return effect == Effect::pairs; });
    return (changing >> static_cast<unsigned>(verb) & 1) != 0;
}

}  // namespace ddict::wire
