// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which network devices UCX may use. Left to itself UCX takes every interface that is up: it aborts the
// process where there are 124 or more of them, opens a listener on each, and puts each into the address that
// others get. So a choice is made before UCX is started, where there is one to make.
#pragma once

#include <string>
#include <vector>

#include <ddict/result.h>

#include "ucx/ip_network.h"

namespace ddict::ucx {

/// A network interface of this host that UCX's TCP could use: it is up and has an address.
struct Interface {
    std::string name;
    unsigned index = 0;
    std::vector<IpNetwork> addresses;  ///< with the length of the network that each is in
    bool loopback = false;
    bool hardware = false;  ///< a network card, or made of some (bond, VLAN, bridge)
};

/// What is known about the network that connects the dictionary's hosts.
struct DeviceOptions {
    /// Not to be used: names ("docker0"), addresses ("172.17.0.1"), networks ("172.17.0.0/16").
    std::vector<std::string> leave_out{};
    /// Where the peers are: interfaces in the network of one of them are preferred.
    std::vector<IpNetwork> towards{};
};

struct DeviceChoice {
    /// Nothing is left out: UCX may choose by itself.
    bool all = true;
    std::vector<std::string> used{};
    std::vector<std::string> left_out{};
};

/// The most interfaces that UCX is told to use over TCP: each costs two descriptors, some 20 ms at the start
/// and some 20 bytes of the address.
inline constexpr std::size_t tcp_devices_max = 12;
/// UCX aborts the process where a list of devices has more.
inline constexpr std::size_t listed_devices_max = 64;

/// Errors: system.
Result<std::vector<Interface>> usable_interfaces();

/// Leaves out what the options name, and of the rest what is over tcp_devices_max: loopback stays always,
/// then interfaces towards peers go before others, hardware before virtual ones, those with an address of
/// their own before those with link-local ones only.
DeviceChoice choose_devices(const std::vector<Interface>& interfaces, const DeviceOptions& options);

/// The value of the option NET_DEVICES for a choice that is not `all`; only loopback where nothing is left.
std::string net_devices(const DeviceChoice& choice, const std::vector<std::string>& infiniband);

}  // namespace ddict::ucx
