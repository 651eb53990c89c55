// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a node launcher and each of its managers tell each other over a socket pair (SOCK_SEQPACKET, one
// packet a message: one byte Control, then the payload). The manager's end is the file descriptor named by
// --control-fd. The end of file on it means that the node launcher is gone: the manager then ends and removes
// its own segments.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ddict {

enum class Control : std::uint8_t {
    started = 1,  // manager -> launcher: packed DirectoryEntry, then a uint32 with the version of UCX (major
                  // << 16 | minor), which the handle needs; the manager can be reached
    directory =
        2,       // launcher -> manager: the node's directory segment is complete, and all `permit` are sent
    ready = 3,   // manager -> launcher: serving: this manager has reached its neighbours; or it has taken
                 // the place of one that was killed, and two uint64 follow: the pairs that are there, and
                 // those that are missing
    failed = 4,  // manager -> launcher: payload is one line of text for the user; the manager ends
    stop = 5,    // launcher -> manager: end in good order
    stopped =
        6,  // manager -> launcher: ends in good order because a client asked for it (Dictionary::destroy)
    permit = 7,  // launcher -> manager: hosts that may connect, as in DDICT_ALLOW_HOSTS; added to the others
    entry = 8,   // launcher -> manager: packed DirectoryEntry that all other managers are to be told; manager
                 // -> launcher: one that another manager has told, for the node's directory segment
    restart = 9,  // manager -> launcher: ends since a client asked for it; another one is to take its place
};

inline constexpr std::size_t control_packet_bytes_max = 16 * 1024;

}  // namespace ddict
