// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/network_interfaces.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ddict::os {
namespace {

using Names = std::vector<std::string>;

NetworkInterface with(const std::string& name, const Names& addresses) {
    return {.name = name, .addresses = addresses};
}

const NetworkInterface loopback{.name = "lo", .addresses = {"127.0.0.1"}, .loopback = true};

Names dead_ends(const std::vector<NetworkInterface>& interfaces, const Names& shared = {}) {
    return dead_end_interfaces(interfaces, shared);
}

TEST(NetworkInterfacesTest, AnAddressThatSeveralNodesHaveLeadsNowhere) {
    EXPECT_EQ(dead_ends({loopback, with("eth0", {"10.0.0.1"}), with("usb0", {"10.9.9.1"})}, {"10.9.9.1"}),
              Names{"usb0"});
    EXPECT_EQ(dead_ends({loopback, with("eth0", {"10.0.0.1"}), with("usb0", {"10.9.9.1"})}, {}), Names{});
    EXPECT_EQ(
        dead_ends({with("eth0", {"10.0.0.1", "10.0.0.200"}), with("eth1", {"10.1.0.1"})}, {"10.0.0.200"}),
        Names{})
        << "a second address, that moves between hosts";
}

TEST(NetworkInterfacesTest, ALinkLocalAddressIsLeftOutBesideAnother) {
    EXPECT_EQ(dead_ends({with("eth0", {"10.0.0.1"}), with("usb0", {"169.254.3.7"})}), Names{"usb0"});
    EXPECT_EQ(dead_ends({loopback, with("usb0", {"169.254.3.7"})}), Names{}) << "the only one";
    EXPECT_EQ(dead_ends({with("eth0", {}), with("usb0", {"169.254.3.7"})}), Names{})
        << "one without an address leads nowhere either";
}

TEST(NetworkInterfacesTest, ABridgeOfContainersIsLeftOutBesideAnother) {
    NetworkInterface bridge = with("docker0", {"172.17.0.1"});
    bridge.inner_bridge = true;
    EXPECT_EQ(dead_ends({with("eth0", {"10.0.0.1"}), bridge}), Names{"docker0"});
    EXPECT_EQ(dead_ends({loopback, bridge}), Names{}) << "the only one";
    EXPECT_EQ(dead_ends({bridge, with("usb0", {"169.254.3.7"})}), Names{"usb0"});
}

TEST(NetworkInterfacesTest, AllHaveTheSameAddress) {
    EXPECT_EQ(dead_ends({with("a", {"10.0.0.1"}), with("b", {"10.0.0.2"})}, {"10.0.0.1", "10.0.0.2"}),
              Names{})
        << "containers behind one address: nothing to choose";
}

TEST(NetworkInterfacesTest, SharedAddresses) {
    const std::vector<Names> nodes{{"10.0.0.1", "10.9.9.1", "172.17.0.1"},
                                   {"10.0.0.2", "10.9.9.1"},
                                   {"10.0.0.3", "172.17.0.1", "172.17.0.1"}};
    EXPECT_EQ(shared_addresses(nodes), (Names{"10.9.9.1", "172.17.0.1"}));
    EXPECT_EQ(shared_addresses(std::vector<Names>{{"10.0.0.1", "10.0.0.1"}}), Names{}) << "twice on one node";
}

TEST(NetworkInterfacesTest, OfThisHost) {
    const auto all = network_interfaces();
    EXPECT_TRUE(
        std::is_sorted(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; }));
    for (const NetworkInterface& interface : all) {
        EXPECT_FALSE(interface.name.empty());
        EXPECT_EQ(interface.loopback, interface.name == "lo") << interface.name;
    }
}

}  // namespace
}  // namespace ddict::os
