// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The messages between clients and managers, and between managers. docs/protocol.md has the grammar and
// example bytes. All numbers are little-endian.
//
//   request := RequestHeader key value?       value is in the head if value_bytes <= inline_value_bytes_max,
//   reply   := ReplyHeader value?             otherwise it is the body of the message
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <ddict/error.h>

#include "core/bytes.h"
#include "core/limits.h"
#include "core/transport.h"

namespace ddict::wire {

inline constexpr std::uint8_t protocol_version = 1;

enum class Verb : std::uint8_t {
    hello = 1,  // value: Hello. reply: argument = session
    goodbye,    // ends the session
    ping,       //
    put,        // key, value
    get,        // key. reply: value
    contains,   // key. reply: argument = 0 or 1
    erase,      // key. reply: not_found or ok
    size,       // reply: argument = number of keys
    clear,      //
    keys,  // argument = cursor (0 at first). reply: value = packed keys, argument = next cursor, 0 at the end
    stats,      // reply: value = ManagerStats, packed
    directory,  // argument = first manager id. reply: value = packed directory entries
    shutdown,   // the manager ends in good order
};
inline constexpr std::uint8_t verb_last = static_cast<std::uint8_t>(Verb::shutdown);

struct RequestHeader {
    std::uint8_t version = protocol_version;
    Verb verb = Verb::ping;
    std::uint16_t key_bytes = 0;
    std::uint16_t value_type = 0;  // see ddict/codec.h; 0 is plain bytes
    std::uint16_t flags = 0;       // none yet: must be 0
    std::uint64_t session = 0;     // 0 only in hello
    std::uint64_t request = 0;     // chosen by the client, echoed in the reply
    std::uint64_t checkpoint = 0;  // version of the dictionary that is meant
    std::uint64_t value_bytes = 0;
    std::uint64_t argument = 0;
};
static_assert(sizeof(RequestHeader) == 48 && std::is_trivially_copyable_v<RequestHeader>);
static_assert(offsetof(RequestHeader, session) == 8 && offsetof(RequestHeader, argument) == 40);

// The second byte of every message is the verb; its highest bit tells a reply from a request.
inline constexpr std::uint8_t reply_bit = 0x80;

struct ReplyHeader {
    std::uint8_t version = protocol_version;
    std::uint8_t verb_and_reply_bit = reply_bit;
    std::uint16_t status = 0;  // 0, or an Errc
    std::uint16_t value_type = 0;
    std::uint16_t flags = 0;
    std::uint64_t request = 0;
    std::uint64_t value_bytes = 0;
    std::uint64_t argument = 0;   // by verb; with no_space and too_large: bytes needed
    std::uint64_t argument2 = 0;  // with no_space and too_large: bytes free, or the limit
};
static_assert(sizeof(ReplyHeader) == 40 && std::is_trivially_copyable_v<ReplyHeader>);
static_assert(offsetof(ReplyHeader, request) == 8 && offsetof(ReplyHeader, argument2) == 32);

using Secret = std::array<std::byte, 16>;

/// The value of a hello: who is knocking, and how to answer.
struct Hello {
    std::uint64_t dictionary_id = 0;
    Secret secret{};
    std::uint32_t ucx_version = 0;  // major << 16 | minor
    ProcessIdentity process;
    Bytes address;  // of the knocker's transport
};

void pack(const Hello& hello, std::vector<std::byte>& out);
bool unpack(Bytes in, Hello& hello);  // false if the bytes are no Hello; hello.address points into `in`

}  // namespace ddict::wire
