// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A request whose form is right: lengths, flags and arguments are within what its verb allows, so that what
// follows can rely on them. Whether it makes sense is another question.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/working_set_settings.h"
#include "rpc/transport.h"
#include "store/change.h"
#include "wire/messages.h"

namespace ddict::manager {

struct Call {
    wire::RequestHeader header;
    KeyBytes key{};
    Bytes value{};                    // whole, unless there is a token
    std::uint64_t payload_token = 0;  // of a value that still waits at its sender
    std::uint64_t hash = 0;           // of the key, if there is one
    std::uint64_t placement = 0;      // what the key was placed by; the header says by what
    std::uint64_t ttl = 0;            // of what it stores: microseconds; 0: none
    std::uint64_t until = 0;          // when that is over: shm::Pair::until
    PeerId peer = no_peer;            // who gets the reply
    store::ReplySlot slot{};          // where the reply is cached, if it is
    bool is_transient = false;        // a pair that it stores is

    bool has(std::uint16_t flag) const noexcept { return (header.flags & flag) != 0; }
};

/// Whether a pair that the request stores is transient.
inline bool stores_transient(const wire::RequestHeader& request,
                             const WorkingSetSettings& settings) noexcept {
    return settings.waits_for_keys && (request.flags & wire::persistent) == 0;
}

/// The checkpoint of what the call stores.
inline std::uint32_t stored_at(const Call& call) noexcept {
    return call.header.checkpoint | (call.is_transient ? shm::transient_bit : 0);
}

/// The call's key with this value.
inline shm::Pair pair_of(const Call& call, Bytes value) noexcept {
    return {.key = call.key,
            .hash = call.hash,
            .value_type = call.header.value_type,
            .checkpoint = stored_at(call),
            .value = value,
            .placement = {.by = call.header.placed_by, .value = call.placement},
            .until = call.until};
}

/// The change that the call asks for, of its key.
inline store::Change change_of(const Call& call, store::ChangeKind kind) noexcept {
    return {.kind = kind,
            .role = store::BroadcastRole::none,
            .pair = pair_of(call, {}),
            .reserved = nullptr,
            .argument = 0,
            .version = 0,
            .origin = {.session = call.header.session, .request = call.header.request},
            .slot = call.slot};
}

enum class Form {
    good,
    malformed,  // to be counted and ignored
    too_large,  // right, but for a value above what the verb takes; to be answered
    untaken,    // right, but the transport had no memory for its value; to be answered
};

/// Requires message.size() >= sizeof(wire::RequestHeader).
inline wire::RequestHeader header_in(Bytes message) noexcept {
    wire::RequestHeader header;
    std::memcpy(&header, message.data(), sizeof header);
    return header;
}

/// Reads a request, of which `call` has the header, from the `rest` of its message. `call` points into `rest`
/// and `payload`; its peer is not known yet. If the form is malformed, it means nothing.
Form read_call(Bytes rest, const IncomingPayload& payload, Call& call) noexcept;

}  // namespace ddict::manager
