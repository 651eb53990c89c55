// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/slot_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace ddict {
namespace {

TEST(SlotTable, GivesNumbersAgainAndKeepsThingsWhereTheyAre) {
    SlotTable<std::unique_ptr<std::string>> table;
    EXPECT_FALSE(table.holds(0));
    const std::uint32_t a = table.add(std::make_unique<std::string>("a"));
    const std::unique_ptr<std::string>* where = &table[a];
    const std::uint32_t b = table.add(std::make_unique<std::string>("b"));
    for (int i = 0; i < 100; ++i)
        table.add(nullptr);
    EXPECT_EQ(&table[a], where);
    EXPECT_EQ(table.size(), 102u);
    EXPECT_EQ(*table.remove(b), "b");
    EXPECT_FALSE(table.holds(b));
    EXPECT_EQ(table.size(), 101u);
    EXPECT_EQ(table.add(std::make_unique<std::string>("c")), b);
    EXPECT_EQ(*table[b], "c");
    EXPECT_EQ(*table[a], "a");
    EXPECT_FALSE(table.holds(1000));
}

}  // namespace
}  // namespace ddict
