// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/items.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

namespace ddict::wire {
namespace {

TEST(Batch, Keys) {
    std::array<std::byte, 64> buffer;
    ItemWriter writer(buffer);
    ASSERT_TRUE(writer.key(bytes_of("one")) && writer.key(bytes_of("seven")));
    EXPECT_EQ(writer.written().size(), packed_key_bytes(3) + packed_key_bytes(5));
    ItemReader reader(writer.written());
    KeyBytes key;
    ASSERT_TRUE(reader.key(key));
    EXPECT_EQ(text_of(key), "one");
    ASSERT_TRUE(reader.key(key));
    EXPECT_EQ(text_of(key), "seven");
    EXPECT_TRUE(reader.at_end());
    EXPECT_FALSE(reader.key(key));
}

TEST(Batch, Pairs) {
    std::array<std::byte, 64> buffer;
    ItemWriter writer(buffer);
    ASSERT_TRUE(writer.pair(bytes_of("k"), 7, bytes_of("value")));
    ASSERT_TRUE(writer.pair(bytes_of("empty"), 8, {}));
    ASSERT_TRUE(writer.pair_to_ask_alone(bytes_of("large"), 9));
    ItemReader reader(writer.written());
    PackedPair pair;
    ASSERT_TRUE(reader.pair(pair));
    EXPECT_EQ(text_of(pair.key), "k");
    EXPECT_EQ(text_of(pair.value), "value");
    EXPECT_EQ(pair.value_type, 7);
    EXPECT_FALSE(pair.ask_alone);
    ASSERT_TRUE(reader.pair(pair));
    EXPECT_EQ(text_of(pair.key), "empty");
    EXPECT_TRUE(pair.value.empty());
    EXPECT_FALSE(pair.ask_alone);
    ASSERT_TRUE(reader.pair(pair));
    EXPECT_EQ(text_of(pair.key), "large");
    EXPECT_EQ(pair.value_type, 9);
    EXPECT_TRUE(pair.ask_alone);
    EXPECT_TRUE(reader.at_end());
}

TEST(Batch, KeysHaveTheirTypes) {
    std::array<std::byte, 64> buffer;
    ItemWriter keys(buffer);
    ASSERT_TRUE(keys.key({bytes_of("12345678"), 0x0113}) && keys.key(bytes_of("12345678")));
    ItemReader keys_again(keys.written());
    KeyBytes key;
    ASSERT_TRUE(keys_again.key(key));
    EXPECT_EQ(key, KeyBytes(bytes_of("12345678"), 0x0113));
    ASSERT_TRUE(keys_again.key(key));
    EXPECT_EQ(key, KeyBytes(bytes_of("12345678"), type_text));
    ItemWriter pairs(buffer);
    ASSERT_TRUE(pairs.pair({bytes_of("k"), 0x8007}, 7, bytes_of("value")));
    ItemReader pairs_again(pairs.written());
    PackedPair pair;
    ASSERT_TRUE(pairs_again.pair(pair));
    EXPECT_EQ(pair.key, KeyBytes(bytes_of("k"), 0x8007));
    EXPECT_FALSE(pair.placement.is_by_hand());
}

TEST(Batch, PairsSayWhatTheirKeysWerePlacedBy) {
    std::array<std::byte, 64> buffer;
    ItemWriter writer(buffer);
    const KeyPlacement hash{.by = PlacedBy::hash, .value = 0xfedc'ba98'7654'3210};
    const KeyPlacement number{.by = PlacedBy::number, .value = 5};
    ASSERT_TRUE(writer.pair(bytes_of("k"), 7, bytes_of("value"), hash));
    ASSERT_TRUE(writer.pair(bytes_of("l"), 7, bytes_of("v"), number));
    ASSERT_TRUE(writer.pair(bytes_of("m"), 7, bytes_of("w")));
    EXPECT_EQ(writer.written().size(), packed_pair_bytes(1, 5, PlacedBy::hash) +
                                           packed_pair_bytes(1, 1, PlacedBy::number) +
                                           packed_pair_bytes(1, 1));
    ItemReader reader(writer.written());
    PackedPair pair;
    ASSERT_TRUE(reader.pair(pair));
    EXPECT_EQ(text_of(pair.key), "k");
    EXPECT_EQ(text_of(pair.value), "value");
    EXPECT_EQ(pair.placement, hash);
    ASSERT_TRUE(reader.pair(pair));
    EXPECT_EQ(text_of(pair.key), "l");
    EXPECT_EQ(pair.placement, number);
    ASSERT_TRUE(reader.pair(pair));
    EXPECT_EQ(pair.placement, KeyPlacement{});
    EXPECT_TRUE(reader.at_end());
    buffer[1] |= std::byte{0xc0};  // placed by neither
    EXPECT_FALSE(ItemReader(writer.written()).pair(pair));
}

TEST(Batch, AValueAboveTheLimitOfItemsIsNone) {
    std::vector<std::byte> buffer(2 * limits::batch_bytes_max);
    ItemWriter writer(buffer);
    EXPECT_FALSE(writer.pair(bytes_of("k"), 0, std::vector<std::byte>(item_value_bytes_max + 1)));
    ASSERT_TRUE(writer.pair(bytes_of("k"), 0, std::vector<std::byte>(item_value_bytes_max)));
    PackedPair pair;
    ItemReader reader(writer.written());
    ASSERT_TRUE(reader.pair(pair));
    EXPECT_EQ(pair.value.size(), item_value_bytes_max);
    EXPECT_FALSE(pair.ask_alone);
}

TEST(Batch, Results) {
    std::array<std::byte, 64> buffer;
    ItemWriter writer(buffer);
    ASSERT_TRUE(writer.result(0, 3, bytes_of("value")));
    ASSERT_TRUE(writer.result(static_cast<std::uint16_t>(Errc::not_found)));
    ASSERT_TRUE(writer.result(status_ask_alone, 5));
    ASSERT_TRUE(writer.status(12));
    ItemReader reader(writer.written());
    PackedResult result;
    ASSERT_TRUE(reader.result(result));
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.value_type, 3);
    EXPECT_EQ(text_of(result.value), "value");
    ASSERT_TRUE(reader.result(result));
    EXPECT_EQ(static_cast<Errc>(result.status), Errc::not_found);
    EXPECT_TRUE(result.value.empty());
    ASSERT_TRUE(reader.result(result));
    EXPECT_EQ(result.status, status_ask_alone);
    std::uint16_t status = 0;
    ASSERT_TRUE(reader.status(status));
    EXPECT_EQ(status, 12);
    EXPECT_TRUE(reader.at_end());
}

/// Each in exactly the space it needs, and in one byte less.
TEST(Batch, WhatDoesNotFitIsNotBegun) {
    const KeyBytes key = bytes_of("key");
    const Bytes value = bytes_of("value");
    std::array<std::byte, 64> buffer;
    buffer.fill(std::byte{0x5a});
    const auto expect_needs = [&](std::size_t bytes, const auto& write) {
        ItemWriter tight(MutableBytes(buffer).first(bytes - 1));
        EXPECT_FALSE(write(tight)) << bytes;
        EXPECT_TRUE(tight.written().empty());
        EXPECT_EQ(buffer[0], std::byte{0x5a});
        ItemWriter exact(MutableBytes(buffer).first(bytes));
        EXPECT_TRUE(write(exact)) << bytes;
        EXPECT_EQ(exact.left(), 0u);
        EXPECT_EQ(buffer[bytes], std::byte{0x5a});
        buffer.fill(std::byte{0x5a});
    };
    expect_needs(packed_key_bytes(3), [&](ItemWriter& w) { return w.key(key); });
    expect_needs(packed_pair_bytes(3, 5), [&](ItemWriter& w) { return w.pair(key, 1, value); });
    expect_needs(packed_pair_bytes(3, 5, PlacedBy::hash),
                 [&](ItemWriter& w) { return w.pair(key, 1, value, {.by = PlacedBy::hash, .value = 2}); });
    expect_needs(packed_pair_bytes(3, 0), [&](ItemWriter& w) { return w.pair_to_ask_alone(key, 1); });
    expect_needs(packed_result_bytes(5), [&](ItemWriter& w) { return w.result(0, 1, value); });
    expect_needs(packed_result_bytes(0), [&](ItemWriter& w) { return w.result(0, 1); });
    expect_needs(2, [&](ItemWriter& w) { return w.status(1); });
}

TEST(Batch, KeysOutsideTheLimitsAreNone) {
    std::vector<std::byte> buffer(2 * limits::key_bytes_max);
    KeyBytes key;
    PackedPair pair;
    for (const std::size_t size : {std::size_t{0}, limits::key_bytes_max + 1}) {
        const std::string text(size, 'x');
        ItemWriter keys(buffer);
        ASSERT_TRUE(keys.key(bytes_of(text)));
        EXPECT_FALSE(ItemReader(keys.written()).key(key)) << size;
        ItemWriter pairs(buffer);
        ASSERT_TRUE(pairs.pair(bytes_of(text), 0, {}));
        EXPECT_FALSE(ItemReader(pairs.written()).pair(pair)) << size;
    }
    const std::string longest(limits::key_bytes_max, 'x');
    ItemWriter keys(buffer);
    ASSERT_TRUE(keys.key(bytes_of(longest)));
    EXPECT_TRUE(ItemReader(keys.written()).key(key));
}

TEST(Batch, CutItemsAreNone) {
    std::array<std::byte, 64> buffer;
    const auto expect_whole = [&](const auto& write, const auto& read) {
        ItemWriter writer(buffer);
        write(writer);
        for (std::size_t size = 0; size < writer.written().size(); ++size) {
            const std::vector<std::byte> cut(buffer.begin(),
                                             buffer.begin() + static_cast<std::ptrdiff_t>(size));
            ItemReader reader(cut);
            EXPECT_FALSE(read(reader)) << size;
            EXPECT_EQ(reader.at_end(), size == 0);
        }
    };
    expect_whole([](ItemWriter& w) { w.key(bytes_of("key")); },
                 [](ItemReader& r) {
                     KeyBytes key;
                     return r.key(key);
                 });
    expect_whole([](ItemWriter& w) { w.pair(bytes_of("key"), 3, bytes_of("value")); },
                 [](ItemReader& r) {
                     PackedPair pair;
                     return r.pair(pair);
                 });
    expect_whole([](ItemWriter& w) { w.result(0, 3, bytes_of("value")); },
                 [](ItemReader& r) {
                     PackedResult result;
                     return r.result(result);
                 });
}

/// Whatever is read from random bytes lies within them.
TEST(Batch, RandomBytesAreReadWithinTheirBounds) {
    std::mt19937 random(1);
    std::uint64_t read = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::vector<std::byte> bytes(random() % 80);
        for (std::byte& byte : bytes)
            byte = static_cast<std::byte>(random() % 3 == 0 ? random() : random() % 2);
        const auto within = [&](Bytes part) {
            return part.empty() ||
                   (part.data() >= bytes.data() && part.data() + part.size() <= bytes.data() + bytes.size());
        };
        ItemReader pairs(bytes);
        PackedPair pair;
        for (; pairs.pair(pair); ++read)
            ASSERT_TRUE(within(pair.key.bytes()) && within(pair.value) && !pair.key.empty());
        ItemReader results(bytes);
        PackedResult result;
        for (; results.result(result); ++read)
            ASSERT_TRUE(within(result.value));
        ItemReader keys(bytes);
        KeyBytes key;
        for (; keys.key(key); ++read)
            ASSERT_TRUE(within(key.bytes()) && !key.empty());
    }
    EXPECT_GT(read, 1000u);
}

}  // namespace
}  // namespace ddict::wire
