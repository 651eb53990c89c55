// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/peer_users.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "ucx/ip_network.h"

namespace ddict::manager {
namespace {

struct End {
    ucx::IpNetwork address;
    std::uint16_t port = 0;
};

std::optional<End> end_of(const sockaddr_storage& storage) {
    const auto* const address = reinterpret_cast<const sockaddr*>(&storage);
    const auto network = ucx::IpNetwork::of(address);
    if (!network) return std::nullopt;
    const std::uint16_t port = storage.ss_family == AF_INET
                                   ? reinterpret_cast<const sockaddr_in*>(&storage)->sin_port
                                   : reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port;
    return End{*network, ntohs(port)};
}

/// What follows the colon of "0100007F:1F90", as in proc(5).
std::uint16_t port_of(const std::string& end) {
    const std::size_t colon = end.find(':');
    if (colon == std::string::npos) return 0;
    return static_cast<std::uint16_t>(std::strtoul(end.c_str() + colon + 1, nullptr, 16));
}

}  // namespace

PeerUsers::PeerUsers() {
    read("/proc/self/net/tcp");
    read("/proc/self/net/tcp6");
}

void PeerUsers::read(const char* path) {
    constexpr const char* established = "01";
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        std::string slot, local, remote, state, queues, timer, retransmits;
        uid_t user = 0;
        if (fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user &&
            state == established)
            users_.insert({{port_of(local), port_of(remote)}, user});
    }
}

std::optional<uid_t> PeerUsers::of(int socket) const {
    sockaddr_storage own{};
    sockaddr_storage peer{};
    socklen_t own_size = sizeof own;
    socklen_t peer_size = sizeof peer;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &own_size) != 0 ||
        ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0)
        return std::nullopt;
    const auto here = end_of(own);
    const auto there = end_of(peer);
    // Who connects to an address of this host does so from the same one, unless it has bound another.
    if (!here || !there || !(there->address.is_loopback() || there->address == here->address))
        return std::nullopt;
    const auto found = users_.find({there->port, here->port});
    return found == users_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace ddict::manager
