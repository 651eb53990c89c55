// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace ddict {
namespace {

std::vector<std::byte> packed_record() {
    std::vector<std::byte> out;
    Packer(out)
        .put(std::uint8_t{1})
        .put(std::uint64_t{0x0123456789abcdef})
        .put_text("text")
        .put_bytes({})
        .put(std::int16_t{-2});
    return out;
}

TEST(Packer, WritesLittleEndianWithoutPadding) {
    const std::vector<std::byte> out = packed_record();
    ASSERT_EQ(out.size(), 1u + 8 + 4 + 4 + 4 + 2);
    EXPECT_EQ(out[1], std::byte{0xef});
    EXPECT_EQ(out[8], std::byte{0x01});
    EXPECT_EQ(out[9], std::byte{4});
}

TEST(Unpacker, ReadsBackWhatWasPacked) {
    const std::vector<std::byte> packed = packed_record();
    Unpacker in(packed);
    EXPECT_EQ(in.take<std::uint8_t>(), 1);
    EXPECT_EQ(in.take<std::uint64_t>(), 0x0123456789abcdefu);
    EXPECT_EQ(in.take_text(), "text");
    EXPECT_TRUE(in.take_bytes().empty());
    EXPECT_FALSE(in.at_end());
    EXPECT_EQ(in.rest().size(), 2u);
    EXPECT_EQ(in.take<std::int16_t>(), -2);
    EXPECT_TRUE(in.good());
    EXPECT_TRUE(in.at_end());
}

TEST(Unpacker, IsBadWhateverIsMissing) {
    const std::vector<std::byte> packed = packed_record();
    for (std::size_t size = 0; size < packed.size(); ++size) {
        // A copy of exactly this size, so that asan sees a read beyond it.
        const std::vector<std::byte> cut(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
        Unpacker in(cut);
        in.take<std::uint8_t>();
        in.take<std::uint64_t>();
        in.take_text();
        in.take_bytes();
        in.take<std::int16_t>();
        EXPECT_FALSE(in.good()) << size;
    }
}

TEST(Unpacker, StaysBadAndYieldsZeros) {
    const std::vector<std::byte> one(1, std::byte{0xff});
    Unpacker in(one);
    EXPECT_EQ(in.take<std::uint32_t>(), 0u);
    EXPECT_FALSE(in.good());
    EXPECT_EQ(in.take<std::uint8_t>(), 0) << "what is left is not to be had any more";
    EXPECT_TRUE(in.take_text().empty());
    EXPECT_FALSE(in.good());
}

TEST(Unpacker, ALengthBeyondTheEndIsBad) {
    for (const std::uint32_t length : {5u, 0x7fffffffu, 0xffffffffu}) {
        std::vector<std::byte> out;
        Packer(out).put(length).put(std::uint32_t{0});
        Unpacker in(out);
        EXPECT_TRUE(in.take_bytes().empty());
        EXPECT_FALSE(in.good());
    }
}

TEST(Unpacker, TakeRawOfNothingAtTheEndIsGood) {
    Unpacker in(Bytes{});
    EXPECT_TRUE(in.take_raw(0).empty());
    EXPECT_TRUE(in.good());
}

}  // namespace
}  // namespace ddict
