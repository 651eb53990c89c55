// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/peer_memory.h"

#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "base/limits.h"

namespace ddict::samehost {

/// The nonce is read with every copy: a number of a process can be given again, and in another namespace of
/// processes it is another's.
PeerMemory::Outcome PeerMemory::read(std::span<const RemotePart> from, MutableBytes into,
                                     MutableBytes rest) noexcept {
    const std::uint64_t nonce_address = facts_.nonce_address.load(std::memory_order_relaxed);
    if (peer_ <= 0 || nonce_address == 0) permitted_ = false;
    if (!permitted_) return Outcome::not_permitted;
    std::uint64_t nonce = 0;
    const iovec here[] = {{&nonce, sizeof nonce}, {into.data(), into.size()}, {rest.data(), rest.size()}};
    std::array<iovec, 1 + limits::value_parts_max> there;
    there[0] = {reinterpret_cast<void*>(nonce_address), sizeof nonce};
    for (std::size_t i = 0; i < from.size(); ++i)
        there[1 + i] = {reinterpret_cast<void*>(from[i].address), from[i].bytes};
    const ssize_t got =
        ::process_vm_readv(peer_, here, rest.empty() ? 2 : 3, there.data(), 1 + from.size(), 0);
    if (got < static_cast<ssize_t>(sizeof nonce)) {
        // Whatever the kernel says of a process that it does not show, the payload can come in pieces.
        permitted_ = false;
        return Outcome::not_permitted;
    }
    if (nonce != facts_.nonce.load(std::memory_order_relaxed)) {
        permitted_ = false;
        return Outcome::not_permitted;
    }
    was_read_ = true;
    return got == static_cast<ssize_t>(sizeof nonce + into.size() + rest.size()) ? Outcome::done
                                                                                 : Outcome::not_there;
}

bool PeerMemory::try_to_read() noexcept {
    // The peer may not have come so far as to say where.
    if (facts_.nonce_address.load(std::memory_order_relaxed) == 0) return true;
    static_cast<void>(read({}, {}, {}));
    return permitted_;
}

}  // namespace ddict::samehost
