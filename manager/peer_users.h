// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which user of this host is at the other end of a TCP connection.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace ddict::manager {

/// The kernel's list of connections, as it was when the object was made.
class PeerUsers {
  public:
    PeerUsers();
    /// Empty if the peer is on another host, or has left.
    std::optional<uid_t> of(int socket) const;

  private:
    void read(const char* path);
    // By the port of this user's end and of the other one.
    std::map<std::pair<std::uint16_t, std::uint16_t>, uid_t> users_;
};

}  // namespace ddict::manager
