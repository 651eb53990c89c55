// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a monitor is told; tests/tools/metrics_test.py reads all of it.
#include "tools/metrics_text.h"

#include <gtest/gtest.h>

#include "tests/tools/samples.h"

namespace ddict::tools {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++found;
    return found;
}

TEST(MetricsText, EachFamilyStandsInOnePlace) {
    Sample sample{.managers = {working(0, 1000), working(1, 20'000)}};
    sample.managers[1].round_trip = std::chrono::microseconds(70);
    const std::string text = metrics_text(sample, "weather", MetricsFormat::openmetrics);
    EXPECT_NE(text.find("# TYPE ddict_keys gauge\n"
                        "# HELP ddict_keys Pairs that are there.\n"
                        "ddict_keys{dictionary=\"weather\",manager=\"0\",node=\"node0\"} 1000\n"
                        "ddict_keys{dictionary=\"weather\",manager=\"1\",node=\"node0\"} 20000\n"
                        "# TYPE "),
              std::string::npos)
        << text;
    EXPECT_NE(
        text.find("ddict_round_trip_seconds{dictionary=\"weather\",manager=\"1\",node=\"node0\"} 7e-05\n"),
        std::string::npos)
        << text;
    EXPECT_NE(text.find("manager=\"1\",node=\"node0\",operation=\"put\",quantile=\"0.99\"} 9e-06\n"),
              std::string::npos)
        << text;
    EXPECT_TRUE(text.ends_with("\n# EOF\n"));
}

TEST(MetricsText, TheNameOfACounterIsThatOfTheFormat) {
    const Sample sample{.managers = {working(0, 1000)}};
    const std::string open = metrics_text(sample, "d", MetricsFormat::openmetrics);
    EXPECT_EQ(count(open, "# TYPE ddict_puts counter\n"), 1U);
    const std::string older = metrics_text(sample, "d", MetricsFormat::prometheus);
    EXPECT_EQ(count(older, "# TYPE ddict_puts_total counter\n"), 1U);
    EXPECT_EQ(count(older, "# EOF") + count(older, "# UNIT"), 0U);
    for (const std::string& text : {open, older}) {
        EXPECT_EQ(count(text, "\nddict_puts_total{"), 1U);
        EXPECT_EQ(
            count(text, "\nddict_local_reads_total{dictionary=\"d\",manager=\"0\",node=\"node0\"} 3000\n"),
            1U)
            << text;
    }
}

TEST(MetricsText, NothingIsMadeUpOfOneThatDoesNotAnswer) {
    const Sample sample{.managers = {working(0, 1000), gone(1)}};
    const std::string text = metrics_text(sample, "d", MetricsFormat::openmetrics);
    EXPECT_EQ(count(text, "manager=\"1\""), 1U) << text;
    EXPECT_NE(text.find("ddict_manager_up{dictionary=\"d\",manager=\"1\",node=\"\"} 0\n"), std::string::npos);
}

TEST(MetricsText, WhatWouldEndALabelDoesNot) {
    const Sample sample{.managers = {working(0, 1000)}};
    const std::string text = metrics_text(sample, "a\"} 1\n\\", MetricsFormat::openmetrics);
    EXPECT_NE(text.find("ddict_keys{dictionary=\"a\\\"} 1\\n\\\\\",manager=\"0\""), std::string::npos)
        << text;
}

}  // namespace
}  // namespace ddict::tools
