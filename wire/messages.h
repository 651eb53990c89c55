// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The messages between clients and managers, and between managers. docs/protocol.md has the grammar and
// example bytes. All numbers are little-endian.
//
//   request := RequestHeader placement:u64? key value?
//   reply   := ReplyHeader value?
//
// The value is part of the message if value_bytes <= inline_value_bytes_max; otherwise it is the payload.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ddict/error.h>
#include <ddict/value_type.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/process_identity.h"
#include "base/secret.h"
#include "wire/verbs.h"

namespace ddict::wire {

inline constexpr std::uint8_t protocol_version = 2;

/// The lowest bits of a request's number are its slot: of the requests of one session that wait for a reply,
/// no two have the same. Of two requests in one slot the later has the higher number, so a request tells the
/// manager that the reply to the one before it in its slot has arrived.
inline constexpr unsigned slot_bits = 10;
static_assert(std::uint32_t{1} << slot_bits == limits::operations_in_flight_max);
constexpr std::uint32_t slot_of(std::uint64_t request) noexcept {
    return static_cast<std::uint32_t>(request) & ((1u << slot_bits) - 1);
}

// A value that does not fit into the page is to be asked for alone: in the results of a batch_get the status
// says so, in the pairs of a scan the number of its bytes.
inline constexpr std::uint16_t status_ask_alone = 0xffff;
inline constexpr std::uint16_t value_bytes_ask_alone = 0xffff;

struct RequestHeader {
    std::uint8_t version = protocol_version;
    Verb verb = Verb::ping;
    std::uint16_t key_bytes = 0;
    std::uint16_t key_type = type_text;  // see ddict/key_bytes.h; of no meaning without a key
    std::uint16_t flags = 0;             // by verb
    std::uint64_t session = 0;           // 0 only in hello and goodbye
    std::uint64_t request = 0;           // chosen by the client, echoed in the reply; slot_of() it
    std::uint32_t checkpoint = 0;        // id of the one that is meant; limits::newest_checkpoint: the newest
    std::uint16_t value_type = 0;        // see ddict/codec.h; 0 is plain bytes
    PlacedBy placed_by{};                // of a key placed by hand: then a placement follows the header
    std::uint8_t has_ttl = 0;            // 1: then a time to live follows, behind a placement if there is one
    std::uint64_t value_bytes = 0;
    std::uint64_t argument = 0;
};
static_assert(sizeof(RequestHeader) == 48 && std::is_trivially_copyable_v<RequestHeader>);
static_assert(offsetof(RequestHeader, session) == 8 && offsetof(RequestHeader, checkpoint) == 24 &&
              offsetof(RequestHeader, value_type) == 28 && offsetof(RequestHeader, argument) == 40);

/// What stands between the header and the key of a request, if the header says so: 8 bytes each.
struct StoredAs {
    KeyPlacement placement{};
    std::uint64_t ttl = 0;  // microseconds; 0: none
};

// The second byte of every message is the verb; its highest bit tells a reply from a request.
inline constexpr std::uint8_t reply_bit = 0x80;

/// The argument of a reply with the status system: what a manager could not do with a value. Of a request
/// whose value could not be received nothing has come.
enum class ValueFailure : std::uint64_t {
    not_taken,             // the client has not taken the answer's
    no_memory_to_receive,  // the request's
    cannot_be_received,    // the request's: the client's memory could not be read to its end
    no_memory_to_send,     // the answer's
};

// ReplyHeader::flags. With the status timeout: nothing has come of the request, and it is to be sent again,
// with the flag `sent_again`. The arguments say what it waits for.
inline constexpr std::uint16_t ask_again = 1;

/// What a request waits for, to be asked again.
struct AskAgain {
    enum class Awaited : std::uint8_t {
        key,      // its own, which is to be written
        keys,     // those of the checkpoint, which are to be written at the next
        writers,  // those of the checkpoint, which are to come to a later one
    };
    static constexpr Awaited awaited_last = Awaited::writers;

    Awaited what = Awaited::key;
    std::uint32_t checkpoint = 0;  // cannot be retired yet
    std::uint64_t count = 0;       // of keys or writers; 0: nothing any more

    std::uint64_t argument() const noexcept {
        return std::uint64_t{checkpoint} << 8 | static_cast<std::uint64_t>(what);
    }
    /// From the arguments of a reply.
    static AskAgain of(std::uint64_t argument, std::uint64_t argument2) noexcept {
        const std::uint64_t what = argument & 0xff;
        return {.what = what > static_cast<std::uint64_t>(awaited_last) ? Awaited::key
                                                                        : static_cast<Awaited>(what),
                .checkpoint = static_cast<std::uint32_t>(argument >> 8),
                .count = argument2};
    }
};

struct ReplyHeader {
    std::uint8_t version = protocol_version;
    std::uint8_t verb_and_reply_bit = reply_bit;
    std::uint16_t status = 0;  // 0, or an Errc
    std::uint16_t value_type = 0;
    std::uint16_t flags = 0;  // ask_again
    std::uint64_t request = 0;
    std::uint64_t value_bytes = 0;
    std::uint64_t argument = 0;  // by verb; no_space, too_large: bytes needed; wrong_type: the type stored
    // no_space, too_large: bytes free, or the limit; wrong_type: bytes stored; else by verb.
    std::uint64_t argument2 = 0;
};
static_assert(sizeof(ReplyHeader) == 40 && std::is_trivially_copyable_v<ReplyHeader>);
static_assert(offsetof(ReplyHeader, request) == 8 && offsetof(ReplyHeader, argument2) == 32);

// The goodbye of a manager that ends in good order, to each of its sessions: a reply to a goodbye that
// nobody has sent, with argument = session, and status = dictionary_gone if the dictionary ends with it, else
// manager_lost. Requests that belong to a connection and to no operation have the highest bit; their lowest
// bits are the manager's id.
inline constexpr std::uint64_t connection_request_bit = std::uint64_t{1} << 63;
inline constexpr unsigned manager_bits = 16;
static_assert(limits::managers_max <= std::uint32_t{1} << manager_bits);

/// The value of a hello, and of a goodbye without a session: who it is, and how to answer.
struct Hello {
    std::uint64_t dictionary_id = 0;
    Proof proof{};
    std::uint32_t ucx_version = 0;  // major << 16 | minor
    ProcessIdentity process;
    Bytes address;  // of its transport
};

/// What proves that the sender knows the dictionary's secret, without telling it: the tag of verb, session
/// and request of the message and of all of the hello but the proof, with the secret as the key. So nobody
/// else can make one, or change anything of one that was made.
Proof proof_of(const Secret& secret, const RequestHeader& header, const Hello& hello);

void pack(const Hello& hello, std::vector<std::byte>& out);
bool unpack(Bytes in, Hello& hello);  // false if the bytes are no Hello; hello.address points into `in`
/// The value of the message with this header: packs the hello with its proof, and says the length in the
/// header.
std::vector<std::byte> pack_proven(const Secret& secret, RequestHeader& header, Hello hello);

}  // namespace ddict::wire
