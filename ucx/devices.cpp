// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/devices.h"

#include <net/if.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
#include <tuple>

#include "base/comma_list.h"
#include "os/network_interfaces.h"

namespace ddict::ucx {
namespace {

unsigned length_of(const sockaddr* mask) {
    const std::optional<IpNetwork> bits = IpNetwork::of(mask);
    if (!bits) return 0;
    unsigned length = 0;
    for (const std::uint8_t byte : bits->bytes)
        length += static_cast<unsigned>(std::popcount(byte));
    return length;
}

/// UCX's TCP takes no link-local addresses of IPv6.
bool usable(const IpNetwork& address) {
    return !address.v6 || (!address.is_loopback() && !address.is_link_local());
}

bool is_named(const Interface& interface, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        if (name == interface.name) return true;
        const std::optional<IpNetwork> network = IpNetwork::parse(name);
        if (!network) continue;
        for (const IpNetwork& address : interface.addresses) {
            if (network->contains(address)) return true;
        }
    }
    return false;
}

bool leads_to_one(const Interface& interface, const std::vector<IpNetwork>& peers) {
    for (const IpNetwork& address : interface.addresses) {
        for (const IpNetwork& peer : peers) {
            if (address.contains(peer)) return true;
        }
    }
    return false;
}

}  // namespace

Result<std::vector<Interface>> usable_interfaces() {
    std::map<std::string, Interface> by_name;
    const Result<void> listed = os::for_each_address([&](const os::InterfaceAddress& at) {
        std::optional<IpNetwork> address = at.up ? IpNetwork::of(at.address) : std::nullopt;
        if (!address || !usable(*address)) return;
        address->prefix_bits =
            static_cast<std::uint8_t>(std::min(length_of(at.netmask), address->bits_max()));
        Interface& interface = by_name[at.name];
        interface.name = at.name;
        interface.loopback = at.loopback;
        interface.addresses.push_back(*address);
    });
    if (!listed) return listed.error();
    std::vector<Interface> interfaces;
    for (auto& [name, interface] : by_name) {
        interface.index = ::if_nametoindex(name.c_str());
        interfaces.push_back(std::move(interface));
    }
    // Who has few needs no order among them.
    if (interfaces.size() > tcp_devices_max) {
        for (Interface& interface : interfaces)
            interface.hardware = os::is_hardware_interface(interface.name);
    }
    return interfaces;
}

DeviceChoice choose_devices(const std::vector<Interface>& interfaces, const DeviceOptions& options) {
    DeviceChoice choice;
    std::vector<const Interface*> candidates;
    for (const Interface& interface : interfaces) {
        if (is_named(interface, options.leave_out)) {
            choice.left_out.push_back(interface.name);
        } else {
            candidates.push_back(&interface);
        }
    }
    // Where not all may be used they are listed, with commas between them.
    if (!choice.left_out.empty() || candidates.size() > tcp_devices_max) {
        std::erase_if(candidates, [&](const Interface* interface) {
            const bool has_comma = interface->name.find(',') != std::string::npos;
            if (has_comma) choice.left_out.push_back(interface->name);
            return has_comma;
        });
    }
    const auto rank = [&](const Interface& interface) {
        const bool own_address =
            std::any_of(interface.addresses.begin(), interface.addresses.end(),
                        [](const IpNetwork& address) { return !address.is_link_local(); });
        return std::tuple(!interface.loopback, !leads_to_one(interface, options.towards), !interface.hardware,
                          !own_address, interface.index);
    };
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](const Interface* a, const Interface* b) { return rank(*a) < rank(*b); });
    for (std::size_t i = 0; i < candidates.size(); ++i)
        (i < tcp_devices_max ? choice.used : choice.left_out).push_back(candidates[i]->name);
    choice.all = choice.left_out.empty();
    return choice;
}

std::string net_devices(const DeviceChoice& choice, const std::vector<std::string>& infiniband) {
    std::vector<std::string> devices = choice.used;
    for (const std::string& name : infiniband) {
        if (devices.size() >= listed_devices_max) break;
        devices.push_back(name);
    }
    return devices.empty() ? "lo" : join_list(devices);
}

}  // namespace ddict::ucx
