// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/time_left.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ddict::slurm {
namespace {

using std::chrono::seconds;

std::optional<seconds> left(std::string_view output) {
    const auto found = time_left(output, "7");
    EXPECT_TRUE(found.has_value()) << output;
    return found.has_value() ? *found : seconds(-1);
}

TEST(TimeLeft, IsWrittenAsSlurmDoes) {
    EXPECT_EQ(left("7 0:09\n"), seconds(9));
    EXPECT_EQ(left("7 12:34\n"), seconds(12 * 60 + 34));
    EXPECT_EQ(left("7 1:00:05\n"), seconds(3605));
    EXPECT_EQ(left("7 2-03:04:05\n"), seconds(2 * 86'400 + 3 * 3600 + 4 * 60 + 5));
    EXPECT_EQ(left("7 INVALID\n"), seconds(0)) << "it is over";
    EXPECT_EQ(left("7 UNLIMITED\n"), std::nullopt);
}

TEST(TimeLeft, IsThatOfTheJobItself) {
    EXPECT_EQ(left("6 1:00\n17 2:00\n7 3:00\n8 4:00\n"), seconds(180)) << "an array, or a heterogeneous job";
}

TEST(TimeLeft, WhatSaysNothingIsNoAnswer) {
    for (const char* const output :
         {"", "\n", "7\n", "7 NOT_SET\n", "8 1:00\n", "7 1:60\n", "7 90\n", "7 1:2:3:4\n", "7 -1:00\n",
          "7 1:-2\n", "7 9999999999999999999:00\n", "slurm_load_jobs error: Invalid job id specified\n"})
        EXPECT_FALSE(time_left(output, "7").has_value()) << output;
}

TEST(TimeLeft, IsAskedForWithoutWhatAUserHasSet) {
    const SrunCommand command =
        ask_for_time_left("7", {{"PATH", "/bin"}, {"SQUEUE_FORMAT2", "Name"}, {"SQUEUE_ARRAY", "1"}});
    EXPECT_EQ(command.argv.front(), "squeue");
    EXPECT_NE(std::find(command.argv.begin(), command.argv.end(), "--jobs=7"), command.argv.end());
    EXPECT_EQ(command.environment, (os::Environment{{"PATH", "/bin"}}));
}

TEST(TimeLeft, OfTheLastTaskOfAnArrayIsAskedForAlone) {
    const auto jobs = [](const char* job, const os::Environment& environment) {
        for (const std::string& word : ask_for_time_left(job, environment).argv)
            if (word.starts_with("--jobs=")) return word.substr(7);
        return std::string();
    };
    EXPECT_EQ(jobs("7", {{"SLURM_ARRAY_JOB_ID", "7"}, {"SLURM_ARRAY_TASK_ID", "3"}}), "7_3");
    EXPECT_EQ(jobs("8", {{"SLURM_ARRAY_JOB_ID", "7"}, {"SLURM_ARRAY_TASK_ID", "3"}}), "8");
    EXPECT_EQ(jobs("7", {{"SLURM_ARRAY_JOB_ID", "7"}}), "7");
}

}  // namespace
}  // namespace ddict::slurm
