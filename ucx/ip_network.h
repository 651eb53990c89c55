// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// IP addresses and networks.
#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ddict::ucx {

/// An IPv4 or IPv6 address, or a network of them. Invariant: bits beyond `prefix_bits` are kept as given: an
/// interface's address and the network that it is in are one value.
struct IpNetwork {
    std::array<std::uint8_t, 16> bytes{};  ///< an IPv4 address is in the first four
    std::uint8_t prefix_bits = 0;          ///< 32 or 128 for a single address
    bool v6 = false;

    /// Reads "192.0.2.7", "192.0.2.0/24", "2001:db8::/32"; empty if it is none of these.
    static std::optional<IpNetwork> parse(std::string_view text);
    /// A single address; empty if it is not of IP. An IPv4 address in IPv6's clothes becomes IPv4.
    static std::optional<IpNetwork> of(const sockaddr* address);
    /// As parse() reads it; a single address without its length.
    std::string text() const;

    unsigned bits_max() const noexcept { return v6 ? 128 : 32; }
    /// Whether the address of `other`, whatever its length, is in this network.
    bool contains(const IpNetwork& other) const noexcept;
    /// Not reachable from another host: 127.0.0.0/8, ::1.
    bool is_loopback() const noexcept;
    /// Only within one link, and often the same on many hosts: 169.254.0.0/16, fe80::/10.
    bool is_link_local() const noexcept;

    auto operator<=>(const IpNetwork&) const = default;
};

}  // namespace ddict::ucx
