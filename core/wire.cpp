// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "core/wire.h"

namespace ddict::wire {

static_assert(sizeof(Hello::dictionary_id) + sizeof(Secret) + sizeof(Hello::ucx_version) +
                      sizeof(ProcessIdentity) + sizeof(std::uint32_t) + limits::address_bytes_max <=
                  limits::inline_value_bytes_max,
              "managers take the value of a hello only in one piece with the message");

void pack(const Hello& hello, std::vector<std::byte>& out) {
    Packer(out)
        .put(hello.dictionary_id)
        .put(hello.secret)
        .put(hello.ucx_version)
        .put(hello.process)
        .put_bytes(hello.address);
}

bool unpack(Bytes in, Hello& hello) {
    Unpacker reader(in);
    hello.dictionary_id = reader.take<std::uint64_t>();
    hello.secret = reader.take<Secret>();
    hello.ucx_version = reader.take<std::uint32_t>();
    hello.process = reader.take<ProcessIdentity>();
    hello.address = reader.take_bytes();
    return reader.good() && reader.at_end() && !hello.address.empty() &&
           hello.address.size() <= limits::address_bytes_max;
}

}  // namespace ddict::wire
