// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How two processes of a host meet: the socket of one of them in the file system, and the first message that
// the other sends to it, with the memory for the connection.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <ddict/result.h>

#include "os/file_descriptor.h"
#include "os/unshared_descriptor.h"

namespace ddict::samehost {

/// By which the accepting side knows a connection again: chosen at random by the connecting transport.
using LinkName = std::array<std::byte, 16>;
/// Errors: system.
Result<LinkName> make_link_name();

/// The first and only message that goes through the socket.
struct Handshake {
    static constexpr std::array<char, 8> magic_of_this_version{'d', 'd', 'i', 'c', 't', 's', 'h', '2'};
    std::array<char, 8> magic = magic_of_this_version;
    LinkName name{};
};

/// A socket that listens at this path, for this user alone. A socket that a process has left there is
/// replaced. Errors: invalid_argument if the path is too long; system.
Result<os::FileDescriptor> listen_at(const std::string& path);

/// Connects, and hands the memory over, without waiting for the other to accept. Errors: not_found: nobody
/// can be reached at this path from here: there is no such socket, or it is another user's; manager_lost: it
/// was left by a process that has ended; busy: its process lives and takes no more connections, too many wait
/// to be accepted, or as many descriptors are under way as the kernel allows; system.
Result<os::UnsharedDescriptor> meet(const std::string& path, const LinkName& name,
                                    const os::FileDescriptor& memory);

/// The process at the other end, as far as this one sees it: 0 if not at all. Errors: access_denied if it is
/// another user's; system.
Result<pid_t> peer_of(int socket);

/// Why a connection was closed whose other end was this process. Waits for up to `time`: a process that ends
/// closes its sockets a moment before the kernel tells of its end. busy: it lives, so it did not want the
/// connection; manager_lost: it has ended, or that could not be found out in this time.
Error why_closed(pid_t peer, std::chrono::milliseconds time);
inline constexpr std::chrono::milliseconds end_told_within{20};

struct Introduction {
    LinkName name;
    os::FileDescriptor memory;
};
/// What meet() has sent. Empty if it has not arrived yet. Errors: protocol.
Result<std::optional<Introduction>> read_introduction(int socket);

}  // namespace ddict::samehost
