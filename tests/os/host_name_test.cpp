// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/host_name.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace ddict::os {
namespace {

TEST(HostNameTest, TheLongestNameOfTheKernelIsWhole) {
    const std::string longest(64, 'h');
    EXPECT_EQ(presentable_host_name(longest), longest);
    const std::string qualified = "ip-172-31-100-200.ap-southeast-2.compute.internal";
    EXPECT_EQ(presentable_host_name(qualified), qualified);
    EXPECT_EQ(presentable_host_name(std::string(200, 'h')).size(), limits::node_name_bytes_max);
}

TEST(HostNameTest, WhatWouldSpoilALineOrAPathIsReplaced) {
    EXPECT_EQ(presentable_host_name("a/b\nc\x1b[2J d\xff"), "a_b_c__2J_d_");
    EXPECT_EQ(presentable_host_name("Node-1.example_x"), "Node-1.example_x");
    EXPECT_EQ(presentable_host_name(""), "?");
}

TEST(HostNameTest, OfThisHost) {
    EXPECT_FALSE(host_name().empty());
    EXPECT_NE(host_name(), "?");
}

}  // namespace
}  // namespace ddict::os
