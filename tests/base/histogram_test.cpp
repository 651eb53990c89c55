// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace ddict {
namespace {

std::uint64_t seed() {
    const char* text = std::getenv("DDICT_TEST_SEED");
    return text != nullptr ? std::stoull(text) : std::random_device{}();
}

TEST(Histogram, IsEmptyAtFirst) {
    const auto empty = std::make_unique<Histogram>();
    EXPECT_EQ(empty->count(), 0u);
    EXPECT_EQ(empty->quantile(0.5), 0);
}

TEST(Histogram, ShowsSmallLatenciesExactly) {
    const auto histogram = std::make_unique<Histogram>();
    for (std::uint64_t value = 1; value <= 100; ++value)
        histogram->add(value);
    EXPECT_EQ(histogram->quantile(0.5), 50);
    EXPECT_EQ(histogram->quantile(0.99), 99);
    EXPECT_EQ(histogram->quantile(1), 100);
    EXPECT_EQ(histogram->quantile(0), 1);
}

TEST(Histogram, QuantilesAreThoseOfTheSortedValues) {
    const std::uint64_t chosen = seed();
    SCOPED_TRACE("DDICT_TEST_SEED=" + std::to_string(chosen));
    std::mt19937_64 random(chosen);
    std::lognormal_distribution<double> latency(8, 3);
    const auto histogram = std::make_unique<Histogram>();
    std::vector<double> values;
    for (int i = 0; i < 20'001; ++i) {
        const double value = std::floor(std::min(latency(random), 1e11));
        values.push_back(value);
        histogram->add(static_cast<std::uint64_t>(value));
    }
    std::sort(values.begin(), values.end());
    for (const double q : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size()))) - 1;
        EXPECT_NEAR(histogram->quantile(q), values[rank], values[rank] * 0.016) << "q = " << q;
    }
}

TEST(Histogram, TakesWhatIsBeyondItsRange) {
    const auto histogram = std::make_unique<Histogram>();
    histogram->add(UINT64_MAX);
    histogram->add(0);
    EXPECT_EQ(histogram->count(), 2u);
    EXPECT_GT(histogram->quantile(1), 1e12);
}

TEST(Histogram, AddsAnother) {
    const auto one = std::make_unique<Histogram>();
    const auto other = std::make_unique<Histogram>();
    one->add(10);
    other->add(20);
    other->add(1'000'000);
    one->add(*other);
    EXPECT_EQ(one->count(), 3u);
    EXPECT_EQ(one->quantile(0.5), 20);
    one->clear();
    EXPECT_EQ(one->count(), 0u);
}

}  // namespace
}  // namespace ddict
