// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How a process is reached: over each of the ways that it has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"
#include "samehost/handshake.h"

namespace ddict::transport {

/// A view: `ucx` points to bytes of somebody else's.
struct Address {
    samehost::LinkName name{};  ///< of its transport within the host
    std::string path{};         ///< of the socket that it listens at; empty: it does not
    Bytes ucx{};                ///< empty: not over the network
};

/// docs/protocol.md has the bytes.
std::vector<std::byte> pack(const Address& address);
/// Errors: bad_handle if it is none.
Result<Address> unpack(Bytes packed);

}  // namespace ddict::transport
