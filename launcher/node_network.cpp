// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_network.h"

#include <algorithm>

#include "base/comma_list.h"
#include "os/ucx_variables.h"

namespace ddict::launcher {
std::vector<os::NetworkInterface> interfaces_for_ucx(std::span<const os::NetworkInterface> interfaces,
                                                     std::span<const std::string> shared,
                                                     const os::Environment& environment) {
    const auto chosen = os::chosen_network_devices(environment);
    const auto dead_ends = chosen ? std::vector<std::string>() : os::dead_end_interfaces(interfaces, shared);
    std::vector<os::NetworkInterface> usable;
    for (const os::NetworkInterface& interface : interfaces) {
        const bool wanted =
            chosen ? list_has(chosen->value, interface.name)
                   : std::find(dead_ends.begin(), dead_ends.end(), interface.name) == dead_ends.end();
        if (wanted && !interface.addresses.empty()) usable.push_back(interface);
    }
    return usable;
}

std::vector<std::string> addresses_for_ucx(const os::Environment& environment) {
    if (os::chosen_network_devices(environment)) return {};
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
