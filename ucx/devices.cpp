// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/devices.h"

#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <tuple>

#include "os/error.h"

namespace ddict::ucx {
namespace {

namespace fs = std::filesystem;

constexpr int layers_max = 4;  // a VLAN on a bridge on a bond on cards

/// Names of the entries of a folder of sysfs; none where that cannot be read.
std::vector<std::string> entries(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        names.push_back(at->path().filename());
    return names;
}

/// A card has a device; what is made of others names them.
bool is_hardware(const std::string& name, int layers = layers_max) {
    const std::string folder = "/sys/class/net/" + name;
    std::error_code error;
    if (fs::exists(folder + "/device", error)) return true;
    if (layers == 0) return false;
    for (const std::string& entry : entries(folder)) {
        constexpr std::string_view lower = "lower_";
        if (entry.starts_with(lower) && is_hardware(entry.substr(lower.size()), layers - 1)) return true;
    }
    return false;
}

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
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return os::error_of(errno, "listing the network interfaces");
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
    std::map<std::string, Interface> by_name;
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
        if ((at->ifa_flags & IFF_UP) == 0 || (at->ifa_flags & IFF_RUNNING) == 0) continue;
        std::optional<IpNetwork> address = IpNetwork::of(at->ifa_addr);
        if (!address || !usable(*address)) continue;
        address->prefix_bits =
            static_cast<std::uint8_t>(std::min(length_of(at->ifa_netmask), address->bits_max()));
        Interface& interface = by_name[at->ifa_name];
        interface.name = at->ifa_name;
        interface.loopback = (at->ifa_flags & IFF_LOOPBACK) != 0;
        interface.addresses.push_back(*address);
    }
    std::vector<Interface> interfaces;
    for (auto& [name, interface] : by_name) {
        interface.index = ::if_nametoindex(name.c_str());
        interfaces.push_back(std::move(interface));
    }
    // Who has few needs no order among them.
    if (interfaces.size() > tcp_devices_max) {
        for (Interface& interface : interfaces)
            interface.hardware = is_hardware(interface.name);
    }
    return interfaces;
}

std::vector<std::string> infiniband_ports() {
    const std::string folder = "/sys/class/infiniband";
    std::vector<std::string> names;
    for (const std::string& adapter : entries(folder)) {
        for (const std::string& port : entries(folder + "/" + adapter + "/ports"))
            names.push_back(adapter + ":" + port);
    }
    std::sort(names.begin(), names.end());
    return names;
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
    std::string list;
    std::size_t listed = choice.used.size();
    for (const std::string& name : choice.used)
        list += (list.empty() ? "" : ",") + name;
    for (const std::string& name : infiniband) {
        if (++listed > listed_devices_max) break;
        list += (list.empty() ? "" : ",") + name;
    }
    return list.empty() ? "lo" : list;
}

}  // namespace ddict::ucx
