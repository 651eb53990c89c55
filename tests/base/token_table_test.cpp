// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "base/token_table.h"

namespace ddict {
namespace {

TEST(TokenTable, ATokenIsGoodForOnce) {
    TokenTable<std::string> table(4);
    const std::uint64_t token = table.add("one");
    ASSERT_NE(token, 0U);
    ASSERT_NE(table.find(token), nullptr);
    EXPECT_EQ(*table.find(token), "one");
    EXPECT_EQ(table.take(token), "one");
    EXPECT_EQ(table.find(token), nullptr);
    EXPECT_EQ(table.take(token), std::nullopt);
    EXPECT_EQ(table.size(), 0U);
}

TEST(TokenTable, TokensAreNotUsedAgain) {
    TokenTable<int> table(2);
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t token = table.add(i);
        EXPECT_TRUE(seen.insert(token).second) << token;
        EXPECT_EQ(table.take(token), i);
    }
}

TEST(TokenTable, WhatIsMadeUpFindsNothing) {
    TokenTable<int> table(2);
    const std::uint64_t token = table.add(7);
    for (const std::uint64_t wrong :
         {std::uint64_t{0}, token + 1, token - 1, token + (std::uint64_t{1} << 32), ~std::uint64_t{0},
          std::uint64_t{1} << 32})
        EXPECT_EQ(table.find(wrong), nullptr) << wrong;
    EXPECT_EQ(table.take(token), 7);
}

TEST(TokenTable, IsFullAtItsSize) {
    TokenTable<std::unique_ptr<int>> table(2);
    const std::uint64_t first = table.add(std::make_unique<int>(1));
    EXPECT_NE(table.add(std::make_unique<int>(2)), 0U);
    EXPECT_EQ(table.add(std::make_unique<int>(3)), 0U);
    EXPECT_EQ(table.size(), 2U);
    EXPECT_EQ(**table.take(first), 1);
    EXPECT_NE(table.add(std::make_unique<int>(4)), 0U);
    int sum = 0;
    table.for_each([&](std::uint64_t token, const std::unique_ptr<int>& thing) {
        EXPECT_EQ(table.find(token), &thing);
        sum += *thing;
    });
    EXPECT_EQ(sum, 6);
    while (table.take_any()) {
    }
    EXPECT_EQ(table.size(), 0U);
}

}  // namespace
}  // namespace ddict
