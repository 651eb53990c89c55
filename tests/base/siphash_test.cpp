// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/siphash.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ddict {
namespace {

SipHash::Key counting_key() {
    SipHash::Key key;
    for (std::size_t i = 0; i < key.size(); ++i)
        key[i] = static_cast<std::byte>(i);
    return key;
}

std::string tag_text(Bytes message) {
    const SipHash::Tag tag = SipHash(counting_key()).add(message).finish();
    std::string text;
    for (const std::byte b : tag) {
        text += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
        text += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
    }
    return text;
}

/// The first of the published vectors: the key 00 01 ... 0f, messages of no byte and of the byte 00.
TEST(SipHash, PublishedVectors) {
    EXPECT_EQ(tag_text({}), "a3817f04ba25a8e66df67214c7550293");
    const std::byte zero{0};
    EXPECT_EQ(tag_text({&zero, 1}), "da87c1d86b99af44347659119b22fc45");
}

TEST(SipHash, PiecesMakeOneMessage) {
    std::vector<std::byte> message(100);
    for (std::size_t i = 0; i < message.size(); ++i)
        message[i] = static_cast<std::byte>(i * 7);
    const SipHash::Tag whole = SipHash(counting_key()).add(message).finish();
    for (std::size_t cut = 0; cut <= message.size(); ++cut) {
        const Bytes all(message);
        EXPECT_EQ(SipHash(counting_key()).add(all.first(cut)).add(all.subspan(cut)).finish(), whole) << cut;
    }
}

TEST(SipHash, EveryBitOfKeyAndMessageCounts) {
    std::vector<std::byte> message(70, std::byte{5});
    SipHash::Key key = counting_key();
    const SipHash::Tag right = SipHash(key).add(message).finish();
    EXPECT_TRUE(equal_in_constant_time(right, right));
    for (std::size_t bit = 0; bit < 8 * message.size(); ++bit) {
        message[bit / 8] ^= std::byte{1} << (bit % 8);
        EXPECT_FALSE(equal_in_constant_time(SipHash(key).add(message).finish(), right)) << bit;
        message[bit / 8] ^= std::byte{1} << (bit % 8);
    }
    for (std::size_t bit = 0; bit < 8 * key.size(); ++bit) {
        key[bit / 8] ^= std::byte{1} << (bit % 8);
        EXPECT_FALSE(equal_in_constant_time(SipHash(key).add(message).finish(), right)) << bit;
        key[bit / 8] ^= std::byte{1} << (bit % 8);
    }
}

}  // namespace
}  // namespace ddict
