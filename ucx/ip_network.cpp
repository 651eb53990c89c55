// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/ip_network.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ddict::ucx {
namespace {

constexpr std::array<std::uint8_t, 12> v4_in_v6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::optional<IpNetwork> IpNetwork::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string address(text.substr(0, slash));
    IpNetwork network;
    network.v6 = address.find(':') != std::string::npos;
    if (::inet_pton(network.v6 ? AF_INET6 : AF_INET, address.c_str(), network.bytes.data()) != 1)
        return std::nullopt;
    network.prefix_bits = static_cast<std::uint8_t>(network.bits_max());
    if (slash == std::string_view::npos) return network;
    const std::string_view length = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
    if (length.empty() || error != std::errc{} || end != length.data() + length.size() ||
        bits > network.bits_max())
        return std::nullopt;
    network.prefix_bits = static_cast<std::uint8_t>(bits);
    return network;
}

std::optional<IpNetwork> IpNetwork::of(const sockaddr* address) {
    if (address == nullptr) return std::nullopt;
    IpNetwork network;
    if (address->sa_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, address, sizeof in);
        std::memcpy(network.bytes.data(), &in.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, address, sizeof in);
        const std::uint8_t* bytes = in.sin6_addr.s6_addr;
        network.v6 = !std::equal(v4_in_v6.begin(), v4_in_v6.end(), bytes);
        std::memcpy(network.bytes.data(), network.v6 ? bytes : bytes + v4_in_v6.size(), network.v6 ? 16 : 4);
    } else {
        return std::nullopt;
    }
    network.prefix_bits = static_cast<std::uint8_t>(network.bits_max());
    return network;
}

std::string IpNetwork::text() const {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    ::inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), buffer.data(), buffer.size());
    std::string result = buffer.data();
    if (prefix_bits != bits_max()) result += '/' + std::to_string(prefix_bits);
    return result;
}

bool IpNetwork::contains(const IpNetwork& other) const noexcept {
    if (v6 != other.v6) return false;
    const std::size_t whole = prefix_bits / 8u;
    if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(whole), other.bytes.begin()))
        return false;
    const unsigned rest = prefix_bits % 8u;
    if (rest == 0) return true;
    return (bytes[whole] ^ other.bytes[whole]) >> (8 - rest) == 0;
}

bool IpNetwork::is_loopback() const noexcept {
    static constexpr std::array<std::uint8_t, 16> v6_loopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return v6 ? bytes == v6_loopback : bytes[0] == 127;
}

bool IpNetwork::is_link_local() const noexcept {
    return v6 ? bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80 : bytes[0] == 169 && bytes[1] == 254;
}

}  // namespace ddict::ucx
