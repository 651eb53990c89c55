// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/popularity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

namespace ddict::bench {
namespace {

std::uint64_t seed() {
    const char* text = std::getenv("DDICT_TEST_SEED");
    return text == nullptr ? 20'240'611 : std::stoull(text);
}

std::vector<double> shares(std::uint64_t pairs, double exponent, std::uint64_t draws) {
    const Popularity popularity(pairs, exponent);
    Random random(seed());
    std::vector<double> share(pairs, 0);
    for (std::uint64_t i = 0; i < draws; ++i)
        share.at(popularity.draw(random)) += 1 / static_cast<double>(draws);
    return share;
}

class BenchPopularity : public ::testing::TestWithParam<double> {};

/// Every pair within five standard deviations of what the law says.
TEST_P(BenchPopularity, EachPairIsDrawnAsOftenAsTheLawSays) {
    SCOPED_TRACE("DDICT_TEST_SEED=" + std::to_string(seed()));
    constexpr std::uint64_t pairs = 100;
    constexpr std::uint64_t draws = 1'000'000;
    const std::vector<double> share = shares(pairs, GetParam(), draws);
    double sum = 0;
    for (std::uint64_t rank = 1; rank <= pairs; ++rank)
        sum += std::pow(static_cast<double>(rank), -GetParam());
    for (std::uint64_t rank = 1; rank <= pairs; ++rank) {
        const double expected = std::pow(static_cast<double>(rank), -GetParam()) / sum;
        const double deviation = std::sqrt(expected * (1 - expected) / static_cast<double>(draws));
        EXPECT_NEAR(share[rank - 1], expected, 5 * deviation + 1e-6) << "rank " << rank;
    }
}

INSTANTIATE_TEST_SUITE_P(Exponents, BenchPopularity, ::testing::Values(0, 0.5, 0.99, 2));

TEST(BenchPopularityTable, OnePairIsAlwaysDrawn) {
    EXPECT_EQ(shares(1, 0.99, 1000).front() > 0.999, true);
    EXPECT_EQ(shares(1, 0, 1000).front() > 0.999, true);
}

TEST(BenchPopularityTable, ManyPairsAreAllReached) {
    constexpr std::uint64_t pairs = 8192;
    const std::vector<double> share = shares(pairs, 0.99, 4'000'000);
    std::uint64_t missing = 0;
    for (const double one : share)
        missing += one == 0 ? 1u : 0u;
    // The rarest is expected 44 times.
    EXPECT_EQ(missing, 0u) << "DDICT_TEST_SEED=" << seed();
}

}  // namespace
}  // namespace ddict::bench
