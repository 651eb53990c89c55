// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The network interfaces of this host, and which of them cannot lead to another node: a bridge of containers,
// the link to a board controller. UCX takes any that is up for a way to anywhere.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ddict/result.h>

namespace ddict::os {

struct NetworkInterface {
    std::string name;
    // As text, the first one first: it is the one that UCX uses. IPv4, then IPv6 without that of the link.
    std::vector<std::string> addresses{};
    bool loopback = false;
    bool inner_bridge = false;  // a bridge none of whose ports leads out of this host
};

/// An address of an interface, in the kernel's form.
struct InterfaceAddress {
    const char* name;
    bool up;
    bool loopback;
    const sockaddr* address;  // null: none; may be no address of IP
    const sockaddr* netmask;
};
/// Calls `take` for every address of every interface, at least once for each interface. Errors: system.
Result<void> for_each_address(const std::function<void(const InterfaceAddress&)>& take);

/// A network card, or made of some: a bond, a VLAN, a bridge.
bool is_hardware_interface(const std::string& name);

/// Those that are up, sorted by name.
std::vector<NetworkInterface> network_interfaces();

/// All addresses that connections of this host come from, as text, but for 127.0.0.0/8 and ::1; sorted, each
/// once. None if the kernel does not say.
std::optional<std::vector<std::string>> host_addresses();

/// Addresses that more than one node has. Each list is one node's; sorted, each once.
std::vector<std::string> shared_addresses(std::span<const std::vector<std::string>> by_node);

/// The names of those interfaces that are better left alone, in three steps: those whose address is among the
/// `shared` ones, those with a link-local address (169.254.0.0/16), inner bridges. A step that would leave
/// none is not made. Loopback, and interfaces without an address, are not looked at.
std::vector<std::string> dead_end_interfaces(std::span<const NetworkInterface> interfaces,
                                             std::span<const std::string> shared);

/// The ports of this host's InfiniBand (and RoCE) devices, as UCX names them: "mlx5_0:1".
std::vector<std::string> infiniband_ports();

}  // namespace ddict::os
