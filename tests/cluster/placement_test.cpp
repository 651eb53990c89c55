// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "base/hash.h"
#include "cluster/placement.h"

namespace ddict {
namespace {

std::uint32_t shard_number(std::uint64_t hash, std::uint32_t managers) {
    return number_of(shard_of(hash, managers));
}
std::uint32_t shard_number(std::uint64_t hash, const KeyPlacement& placement, std::uint32_t managers) {
    return number_of(shard_of(hash, placement, managers));
}

/// Fixed by the protocol version: a change moves every key to another manager.
TEST(Placement, Examples) {
    EXPECT_EQ(hash_of(bytes_of("")), 0x2d06800538d394c2u);
    EXPECT_EQ(hash_of(bytes_of("Hello")), 0x38e23bf5a2a77616u);
    EXPECT_EQ(hash_of(bytes_of("Dragon")), 0x626a3115c2c08467u);
    EXPECT_EQ(hash_of(bytes_of(std::string(1024, 'k'))), 0x686d3de82e988280u);
    EXPECT_EQ(shard_number(hash_of(bytes_of("Hello")), 8), 1u);
    EXPECT_EQ(shard_number(hash_of(bytes_of("Hello")), 10'000), 2222u);
    EXPECT_EQ(shard_number(hash_of(bytes_of("Dragon")), 8), 3u);
}

TEST(Placement, StaysInRange) {
    for (const std::uint32_t managers : {1u, 2u, 3u, 7u, 65'536u}) {
        EXPECT_EQ(shard_number(0, managers), 0u);
        EXPECT_EQ(shard_number(UINT64_MAX, managers), managers - 1);
    }
}

/// A key that was placed by hand lives where that says, on any number of managers.
TEST(Placement, ByHand) {
    for (const std::uint32_t managers : {1u, 2u, 3u, 7u, 64u, 65'536u}) {
        const std::uint64_t hash = 0x4321'8765'0fed'cba9;
        EXPECT_EQ(shard_number(hash, KeyPlacement{}, managers), shard_number(hash, managers));
        const KeyPlacement by_hash{.by = PlacedBy::hash, .value = 0xfedc'ba98'7654'3210};
        EXPECT_EQ(shard_number(hash, by_hash, managers), shard_number(by_hash.value, managers));
        for (const std::uint32_t number : {0u, 1u, 5u, 70'000u, UINT32_MAX}) {
            const KeyPlacement by_number{.by = PlacedBy::number, .value = number};
            EXPECT_EQ(shard_number(hash, by_number, managers), number % managers);
        }
    }
}

/// The hash of a text is that of its bytes; the same bytes of other types are apart, and as even.
TEST(Placement, KeysOfOtherTypesAreSpreadApart) {
    constexpr std::uint32_t managers = 64;
    for (const std::uint16_t type :
         {type_bytes, std::uint16_t{0x0113}, std::uint16_t{0x0123}, std::uint16_t{0x0133}, user_type(7)}) {
        std::vector<double> count(managers);
        std::size_t same = 0;
        constexpr std::size_t keys = 200 * std::size_t{managers};
        for (std::size_t i = 0; i < keys; ++i) {
            const std::string text = "key" + std::to_string(i);
            const std::uint64_t of_text = hash_of(KeyBytes(bytes_of(text)));
            ASSERT_EQ(of_text, hash_of(bytes_of(text)));
            const std::uint64_t hash = hash_of(KeyBytes(bytes_of(text), type));
            ASSERT_NE(hash, of_text);
            ++count[shard_number(hash, managers)];
            same += shard_number(hash, managers) == shard_number(of_text, managers) ? 1u : 0u;
        }
        double chi_squared = 0;
        for (const double c : count)
            chi_squared += (c - 200) * (c - 200) / 200;
        EXPECT_LT(chi_squared, managers + 5 * std::sqrt(2.0 * managers) + 5) << type;
        EXPECT_LT(same, keys / 8) << type;
    }
}

/// Chi-squared over the managers, for keys as people write them.
TEST(Placement, IsEven) {
    for (const std::uint32_t managers : {2u, 7u, 64u, 1000u}) {
        std::vector<double> count(managers);
        const std::size_t keys = 200 * std::size_t{managers};
        for (std::size_t i = 0; i < keys; ++i)
            ++count[shard_number(hash_of(bytes_of("key" + std::to_string(i))), managers)];
        double chi_squared = 0;
        for (const double c : count)
            chi_squared += (c - 200) * (c - 200) / 200;
        const double freedom = managers - 1;
        EXPECT_LT(chi_squared, freedom + 5 * std::sqrt(2 * freedom) + 5) << managers << " managers";
    }
}

/// The keys of one manager must still differ in what its shard looks at: the upper bits of the shard's hash
/// choose the segment of the index, the lower ones the bucket.
TEST(Placement, LeavesTheShardItsBits) {
    constexpr std::uint32_t managers = 65'536;
    std::set<std::uint64_t> upper;
    std::set<std::uint64_t> lower;
    unsigned keys = 0;
    for (std::uint64_t i = 0; keys < 64; ++i) {
        const std::uint64_t hash = hash_of(std::as_bytes(std::span(&i, 1)));
        if (shard_number(hash, managers) >= 64) continue;  // the first of all the managers: upper bits alike
        ++keys;
        upper.insert(shard_hash(hash) >> 48);
        lower.insert(shard_hash(hash) & 0xffff);
    }
    EXPECT_GT(upper.size(), 60u);
    EXPECT_LE(lower.size(), 64u);
}

TEST(Placement, ShardHashKeepsEveryBit) {
    for (int bit = 0; bit < 64; ++bit) {
        const std::uint64_t turned = shard_hash(std::uint64_t{1} << bit);
        EXPECT_EQ(turned, std::uint64_t{1} << ((bit + 16) % 64));
    }
}

}  // namespace
}  // namespace ddict
