// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/messages.h"
#include "base/secret.h"

namespace ddict::wire {

static_assert(sizeof(Hello::dictionary_id) + sizeof(Proof) + sizeof(Hello::ucx_version) +
                      sizeof(ProcessIdentity) + sizeof(std::uint32_t) + limits::address_bytes_max <=
                  limits::inline_value_bytes_max,
              "managers take the value of a hello only in one piece with the message");

Proof proof_of(const Secret& secret, const RequestHeader& header, const Hello& hello) {
    SipHash hash(secret);
    const auto add = [&hash](const auto& value) { hash.add(std::as_bytes(std::span(&value, 1))); };
    add(header.verb);
    add(header.session);
    add(header.request);
    add(hello.dictionary_id);
    add(hello.ucx_version);
    add(hello.process);
    return hash.add(hello.address).finish();
}

void pack(const Hello& hello, std::vector<std::byte>& out) {
    Packer(out)
        .put(hello.dictionary_id)
        .put(hello.proof)
        .put(hello.ucx_version)
        .put(hello.process)
        .put_bytes(hello.address);
}

std::vector<std::byte> pack_proven(const Secret& secret, RequestHeader& header, Hello hello) {
    hello.proof = proof_of(secret, header, hello);
    std::vector<std::byte> packed;
    pack(hello, packed);
    header.value_bytes = packed.size();
    return packed;
}

bool unpack(Bytes in, Hello& hello) {
    Unpacker reader(in);
    hello.dictionary_id = reader.take<std::uint64_t>();
    hello.proof = reader.take<Proof>();
    hello.ucx_version = reader.take<std::uint32_t>();
    hello.process = reader.take<ProcessIdentity>();
    hello.address = reader.take_bytes();
    return reader.good() && reader.at_end() && !hello.address.empty() &&
           hello.address.size() <= limits::address_bytes_max;
}

}  // namespace ddict::wire
