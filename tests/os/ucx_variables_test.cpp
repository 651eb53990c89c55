// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/ucx_variables.h"

#include <gtest/gtest.h>

namespace ddict::os {
namespace {

TEST(UcxVariables, OnesOwnCountsBeforeThatOfAll) {
    const Environment environment{
        {"UCX_TLS", "rc"}, {"DDICT_UCX_TLS", "tcp"}, {"UCX_NET_DEVICES", "mlx5_0:1"}};
    const auto own = ucx_variable(environment, "TLS");
    ASSERT_TRUE(own);
    EXPECT_EQ(own->name, "DDICT_UCX_TLS");
    EXPECT_EQ(own->value, "tcp");
    const auto common = ucx_variable(environment, "NET_DEVICES");
    ASSERT_TRUE(common);
    EXPECT_EQ(common->name, "UCX_NET_DEVICES");
    EXPECT_FALSE(ucx_variable(environment, "LOG_LEVEL"));
}

TEST(UcxVariables, AnEmptyOneUndoesThatOfAll) {
    const Environment environment{{"UCX_NET_DEVICES", "mlx5_0:1"}, {"DDICT_UCX_NET_DEVICES", ""}};
    const auto own = ucx_variable(environment, "NET_DEVICES");
    ASSERT_TRUE(own);
    EXPECT_EQ(own->value, "");
    EXPECT_FALSE(chosen_network_devices(environment));
}

TEST(UcxVariables, AllDevicesAreNoChoice) {
    EXPECT_FALSE(chosen_network_devices({}));
    EXPECT_FALSE(chosen_network_devices({{"UCX_NET_DEVICES", "all"}}));
    EXPECT_FALSE(chosen_network_devices({{"DDICT_UCX_NET_DEVICES", "all"}, {"UCX_NET_DEVICES", "eth0"}}));
    EXPECT_EQ(chosen_network_devices({{"UCX_NET_DEVICES", "eth0,lo"}})->value, "eth0,lo");
}

TEST(UcxVariables, OnesOwnAreListed) {
    const auto own = own_ucx_variables({{"DDICT_UCX", "x"},
                                        {"DDICT_UCX_TLS", "tcp"},
                                        {"DDICT_UCX_LOG_LEVEL", "warn"},
                                        {"DDICT_UCY", "x"},
                                        {"UCX_TLS", "rc"}});
    ASSERT_EQ(own.size(), 2u);
    EXPECT_EQ(own[0].option, "LOG_LEVEL");
    EXPECT_EQ(own[1].name, "DDICT_UCX_TLS");
    EXPECT_EQ(own[1].value, "tcp");
}

}  // namespace
}  // namespace ddict::os
