// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/call.h"

#include "wire/verbs.h"

namespace ddict::manager {
namespace {

using wire::RequestHeader;
using wire::VerbRule;

bool flags_fit(const VerbRule& rule, std::uint16_t flags) {
    const auto exclusive = static_cast<unsigned>(flags & rule.exclusive_flags);
    const bool at_most_one = (exclusive & (exclusive - 1)) == 0;
    const unsigned known = rule.flags | (rule.at_checkpoint ? wire::checkpoint_flags : 0U);
    return (flags & ~known) == 0 && at_most_one;
}

/// Of a request whose verb is one; `rest` is key and value.
inline Form read_key_and_value(Bytes rest, const IncomingPayload& payload, Call& call) {
    const RequestHeader& header = call.header;
    const VerbRule& rule = wire::rule_of(header.verb);
    if (header.key_bytes < rule.key.bytes_min || header.key_bytes > rule.key.bytes_max)
        return Form::malformed;
    if (header.flags != 0 && !flags_fit(rule, header.flags)) return Form::malformed;
    const bool has_payload = header.value_bytes > limits::inline_value_bytes_max;
    if (rest.size() != header.key_bytes + (has_payload ? 0 : header.value_bytes) ||
        payload.bytes != (has_payload ? header.value_bytes : 0)) {
        return Form::malformed;
    }
    Form form = Form::good;
    if (header.value_bytes > rule.value_bytes_max) {
        if (rule.value_bytes_max <= limits::inline_value_bytes_max) return Form::malformed;
        form = Form::too_large;
    }
    if (has_payload && payload.is_refused() && form == Form::good) form = Form::untaken;
    call.key = {rest.first(header.key_bytes), header.key_type};
    call.value = has_payload ? payload.in_memory : rest.subspan(header.key_bytes);
    call.payload_token = has_payload ? payload.token : 0;
    return rule.fits == nullptr || rule.fits(header) ? form : Form::malformed;
}

/// False if it is not there.
bool take_word(Bytes& rest, std::uint64_t& word) {
    if (rest.size() < sizeof word) return false;
    std::memcpy(&word, rest.data(), sizeof word);
    rest = rest.subspan(sizeof word);
    return true;
}

/// Of a request whose key was placed by hand, or that stores something with a time to live: that stands
/// before the key. Apart, so that others need not save registers for it.
[[gnu::noinline]] Form read_stored_as(Bytes rest, const IncomingPayload& payload, Call& call) {
    const RequestHeader& header = call.header;
    const VerbRule& rule = wire::rule_of(header.verb);
    if (static_cast<std::uint8_t>(header.placed_by) > placed_by_last || header.has_ttl > 1)
        return Form::malformed;
    const bool is_placed = header.placed_by != PlacedBy::own_hash;
    if (is_placed && (!rule.takes_placement || !take_word(rest, call.placement))) return Form::malformed;
    const bool has_ttl = header.has_ttl != 0;
    if (has_ttl && (!rule.takes_ttl || !take_word(rest, call.ttl) || call.ttl == 0)) return Form::malformed;
    return read_key_and_value(rest, payload, call);
}

}  // namespace

Form read_call(Bytes rest, const IncomingPayload& payload, Call& call) noexcept {
    const RequestHeader& header = call.header;
    if (header.version != wire::protocol_version || !wire::is_verb(static_cast<std::uint8_t>(header.verb)))
        return Form::malformed;
    if (header.placed_by != PlacedBy::own_hash || header.has_ttl != 0) [[unlikely]]
        return read_stored_as(rest, payload, call);
    return read_key_and_value(rest, payload, call);
}

}  // namespace ddict::manager
