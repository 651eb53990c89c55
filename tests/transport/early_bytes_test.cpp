// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "transport/early_bytes.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <random>

#include "tests/base/seed.h"
#include "transport/tunnels.h"

namespace ddict::transport {
namespace {

std::vector<std::byte> stream_of(std::size_t bytes) {
    std::vector<std::byte> stream(bytes);
    for (std::size_t i = 0; i < bytes; ++i)
        stream[i] = static_cast<std::byte>(i * i % 251);
    return stream;
}

/// All that may be under way, in pieces as small as a message, in any order.
TEST(EarlyBytes, ComeOutInTheirOrder) {
    std::mt19937_64 random(test_seed());
    const std::vector<std::byte> stream = stream_of(Tunnels::in_flight_bytes_max);
    for (const std::size_t piece_max : {48UL, 1000UL, 5152UL}) {
        std::vector<std::pair<std::size_t, std::size_t>> pieces;
        for (std::size_t at = 0; at < stream.size(); at += pieces.back().second)
            pieces.emplace_back(at, std::min(stream.size() - at, piece_max));
        std::shuffle(pieces.begin(), pieces.end(), random);
        EarlyBytes early(Tunnels::early_memory_max);
        for (const auto& [at, size] : pieces)
            ASSERT_TRUE(early.keep(at, Bytes(stream).subspan(at, size))) << early.memory();
        std::vector<std::byte> out;
        for (;;) {
            const std::vector<std::byte> next = early.take(out.size());
            if (next.empty()) break;
            out.insert(out.end(), next.begin(), next.end());
        }
        EXPECT_EQ(out, stream);
        EXPECT_EQ(early.memory(), 0U);
    }
}

/// Each with a gap before it, so that none is one with another.
TEST(EarlyBytes, TakeNoMoreMemoryInTinyPieces) {
    EarlyBytes early(Tunnels::early_memory_max);
    const std::vector<std::byte> one(1);
    std::size_t kept = 0;
    const std::size_t before = ::mallinfo2().uordblks;
    while (kept < Tunnels::in_flight_bytes_max && early.keep(1 + 2 * kept, one))
        ++kept;
    const std::size_t taken = ::mallinfo2().uordblks - before;
    EXPECT_GT(kept, 1000U);
    EXPECT_LT(kept, Tunnels::in_flight_bytes_max);
    EXPECT_LE(taken, Tunnels::early_memory_max);
    const bool is_measured = taken != 0;  // no sanitizer does that
    EXPECT_TRUE(!is_measured || taken >= early.memory() / 2) << taken << " of " << early.memory();
}

TEST(EarlyBytes, OfTwoAtOnePositionTheFirstCounts) {
    EarlyBytes early(1000);
    ASSERT_TRUE(early.keep(10, bytes_of("first")));
    ASSERT_TRUE(early.keep(10, bytes_of("other")));
    EXPECT_EQ(text_of(early.take(10)), "first");
    EXPECT_EQ(early.memory(), 0U);
}

TEST(EarlyBytes, WhatTheStreamHasPassedIsForgotten) {
    EarlyBytes early(1000);
    ASSERT_TRUE(early.keep(10, bytes_of("passed")));
    ASSERT_TRUE(early.keep(100, bytes_of("next")));
    EXPECT_TRUE(early.take(50).empty());
    EXPECT_EQ(text_of(early.take(100)), "next");
    EXPECT_EQ(early.memory(), 0U);
}

TEST(EarlyBytes, WhatIsRefusedChangesNothing) {
    EarlyBytes early(300);
    const std::vector<std::byte> large(400);
    EXPECT_FALSE(early.keep(0, large));
    ASSERT_TRUE(early.keep(0, Bytes(large).first(10)));
    const std::size_t memory = early.memory();
    EXPECT_FALSE(early.keep(10, large));
    EXPECT_EQ(early.memory(), memory);
    EXPECT_EQ(early.take(0).size(), 10U);
}

}  // namespace
}  // namespace ddict::transport
