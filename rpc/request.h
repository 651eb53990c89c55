// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a client asks of a manager, and what it gets.
#pragma once

#include <chrono>
#include <cstdint>

#include <ddict/value_sink.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "cluster/ids.h"
#include "wire/messages.h"

namespace ddict {

using Time = std::chrono::steady_clock::time_point;

// Of a request that nobody has given one: 0 is sent.
inline constexpr std::uint32_t no_checkpoint = ~std::uint32_t{0};

struct Request {
    wire::Verb verb = wire::Verb::ping;
    ShardId shard{};
    KeyBytes key;
    Bytes value;  // stays the caller's; must not change until the operation is done
    Parts parts;  // instead, and so do the span's elements; more than limits::gathered_bytes_max together
    std::uint16_t value_type = 0;
    std::uint32_t checkpoint = no_checkpoint;
    bool is_of_restore = false;  // permitted where the dictionary is read-only
    std::uint64_t argument = 0;
    std::uint16_t flags = 0;
    ValueSink* sink = nullptr;   // may be null: the value of the reply is then dropped
    wire::StoredAs stored_as{};  // only for verbs that take it (VerbRule)

    std::uint64_t value_bytes() const noexcept { return parts.empty() ? value.size() : bytes_in(parts); }
};

struct Reply {
    std::uint64_t value_bytes = 0;
    std::uint16_t value_type = 0;
    std::uint64_t argument = 0;
    std::uint64_t argument2 = 0;
};

/// Who attaches, and to what.
struct Credentials {
    std::uint64_t dictionary_id = 0;
    Secret secret{};
    std::uint32_t ucx_version = 0;
    // Where the numbers of requests begin; the lower 46 bits count. Unpredictable in production: who does not
    // see the requests cannot make up answers to them.
    std::uint64_t sequence_start = 0;
};

/// Whether a reply says that nothing has come of its request yet.
inline bool asks_again(const wire::ReplyHeader& header) noexcept {
    return header.flags == wire::ask_again && header.status == static_cast<std::uint16_t>(Errc::timeout);
}
/// Whether the fields of a reply's header can be what a manager has sent.
inline bool is_well_formed(const wire::ReplyHeader& header) noexcept {
    const auto verb = static_cast<std::uint8_t>(header.verb_and_reply_bit & ~wire::reply_bit);
    return header.version == wire::protocol_version && (header.verb_and_reply_bit & wire::reply_bit) != 0 &&
           wire::is_verb(verb) && (header.flags == 0 || asks_again(header)) && header.status <= errc_last &&
           header.value_bytes <= limits::value_bytes_max;
}
inline bool is_reply_to(const wire::ReplyHeader& header, wire::Verb verb) noexcept {
    return header.verb_and_reply_bit == (static_cast<std::uint8_t>(verb) | wire::reply_bit);
}
using wire::operation_of;
/// Who asks managers to end has to hear of each whether it has: that another says the dictionary has ended is
/// no answer.
constexpr bool ends_manager(wire::Verb verb) noexcept {
    return wire::rule_of(verb).effect == wire::Effect::end;
}
/// What a wait_for asks of its manager: microseconds.
std::uint64_t wait_argument(Time::duration left) noexcept;

}  // namespace ddict
