// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// All that one request, or one item of a batch, does to a shard. Whoever has to see what happens to a shard
// (waiting clients, a copy elsewhere, a file) sees changes, in the order in which they were applied.
#pragma once

#include <cstdint>
#include <vector>

#include <ddict/error.h>

#include "base/bytes.h"
#include "shm/block.h"

namespace ddict::store {

struct CachedReply;
struct SessionReplies;

enum class ChangeKind : std::uint8_t {
    put = 1,   // the key has this value from now on
    erase,     // the key is gone; not_found if it was not there
    take,      // the same, and the reply has the pair that was removed
    clear,     // all keys are gone
    freeze,    // no pair changes any more
    unfreeze,  //
    put_back,  // the pair that a take has removed is there again; not_found if the key has another
    begin_at,  // all keys are gone at every checkpoint, and that of the change is the only one
};
inline constexpr std::uint8_t change_kind_last = static_cast<std::uint8_t>(ChangeKind::begin_at);

/// Of a change that a broadcast makes.
enum class BroadcastRole : std::uint8_t {
    none,
    root,  // at the key's own manager, which gives the broadcast its version
    copy,  // at any other
};

/// Which request it is of. The items of a batch have one origin; whether a request has been executed already
/// is seen to before (Shard::is_new).
struct Origin {
    std::uint64_t session = 0;  // 0: of no request
    std::uint64_t request = 0;
};

/// Where the reply to a request is kept until its client has it. Nowhere, if `reply` is null.
struct ReplySlot {
    SessionReplies* session = nullptr;
    CachedReply* reply = nullptr;
};

/// Refers to bytes of the caller, which must stay as they are during Store::apply(), and no longer.
struct Change {
    ChangeKind kind = ChangeKind::put;
    BroadcastRole role = BroadcastRole::none;
    // Of a put or put_back; of an erase or take without value; of a clear or begin_at only the
    // checkpoint; or:
    shm::Pair pair{};
    shm::Block* reserved = nullptr;  // of a put, from Store::reserve(): has the pair itself
    std::uint64_t argument = 0;      // what the reply says if the change is made
    std::uint64_t version = 0;       // of a broadcast's copy
    Errc code{};                     // of a broadcast's erase: what has gone wrong already
    Origin origin{};
    ReplySlot slot{};             // of a put_back: has the pair
    bool is_one_of_many = false;  // of its request; see ReplyCache::begin_many

    KeyBytes key() const noexcept { return reserved != nullptr ? reserved->key() : pair.key; }
    std::uint64_t hash() const noexcept { return reserved != nullptr ? reserved->hash() : pair.hash; }
    std::uint32_t checkpoint() const noexcept {
        return reserved != nullptr ? reserved->checkpoint() : pair.checkpoint_id();
    }
};

/// What came of a change: what its reply says, and the reply cache.
struct Applied {
    Errc code{};                  // what the reply says
    std::uint64_t argument = 0;   // of the reply: Change::argument, or what an error needs
    std::uint64_t argument2 = 0;  // what an error has
    // Its number among the changes of the store, from 1 on; 0 if nothing changed. A root's erase of what is
    // not there changes the key's mark, and says not_found.
    std::uint64_t sequence = 0;
    // Of a take with a slot, and valid while the reply is cached.
    const shm::Block* removed = nullptr;

    bool succeeded() const noexcept { return code == Errc{}; }
    bool changed() const noexcept { return sequence != 0; }
};

/// The bytes of a change, wherever it has to outlive its request: all but the slot, and a reserved block as
/// key and value. Grammar:
///
///   change := kind:u8 role:u8 value_type:u16 key_bytes:u16 key_type:u16 hash:u64 placement:u64
///             checkpoint:u32 placed_by:u8 zero:u24 value_bytes:u64 argument:u64 version:u64 session:u64
///             request:u64 until:u64 byte* byte*                                          key, value
///
/// Numbers are little-endian. Appends to `out`.
void pack(const Change& change, std::vector<std::byte>& out);
/// Takes one change off the front of `in`; it points into what `in` had. False, with `in` as it was, if the
/// bytes are none. Copies what it reads once, and trusts nothing.
bool unpack(Bytes& in, Change& change);

}  // namespace ddict::store
