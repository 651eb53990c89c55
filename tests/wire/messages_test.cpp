// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/messages.h"

#include <gtest/gtest.h>

#include "base/secret.h"
#include "rpc/requester.h"

namespace ddict::wire {
namespace {

std::vector<std::byte> packed_hello(std::size_t address_bytes) {
    static std::vector<std::byte> address;
    address.assign(address_bytes, std::byte{7});
    Hello hello;
    hello.dictionary_id = 11;
    hello.proof.fill(std::byte{3});
    hello.ucx_version = 1 << 16 | 13;
    hello.process = {.host_key = 5, .pid = 42, .pid_namespace = 0, .start_time = 9};
    hello.address = address;
    std::vector<std::byte> out;
    pack(hello, out);
    return out;
}

TEST(Hello, RoundTrip) {
    const std::vector<std::byte> packed = packed_hello(100);
    Hello hello;
    ASSERT_TRUE(unpack(packed, hello));
    EXPECT_EQ(hello.dictionary_id, 11u);
    EXPECT_EQ(hello.proof[15], std::byte{3});
    EXPECT_EQ(hello.ucx_version, 1u << 16 | 13);
    EXPECT_EQ(hello.process.pid, 42);
    EXPECT_EQ(hello.address.size(), 100u);
}

TEST(Hello, TruncatedLengthenedOrWithoutAddressIsNone) {
    std::vector<std::byte> packed = packed_hello(100);
    Hello hello;
    for (std::size_t size = 0; size < packed.size(); ++size) {
        const std::vector<std::byte> cut(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(unpack(cut, hello)) << size;
    }
    packed.push_back(std::byte{0});
    EXPECT_FALSE(unpack(packed, hello));
    EXPECT_FALSE(unpack(packed_hello(0), hello));
    EXPECT_TRUE(unpack(packed_hello(limits::address_bytes_max), hello));
    EXPECT_FALSE(unpack(packed_hello(limits::address_bytes_max + 1), hello));
}

/// Nobody who does not know the secret can make one, or change anything of one that was made.
TEST(Hello, TheProofCoversAllOfIt) {
    Secret secret{};
    secret[7] = std::byte{9};
    RequestHeader header;
    header.verb = Verb::hello;
    header.request = 77;
    const std::string address = "an address";
    const Hello made{.dictionary_id = 11,
                     .proof = {},
                     .ucx_version = 1 << 16 | 13,
                     .process = {.host_key = 5, .pid = 42, .pid_namespace = 0, .start_time = 9},
                     .address = bytes_of(address)};
    const std::vector<std::byte> packed = pack_proven(secret, header, made);
    EXPECT_EQ(header.value_bytes, packed.size());
    unsigned readable = 0;
    for (std::size_t bit = 0; bit < 8 * packed.size(); ++bit) {
        std::vector<std::byte> changed = packed;
        changed[bit / 8] ^= std::byte{1} << (bit % 8);
        Hello hello;
        if (!unpack(changed, hello)) continue;  // the length of the address
        ++readable;
        EXPECT_NE(proof_of(secret, header, hello), hello.proof) << "bit " << bit;
    }
    EXPECT_EQ(readable, 8 * (packed.size() - sizeof(std::uint32_t)));

    Hello hello;
    ASSERT_TRUE(unpack(packed, hello));
    EXPECT_EQ(proof_of(secret, header, hello), hello.proof);
    EXPECT_EQ(text_of(packed).find(text_of(secret)), std::string_view::npos) << "it does not tell the secret";
    for (const auto& change :
         {+[](RequestHeader& h) { h.verb = Verb::goodbye; }, +[](RequestHeader& h) { ++h.session; },
          +[](RequestHeader& h) { ++h.request; }}) {
        RequestHeader other = header;
        change(other);
        EXPECT_NE(proof_of(secret, other, hello), hello.proof);
    }
    secret[0] ^= std::byte{1};
    EXPECT_NE(proof_of(secret, header, hello), hello.proof);
}

/// A hello travels in one piece, whatever the address.
TEST(Hello, TheLongestOneFitsIntoAMessage) {
    EXPECT_LE(sizeof(RequestHeader) + packed_hello(limits::address_bytes_max).size(),
              limits::header_bytes_max);
}

TEST(Verbs, EachStandsForAnOperation) {
    for (std::uint8_t verb = 1; verb <= verb_last; ++verb)
        EXPECT_NE(operation_of(static_cast<Verb>(verb)), Operation::none) << int{verb};
    EXPECT_EQ(operation_of(static_cast<Verb>(verb_last + 1)), Operation::none);
    EXPECT_LT(verb_last, reply_bit);
}

TEST(Limits, MessagesWithTheLongestKeyFit) {
    EXPECT_LE(sizeof(RequestHeader) + limits::key_bytes_max + limits::inline_value_bytes_max,
              limits::header_bytes_max);
    EXPECT_LE(sizeof(RequestHeader), 64u) << "the header of a message with a payload";
}

}  // namespace
}  // namespace ddict::wire
