// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "core/wire.h"

#include <gtest/gtest.h>

#include "core/requester.h"

namespace ddict::wire {
namespace {

std::vector<std::byte> packed_hello(std::size_t address_bytes) {
    static std::vector<std::byte> address;
    address.assign(address_bytes, std::byte{7});
    Hello hello;
    hello.dictionary_id = 11;
    hello.secret.fill(std::byte{3});
    hello.ucx_version = 1 << 16 | 13;
    hello.process = {.host_key = 5, .pid = 42, .reserved = 0, .start_time = 9};
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
    EXPECT_EQ(hello.secret[15], std::byte{3});
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

/// A greeting travels in one piece, whatever the address.
TEST(Hello, TheLongestOneFitsIntoAMessage) {
    EXPECT_LE(sizeof(RequestHeader) + packed_hello(limits::address_bytes_max).size(), limits::head_bytes_max);
}

TEST(Verbs, EachStandsForAnOperation) {
    for (std::uint8_t verb = 1; verb <= verb_last; ++verb)
        EXPECT_NE(operation_of(static_cast<Verb>(verb)), Operation::none) << int{verb};
    EXPECT_EQ(operation_of(static_cast<Verb>(verb_last + 1)), Operation::none);
    EXPECT_LT(verb_last, reply_bit);
}

TEST(Limits, MessagesWithTheLongestKeyFit) {
    EXPECT_LE(sizeof(RequestHeader) + limits::key_bytes_max + limits::inline_value_bytes_max,
              limits::head_bytes_max);
    EXPECT_LE(sizeof(RequestHeader), 64u) << "the head of a message with a body";
}

}  // namespace
}  // namespace ddict::wire
