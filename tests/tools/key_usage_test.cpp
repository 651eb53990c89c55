// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How keys and bytes are added up, against sums made in another way.
#include "tools/key_usage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "tests/base/seed.h"

namespace ddict::tools {
namespace {

KeyBytes text_key(const std::string& text) {
    return {std::as_bytes(std::span(text)), type_text};
}

std::map<std::string, std::uint64_t> bytes_by_prefix(const KeyUsage& usage) {
    std::map<std::string, std::uint64_t> all;
    for (const KeyUsage::Prefix& prefix : usage.prefixes())
        all[prefix.text] = prefix.share.bytes;
    return all;
}

TEST(KeyUsage, KeysAreAddedUpToTheirSeparator) {
    for (const auto& [depth, expected] :
         {std::pair(std::size_t{0}, std::map<std::string, std::uint64_t>{{"", 62}}),
          {1, {{"a/", 51}, {"b/", 10}, {"", 1}}},
          {2, {{"a/", 13}, {"a/b/", 38}, {"b/", 10}, {"", 1}}}}) {
        KeyUsage usage({.depth = depth}, 1);
        usage.add(0, text_key("a/x"), 10);
        usage.add(0, text_key("a/b/x"), 10);
        usage.add(0, text_key("a/b/c/x"), 16);
        usage.add(0, text_key("b/"), 8);
        usage.add(0, text_key("c"), 0);
        EXPECT_EQ(bytes_by_prefix(usage), expected) << depth;
        EXPECT_EQ(usage.all().keys, 5U);
    }
}

TEST(KeyUsage, BehindAPrefixAndByAnotherSeparator) {
    KeyUsage usage({.separator = "::", .depth = 1, .begins = 6}, 1);
    usage.add(0, text_key("run::a1::x"), 10);
    usage.add(0, text_key("run::a2::y"), 20);
    usage.add(0, text_key("run::a3"), 30);
    EXPECT_EQ(bytes_by_prefix(usage),
              (std::map<std::string, std::uint64_t>{{"run::a1::", 20}, {"run::a2::", 30}, {"run::a", 37}}));
}

TEST(KeyUsage, NumbersStandTogetherAndOddBytesAreEscaped) {
    KeyUsage usage({}, 1);
    for (const std::int64_t number : {1, 2, 3}) {
        const AnyKey key(number);
        usage.add(0, key.view(), 1);
    }
    usage.add(0, text_key("\x01/x"), 1);
    const auto all = bytes_by_prefix(usage);
    EXPECT_EQ(all.size(), 2U);
    EXPECT_EQ(all.at("\\int64:"), 27U);
    EXPECT_EQ(all.at("\\x01/"), 4U);
}

TEST(KeyUsage, MemoryIsBoundedAndNothingIsForgotten) {
    KeyUsage usage({.prefixes_max = 100}, 4);
    for (int i = 0; i < 10'000; ++i)
        usage.add(static_cast<std::uint32_t>(i % 4), text_key(std::to_string(i) + "/x"), 100);
    EXPECT_EQ(usage.prefixes().size(), 100U);
    EXPECT_EQ(usage.others().keys, 9'900U);
    EXPECT_EQ(usage.all().keys, 10'000U);
    EXPECT_EQ(usage.largest().size(), 5U);
}

TEST(KeyUsage, AnyKeysAgainstPlainSums) {
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    KeyUsage usage({.depth = 2, .largest = 10}, 3);
    std::map<std::string, std::uint64_t> expected;
    std::vector<std::uint64_t> sizes;
    std::vector<std::uint64_t> of_manager(3);
    for (int i = 0; i < 5'000; ++i) {
        std::string prefix;
        for (auto level = random() % 4; level > 0; --level)
            prefix += std::string(1, static_cast<char>('a' + random() % 3)) + "/";
        const std::string key = prefix + std::to_string(i);
        const std::uint64_t size = random() % 1000;
        const auto manager = static_cast<std::uint32_t>(random() % 3);
        usage.add(manager, text_key(key), size);
        expected[prefix.substr(0, 4)] += key.size() + size;
        of_manager[manager] += key.size() + size;
        sizes.push_back(size);
    }
    EXPECT_EQ(bytes_by_prefix(usage), expected);
    std::sort(sizes.rbegin(), sizes.rend());
    const auto largest = usage.largest();
    ASSERT_EQ(largest.size(), 10U);
    for (std::size_t i = 0; i < largest.size(); ++i)
        EXPECT_EQ(largest[i].bytes, sizes[i]);
    const auto all = std::accumulate(of_manager.begin(), of_manager.end(), std::uint64_t{0});
    EXPECT_EQ(usage.all().bytes, all);
    EXPECT_DOUBLE_EQ(usage.imbalance(),
                     static_cast<double>(*std::max_element(of_manager.begin(), of_manager.end())) /
                         (static_cast<double>(all) / 3));
    const auto prefixes = usage.prefixes();
    EXPECT_TRUE(std::is_sorted(prefixes.begin(), prefixes.end(),
                               [](const auto& a, const auto& b) { return a.share.bytes > b.share.bytes; }));
}

TEST(KeyUsage, OfNothing) {
    const KeyUsage usage({}, 2);
    EXPECT_TRUE(usage.prefixes().empty());
    EXPECT_TRUE(usage.largest().empty());
    EXPECT_EQ(usage.imbalance(), 0);
}

}  // namespace
}  // namespace ddict::tools
