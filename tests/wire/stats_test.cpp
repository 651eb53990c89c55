// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/stats.h"

#include <gtest/gtest.h>

namespace ddict {
namespace {

ManagerStats sample() {
    ManagerStats s;
    s.manager = 1;
    s.node = "n2";
    s.pid = -3;
    std::uint64_t number = std::uint64_t{1} << 40;
    for (std::uint64_t* field : {&s.keys,
                                 &s.pool_bytes,
                                 &s.used_bytes,
                                 &s.free_bytes,
                                 &s.largest_free_bytes,
                                 &s.index_bytes,
                                 &s.sessions,
                                 &s.rejected_messages,
                                 &s.puts,
                                 &s.gets,
                                 &s.hits,
                                 &s.contains,
                                 &s.erases,
                                 &s.clears,
                                 &s.scans,
                                 &s.refused_puts,
                                 &s.waiting,
                                 &s.broadcasts,
                                 &s.broadcast_keys,
                                 &s.payloads_in_flight,
                                 &s.private_bytes}) {
        *field = ++number;
    }
    s.frozen = true;
    s.without_kept = true;
    s.operations.push_back(
        {.operation = Operation::put, .count = ++number, .p50_ns = 2, .p99_ns = 3, .max_ns = 4});
    s.operations.push_back({.operation = Operation::freeze, .count = ++number});
    s.transport = "sysv cma";
    return s;
}

TEST(Stats, RoundTrip) {
    std::vector<std::byte> packed;
    pack(sample(), packed);
    ManagerStats s;
    ASSERT_TRUE(unpack(packed, s));
    std::vector<std::byte> again;
    pack(s, again);
    EXPECT_EQ(packed, again);
    EXPECT_EQ(s.manager, 1u);
    EXPECT_EQ(s.pid, -3);
    EXPECT_EQ(s.node, "n2");
    EXPECT_EQ(s.transport, "sysv cma");
    EXPECT_EQ(s.keys, (std::uint64_t{1} << 40) + 1);
    EXPECT_EQ(s.rejected_messages, (std::uint64_t{1} << 40) + 8);
    EXPECT_EQ(s.refused_puts, (std::uint64_t{1} << 40) + 16);
    EXPECT_EQ(s.waiting, (std::uint64_t{1} << 40) + 17);
    EXPECT_EQ(s.private_bytes, (std::uint64_t{1} << 40) + 21);
    EXPECT_TRUE(s.frozen && s.without_kept);
    ASSERT_EQ(s.operations.size(), 2u);
    EXPECT_EQ(s.operations[0].operation, Operation::put);
    EXPECT_EQ(s.operations[0].p50_ns, 2u);
    EXPECT_EQ(s.operations[0].p99_ns, 3u);
    EXPECT_EQ(s.operations[0].max_ns, 4u);
    EXPECT_EQ(s.operations[1].operation, Operation::freeze);
    EXPECT_EQ(s.operations[1].count, (std::uint64_t{1} << 40) + 23);
}

TEST(Stats, TruncatedIsNone) {
    std::vector<std::byte> packed;
    pack(sample(), packed);
    for (std::size_t size = 0; size < packed.size(); ++size) {
        const std::vector<std::byte> cut(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
        ManagerStats s;
        EXPECT_FALSE(unpack(cut, s)) << size;
    }
}

}  // namespace
}  // namespace ddict
