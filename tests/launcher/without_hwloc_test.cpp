// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A ddict that is built without hwloc: it says so before anything is started. Linked with
// launcher/no_topology.cpp in the place of what asks hwloc.
#include <gtest/gtest.h>

#include "launcher/options.h"
#include "launcher/topology.h"

namespace ddict::launcher {
namespace {

TEST(WithoutHwloc, ToBindIsRefusedAtTheStart) {
    EXPECT_FALSE(can_find_domains());
    for (const char* const bind : {"numa", "core"}) {
        const auto by_option = parse_options({"--bind", bind, "--", "x"}, {});
        ASSERT_FALSE(by_option);
        EXPECT_TRUE(std::string(by_option.error().detail.data()).starts_with("--bind"));
        EXPECT_NE(by_option.error().message().find("built without hwloc"), std::string::npos);
        const auto by_variable = parse_options({"start"}, {{"DDICT_BIND", bind}});
        ASSERT_FALSE(by_variable);
        EXPECT_TRUE(std::string(by_variable.error().detail.data()).starts_with("DDICT_BIND"));
    }
    EXPECT_TRUE(parse_options({"--bind", "none", "--", "x"}, {}));
    EXPECT_TRUE(parse_options({"stop"}, {{"DDICT_BIND", "numa"}})) << "nothing is to be bound";
}

/// On a node that has another build than the one where it was started.
TEST(WithoutHwloc, NodesThatHaveNoneSaySo) {
    EXPECT_TRUE(find_places(Bind::none, 2).value().empty());
    const auto places = find_places(Bind::numa, 2);
    ASSERT_FALSE(places);
    EXPECT_NE(places.error().message().find("built without hwloc"), std::string::npos);
}

}  // namespace
}  // namespace ddict::launcher
