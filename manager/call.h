// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A request whose form is right: lengths, flags and arguments are within what its verb allows, so that what
// follows can rely on them. Whether it makes sense is another question.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/transport.h"
#include "core/wire.h"

namespace ddict::manager {

struct Outcome;

struct Call {
    wire::RequestHeader header;
    Bytes key{};
    Bytes value{};                 // whole, unless there is a token
    std::uint64_t body_token = 0;  // of a value that still waits at its sender
    std::uint64_t hash = 0;        // of the key, if there is one
    PeerId peer = no_peer;         // who gets the reply
    Outcome* outcome = nullptr;    // where the reply is remembered, if it is
};

enum class Form {
    good,
    malformed,  // to be counted and ignored
    too_large,  // right, but for a value above what the verb takes; to be answered
};

/// Requires head.size() >= sizeof(wire::RequestHeader).
inline wire::RequestHeader header_in(Bytes head) noexcept {
    wire::RequestHeader header;
    std::memcpy(&header, head.data(), sizeof header);
    return header;
}

/// Reads a request, of which `call` has the header, from the `rest` of its head. `call` points into `rest`
/// and `body`; its peer is not known yet. Unless the form is good or too_large, it means nothing.
Form read_call(Bytes rest, const IncomingBody& body, Call& call) noexcept;

/// The largest value that the verb takes; for put and broadcast_put the pool decides.
std::uint64_t value_bytes_max(wire::Verb verb) noexcept;

/// The verb may change pairs, and is refused as a whole while the dictionary is frozen. (Batches are refused
/// item by item.)
bool changes_pairs(wire::Verb verb) noexcept;

}  // namespace ddict::manager
