// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a node launcher and each of its managers tell each other over a socket pair (SOCK_SEQPACKET, one
// packet a message: one byte Control, then the rest of the packet). The manager's end is the file descriptor
// named by
// --control-fd. The end of file on it means that the node launcher is gone: the manager then ends and removes
// its own segments.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ddict {

enum class Control : std::uint8_t {
    // From a manager to its node launcher.
    started =
        1,  // it can be reached: packed DirectoryEntry, then a uint32 with the version of UCX (major << 16
            // | minor), which the handle needs
    ready =
        3,  // it serves, and has reached its neighbours; or it has taken the place of one that was killed,
            // and two uint64 follow: the pairs that are there, and those that are missing
    failed = 4,     // one line of text for the user follows; the manager ends
    stopped = 6,    // it ends in good order because a client asked for it (Dictionary::destroy); one byte
                    // follows: 1 if its pool is to be kept, 0 if not
    restart = 9,    // it ends, and another one is to take its place: since a client asked for it, or for the
                    // reason that follows, as "was asked to restart"
    hopeless = 10,  // as failed; and so would any other on what is in shared memory
    fill = 11,      // its pool is nearly full: packed PoolFill (manager_summary.h); once at each level
    summary =
        12,  // it ends in good order, or for a restart: packed ManagerSummary; before stopped and restart

    filled = 13,   // all of its pool is there, or as much as is to be had: text for people follows
    session = 14,  // a client's session has begun or ended: text for people follows. Only if the manager was
                   // started to say so, and not of each of very many

    // From a node launcher to a manager.
    directory = 2,  // the node's directory segment is complete, and all `permit` are sent
    stop = 5,       // end in good order
    permit = 7,     // hosts that may connect, as in DDICT_ALLOW_HOSTS; added to the others

    // Both ways.
    entry =
        8,  // packed DirectoryEntry: to be told to all other managers; or told by another manager, for the
            // node's directory segment
};

inline constexpr std::size_t control_packet_bytes_max = 16 * 1024;

}  // namespace ddict
