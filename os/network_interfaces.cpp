// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/network_interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string_view>

#include "os/error.h"

namespace ddict::os {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view link_local_prefix = "169.254.";
constexpr std::string_view lower_prefix = "lower_";  // what an interface is made of
constexpr int layers_max = 4;                        // a VLAN on a bridge on a bond on cards

bool is_link_local_v6(const sockaddr* address) {
    return address != nullptr && address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

/// Empty if it is no address of IP.
std::string address_text(const sockaddr* address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address == nullptr) return {};
    if (address->sa_family == AF_INET) {
        const auto* const in = reinterpret_cast<const sockaddr_in*>(address);
        inet_ntop(AF_INET, &in->sin_addr, text.data(), text.size());
    } else if (address->sa_family == AF_INET6) {
        const auto* const in = reinterpret_cast<const sockaddr_in6*>(address);
        inet_ntop(AF_INET6, &in->sin6_addr, text.data(), text.size());
    }
    return text.data();
}

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        names.push_back(at->path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

/// Has hardware, or lies upon something that may have (a VLAN, a bond).
bool leads_out(const std::string& interface) {
    const fs::path folder = "/sys/class/net/" + interface;
    std::error_code error;
    if (fs::exists(folder / "device", error)) return true;
    const auto names = names_in(folder);
    return std::any_of(names.begin(), names.end(),
                       [](const auto& name) { return name.starts_with(lower_prefix); });
}

bool is_inner_bridge(const std::string& interface) {
    const fs::path folder = "/sys/class/net/" + interface;
    std::error_code error;
    if (!fs::exists(folder / "bridge", error)) return false;
    const auto ports = names_in(folder / "brif");
    return std::none_of(ports.begin(), ports.end(), leads_out);
}

bool is_hardware(const std::string& interface, int layers) {
    const fs::path folder = "/sys/class/net/" + interface;
    std::error_code error;
    if (fs::exists(folder / "device", error)) return true;
    if (layers == 0) return false;
    const auto names = names_in(folder);
    return std::any_of(names.begin(), names.end(), [layers](const std::string& name) {
        return name.starts_with(lower_prefix) && is_hardware(name.substr(lower_prefix.size()), layers - 1);
    });
}

}  // namespace

Result<void> for_each_address(const std::function<void(const InterfaceAddress&)>& take) {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return error_of(errno, "listing the network interfaces");
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
        take({.name = at->ifa_name,
              .up = (at->ifa_flags & IFF_UP) != 0 && (at->ifa_flags & IFF_RUNNING) != 0,
              .loopback = (at->ifa_flags & IFF_LOOPBACK) != 0,
              .address = at->ifa_addr,
              .netmask = at->ifa_netmask});
    }
    return {};
}

bool is_hardware_interface(const std::string& name) {
    return is_hardware(name, layers_max);
}

std::vector<NetworkInterface> network_interfaces() {
    std::map<std::string, NetworkInterface> by_name;
    // If the kernel does not say, there are none.
    [[maybe_unused]] const Result<void> listed = for_each_address([&](const InterfaceAddress& at) {
        if (!at.up) return;
        // "eth0:1" is a second address of eth0 under an old name.
        const std::string name = std::string(at.name).substr(0, std::string_view(at.name).find(':'));
        NetworkInterface& interface = by_name[name];
        interface.name = name;
        interface.loopback = at.loopback;
        if (is_link_local_v6(at.address)) return;
        if (std::string text = address_text(at.address); !text.empty())
            interface.addresses.push_back(std::move(text));
    });
    std::vector<NetworkInterface> all;
    for (auto& [name, interface] : by_name) {
        interface.inner_bridge = is_inner_bridge(name);
        all.push_back(std::move(interface));
    }
    return all;
}

std::optional<std::vector<std::string>> host_addresses() {
    std::set<std::string> addresses;
    const Result<void> listed = for_each_address([&](const InterfaceAddress& at) {
        std::string text = address_text(at.address);
        if (!text.empty() && !text.starts_with("127.") && text != "::1") addresses.insert(std::move(text));
    });
    if (!listed) return std::nullopt;
    return std::vector<std::string>(addresses.begin(), addresses.end());
}

std::vector<std::string> shared_addresses(std::span<const std::vector<std::string>> by_node) {
    std::map<std::string, std::size_t> nodes_with;
    for (const std::vector<std::string>& of_node : by_node) {
        for (const std::string& address : std::set<std::string>(of_node.begin(), of_node.end()))
            ++nodes_with[address];
    }
    std::vector<std::string> shared;
    for (const auto& [address, nodes] : nodes_with) {
        if (nodes > 1) shared.push_back(address);
    }
    return shared;
}

std::vector<std::string> dead_end_interfaces(std::span<const NetworkInterface> interfaces,
                                             std::span<const std::string> shared) {
    std::vector<const NetworkInterface*> left;
    for (const NetworkInterface& interface : interfaces) {
        if (!interface.loopback && !interface.addresses.empty()) left.push_back(&interface);
    }
    std::vector<std::string> dead_ends;
    const auto leave_out = [&](const auto& is_dead_end) {
        const auto dead = std::stable_partition(
            left.begin(), left.end(), [&](const auto* interface) { return !is_dead_end(*interface); });
        if (dead == left.begin()) return;  // a guess, and better than nothing
        for (auto at = dead; at != left.end(); ++at)
            dead_ends.push_back((*at)->name);
        left.erase(dead, left.end());
    };
    leave_out([&](const NetworkInterface& interface) {
        return std::find(shared.begin(), shared.end(), interface.addresses.front()) != shared.end();
    });
    leave_out([](const NetworkInterface& interface) {
        return interface.addresses.front().starts_with(link_local_prefix);
    });
    leave_out([](const NetworkInterface& interface) { return interface.inner_bridge; });
    std::sort(dead_ends.begin(), dead_ends.end());
    return dead_ends;
}

std::vector<std::string> infiniband_ports() {
    std::vector<std::string> ports;
    const fs::path root = "/sys/class/infiniband";
    for (const std::string& device : names_in(root)) {
        for (const std::string& port : names_in(root / device / "ports"))
            ports.push_back(device + ":" + port);
    }
    return ports;
}

}  // namespace ddict::os
