// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "core/wire.h"

namespace ddict::wire {

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
