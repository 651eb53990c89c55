// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What becomes of TCP connections before UCX sees them. UCX closes its listener for ever when one accept()
// fails, ends the process over malformed bytes of anybody, does not notice a silent peer while a message to
// it is on its way, and loses track of a connection that it answers through the peer's socket if the peer has
// left (it then makes a socket of its own, but does not enter it in its table; when the connection is closed
// it aborts). ddict-manager therefore has accept(), connect() and send() of its own, which stand in the C
// library's place for all libraries of the process:
// - no failure of accept() reaches UCX. Where descriptors are short a connection is closed as soon as it
//   comes: a reserve stays for those that are there, and the listener stays open. Connections that do not
//   begin as UCX's do are closed then, and of those of another user of this host what takes more than a
//   quarter of the descriptors;
// - a connection from a host that is not permitted is closed before a byte of it is read;
// - a peer that acknowledges nothing for limits::silence_of_peer_max is lost;
// - what is sent to a peer that has left is dropped: UCX finds out when it reads from the connection, which
//   can be read from then on, and copes with it there.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "ucx/ip_network.h"

namespace ddict::manager {

/// Which hosts may connect, besides this one.
struct PermittedHosts {
    bool all = true;
    std::vector<ucx::IpNetwork> networks{};

    /// Reads "all", or host names, addresses and networks with commas between them. Errors: invalid_argument.
    /// A name takes the time of a look-up.
    static Result<PermittedHosts> parse(const std::string& text);
};

/// One of a process. Threads: any; accept() is called by UCX's own.
class ConnectionGuard {
  public:
    static ConnectionGuard& instance();

    /// Readable when a connection was refused; -1 if the kernel gives no descriptor. Stays the guard's.
    int event_fd() const noexcept { return event_fd_; }
    struct Refused {
        std::uint64_t crowded = 0;   ///< for want of descriptors
        std::uint64_t stranger = 0;  ///< from a host that is not permitted
        std::string stranger_from;   ///< the last one
    };
    /// Since the last call.
    Refused take_refused();
    void permit(PermittedHosts hosts);

    /// As the system calls of these names.
    int accept(int listener, sockaddr* address, socklen_t* size);
    static int connect(int socket, const sockaddr* address, socklen_t size);
    static ssize_t send(int socket, const void* data, std::size_t bytes, int flags);

  private:
    ConnectionGuard();
    bool is_permitted(const sockaddr* address);
    bool take(int socket);
    int accept_and_close(int listener);
    void make_place();
    void note(std::uint64_t Refused::*counter, const sockaddr* from);

    struct Accepted {
        int fd = -1;
        std::uint64_t cookie = 0;  // tells it from a later socket with this number
        std::int64_t at_ms = 0;
    };
    std::mutex mutex_;
    PermittedHosts permitted_;
    std::vector<ucx::IpNetwork> own_;
    std::vector<Accepted> accepted_;  // in the order in which they came; some have been closed
    std::int64_t made_place_at_ms_ = 0;
    Refused refused_;
    std::atomic<int> spare_fd_{-1};
    int event_fd_ = -1;
};

}  // namespace ddict::manager
