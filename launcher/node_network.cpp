// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_network.h"

#include <algorithm>

#include "base/comma_list.h"

namespace ddict::launcher {
namespace {

constexpr const char* devices_variable = "UCX_NET_DEVICES";

}  // namespace

std::vector<os::NetworkInterface> interfaces_for_ucx(std::span<const os::NetworkInterface> interfaces,
                                                     std::span<const std::string> shared,
                                                     const os::Environment& environment) {
    const auto chosen = environment.find(devices_variable);
    const bool by_user = chosen != environment.end() && chosen->second != "all";
    const auto dead_ends = by_user ? std::vector<std::string>() : os::dead_end_interfaces(interfaces, shared);
    std::vector<os::NetworkInterface> usable;
    for (const os::NetworkInterface& interface : interfaces) {
        const bool wanted =
            by_user ? list_has(chosen->second, interface.name)
                    : std::find(dead_ends.begin(), dead_ends.end(), interface.name) == dead_ends.end();
        if (wanted && !interface.addresses.empty()) usable.push_back(interface);
    }
    return usable;
}

std::vector<std::string> addresses_for_ucx(const os::Environment& environment) {
    if (environment.contains(devices_variable)) return {};
    std::vector<std::string> addresses;
    for (const auto& interface : interfaces_for_ucx(os::network_interfaces(), {}, environment)) {
        if (!interface.loopback) addresses.push_back(interface.addresses.front());
    }
    return addresses;
}

std::string describe_interfaces() {
    std::string text;
    for (const auto& interface : os::network_interfaces()) {
        if (interface.loopback || interface.addresses.empty()) continue;
        text += (text.empty() ? "" : ", ") + interface.name + " " + interface.addresses.front();
    }
    return text.empty() ? "none" : text;
}

}  // namespace ddict::launcher
