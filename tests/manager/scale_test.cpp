// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// As many clients at one shard as a large job has.
#include "tests/manager/shard_fixture.h"

namespace ddict::manager {
namespace {

TEST_F(ShardTest, AHundredThousandClientsHaveSessions) {
    constexpr std::uint64_t clients = 100'000;
    std::vector<std::uint64_t> sessions;
    for (std::uint64_t i = 0; i < clients; ++i) {
        say_hello(1, ("client " + std::to_string(i)).c_str());
        sessions.push_back(last().argument);
        ASSERT_EQ(last().status, 0) << i;
    }
    EXPECT_EQ(shard.sessions().connected(), clients);
    for (std::uint64_t i = 0; i < clients; i += 997) {
        ask(Verb::put, sessions[i], "key " + std::to_string(i % 10), bytes_of("value"));
        ASSERT_EQ(last().status, 0) << i;
    }
    EXPECT_EQ(pool->size(), 10u);
    for (std::uint64_t i = 0; i < clients; i += 2)
        ask(Verb::goodbye, sessions[i]);
    EXPECT_EQ(shard.sessions().connected(), clients / 2);
    ask(Verb::get, sessions[1], "key 0");
    EXPECT_EQ(last().status, 0);
}

}  // namespace
}  // namespace ddict::manager
