// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/devices.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>

namespace ddict::ucx {
namespace {

IpNetwork network(const char* text) {
    return IpNetwork::parse(text).value();
}

Interface interface(const std::string& name, unsigned index, const char* address, bool hardware = false) {
    return {.name = name,
            .index = index,
            .addresses = {network(address)},
            .loopback = name == "lo",
            .hardware = hardware};
}

/// As a host of many containers has them: lo, two cards, and `count` of containers between these.
std::vector<Interface> crowd(unsigned count) {
    std::vector<Interface> interfaces{interface("lo", 1, "127.0.0.1/8")};
    for (unsigned i = 0; i < count; ++i)
        interfaces.push_back(interface("veth" + std::to_string(i), 10 + i,
                                       ("10.1." + std::to_string(i % 250) + ".1/24").c_str()));
    interfaces.push_back(interface("eth0", 900, "192.0.2.7/24", true));
    interfaces.push_back(interface("ib0", 901, "198.51.100.7/24", true));
    return interfaces;
}

bool uses(const DeviceChoice& choice, const std::string& name) {
    return std::count(choice.used.begin(), choice.used.end(), name) == 1;
}

TEST(IpNetwork, IsReadAndWritten) {
    for (const char* text : {"192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::1", "2001:db8::/32"})
        EXPECT_EQ(network(text).text(), text);
    for (const char* text : {"", "eth0", "192.0.2", "192.0.2.7/", "192.0.2.7/33", "192.0.2.7/x",
                             "192.0.2.7/8 ", "::1/129", "192.0.2.256", "/8", "2001:db8::/-1"})
        EXPECT_FALSE(IpNetwork::parse(text)) << text;
}

TEST(IpNetwork, ContainsWhatIsInIt) {
    EXPECT_TRUE(network("192.0.2.0/24").contains(network("192.0.2.255")));
    EXPECT_FALSE(network("192.0.2.0/24").contains(network("192.0.3.0")));
    EXPECT_TRUE(network("10.128.0.0/9").contains(network("10.255.1.1")));
    EXPECT_FALSE(network("10.128.0.0/9").contains(network("10.127.1.1")));
    EXPECT_TRUE(network("192.0.2.7").contains(network("192.0.2.7")));
    EXPECT_FALSE(network("192.0.2.7").contains(network("192.0.2.6")));
    EXPECT_TRUE(network("0.0.0.0/0").contains(network("1.2.3.4")));
    EXPECT_FALSE(network("0.0.0.0/0").contains(network("::1")));
    EXPECT_TRUE(network("2001:db8::/32").contains(network("2001:db8:1::2")));
    EXPECT_FALSE(network("2001:db8::/32").contains(network("2001:db9::2")));
}

TEST(IpNetwork, IsTakenFromTheKernelsForm) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(0xc0000207);
    EXPECT_EQ(IpNetwork::of(reinterpret_cast<sockaddr*>(&in))->text(), "192.0.2.7");
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    ASSERT_EQ(::inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr), 1);
    EXPECT_EQ(IpNetwork::of(reinterpret_cast<sockaddr*>(&in6))->text(), "192.0.2.7");
    ASSERT_EQ(::inet_pton(AF_INET6, "2001:db8::7", &in6.sin6_addr), 1);
    EXPECT_EQ(IpNetwork::of(reinterpret_cast<sockaddr*>(&in6))->text(), "2001:db8::7");
    sockaddr other{};
    other.sa_family = AF_UNIX;
    EXPECT_FALSE(IpNetwork::of(&other));
    EXPECT_FALSE(IpNetwork::of(nullptr));
}

TEST(Devices, AreLeftToUcxWhereTheyAreFew) {
    const DeviceChoice choice = choose_devices(crowd(tcp_devices_max - 3), {});
    EXPECT_TRUE(choice.all);
    EXPECT_TRUE(choice.left_out.empty());
}

TEST(Devices, AreBoundedWhereTheyAreMany) {
    for (const unsigned count : {unsigned{tcp_devices_max} - 2, 124u, 1000u}) {
        const DeviceChoice choice = choose_devices(crowd(count), {});
        EXPECT_FALSE(choice.all);
        EXPECT_EQ(choice.used.size(), tcp_devices_max);
        EXPECT_EQ(choice.used.size() + choice.left_out.size(), count + 3);
        for (const char* name : {"lo", "eth0", "ib0"})
            EXPECT_TRUE(uses(choice, name)) << name;
    }
}

TEST(Devices, TowardsPeersGoFirst) {
    const DeviceChoice choice = choose_devices(crowd(200), {.towards = {network("10.1.199.77")}});
    EXPECT_TRUE(uses(choice, "veth199"));
    EXPECT_TRUE(uses(choice, "eth0"));
}

TEST(Devices, LinkLocalOnesGoLast) {
    std::vector<Interface> interfaces{interface("usb0", 2, "169.254.3.1/24")};
    for (unsigned i = 0; i < tcp_devices_max; ++i)
        interfaces.push_back(interface("eth" + std::to_string(i), 10 + i, "192.0.2.7/24"));
    EXPECT_EQ(choose_devices(interfaces, {}).left_out, std::vector<std::string>{"usb0"});
}

TEST(Devices, AreLeftOutByNameAddressAndNetwork) {
    std::vector<Interface> interfaces = crowd(0);
    interfaces.push_back(interface("docker0", 5, "172.17.0.1/16"));
    for (const char* named : {"docker0", "172.17.0.1", "172.17.0.0/16"}) {
        const DeviceChoice choice = choose_devices(interfaces, {.leave_out = {named}});
        EXPECT_FALSE(choice.all);
        EXPECT_EQ(choice.left_out, std::vector<std::string>{"docker0"}) << named;
        EXPECT_EQ(choice.used.size(), 3u);
    }
    EXPECT_TRUE(choose_devices(interfaces, {.leave_out = {"docker1", "172.17.0.2"}}).all);
}

TEST(Devices, WithACommaInTheirNamesCannotBeListed) {
    std::vector<Interface> interfaces = crowd(0);
    interfaces.push_back(interface("a,b", 5, "10.2.0.1/16", true));
    EXPECT_TRUE(choose_devices(interfaces, {}).all) << "no list is made";
    const DeviceChoice choice = choose_devices(interfaces, {.leave_out = {"ib0"}});
    EXPECT_EQ(choice.left_out, (std::vector<std::string>{"ib0", "a,b"}));
    EXPECT_EQ(net_devices(choice, {}), "lo,eth0");
    std::vector<Interface> many = crowd(tcp_devices_max);
    many.push_back(interface("a,b", 5, "10.2.0.1/16", true));
    EXPECT_FALSE(uses(choose_devices(many, {}), "a,b"));
    EXPECT_EQ(choose_devices(many, {}).used.size(), tcp_devices_max);
}

TEST(Devices, AreListedAsUcxTakesThem) {
    const DeviceChoice few{.all = false, .used = {"lo", "eth0"}, .left_out = {"docker0"}};
    EXPECT_EQ(net_devices(few, {}), "lo,eth0");
    EXPECT_EQ(net_devices(few, {"mlx5_0:1"}), "lo,eth0,mlx5_0:1");
    EXPECT_EQ(net_devices({.all = false, .used = {}, .left_out = {"eth0"}}, {}), "lo");
    const std::string many = net_devices(few, std::vector<std::string>(200, "mlx5_0:1"));
    EXPECT_EQ(std::count(many.begin(), many.end(), ',') + 1, static_cast<std::ptrdiff_t>(listed_devices_max));
}

TEST(Devices, OfThisHostIncludeLoopback) {
    const auto interfaces = usable_interfaces();
    ASSERT_TRUE(interfaces) << interfaces.error().message();
    const auto lo = std::find_if(interfaces->begin(), interfaces->end(),
                                 [](const Interface& one) { return one.loopback; });
    ASSERT_NE(lo, interfaces->end());
    EXPECT_TRUE(lo->addresses.at(0).is_loopback());
    EXPECT_EQ(lo->addresses.at(0).prefix_bits, 8);
}

}  // namespace
}  // namespace ddict::ucx
