// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "transport/address.h"

#include "base/hash.h"
#include "base/limits.h"

namespace ddict::transport {
namespace {

constexpr std::uint32_t magic = 0x6161'6464;  // "ddaa"

}  // namespace

std::vector<std::byte> pack(const Address& address) {
    std::vector<std::byte> content;
    Packer(content).put(address.name).put_text(address.path).put_bytes(address.ucx);
    std::vector<std::byte> packed;
    Packer(packed).put(magic).put(static_cast<std::uint32_t>(hash_of(content)));
    packed.insert(packed.end(), content.begin(), content.end());
    return packed;
}

Result<Address> unpack(Bytes packed) {
    Unpacker in(packed);
    const auto begins_with = in.take<std::uint32_t>();
    const auto checksum = in.take<std::uint32_t>();
    const Bytes content = in.rest();
    Address address;
    address.name = in.take<samehost::LinkName>();
    address.path = in.take_text();
    address.ucx = in.take_bytes();
    if (!in.good() || !in.rest().empty() || begins_with != magic ||
        packed.size() > limits::address_bytes_max || checksum != static_cast<std::uint32_t>(hash_of(content)))
        return Error(Errc::bad_handle, "the address of the peer is damaged");
    return address;
}

}  // namespace ddict::transport
