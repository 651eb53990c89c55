// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/saving_targets.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <string>

namespace ddict::bench {
namespace {

double median_of(const TargetFigures& figures, const std::string& op, const std::string& figure) {
    for (const Record& one : figures.records)
        if (one.op == op && one.has(figure)) return one.spread(figure).median;
    ADD_FAILURE() << "nothing was measured of " << op << ": " << figure;
    return 0;
}

/// The whole suite, too small for its figures to say anything: each target is there, with what it is held
/// against, and what does not depend on the machine is as it has to be.
TEST(BenchSavingTargets, EachIsMeasuredBesideItsBaseline) {
    std::string folder = (std::filesystem::temp_directory_path() / "ddict-bench-saving-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const Options options =
        parse_options({"--suite=saving", "--save=" + folder, "--saved-bytes=4194304", "--step-pairs=5000",
                       "--pairs=100", "--seconds=0.02", "--repetitions=2"});
    Progress progress;
    const TargetFigures figures = measure_saving_targets(options, progress);
    std::map<std::string, int> lines;
    for (const Target& one : figures.targets) {
        SCOPED_TRACE(one.id + " " + one.figure);
        ++lines[one.id];
        EXPECT_EQ(one.bound, Target::Bound::at_most);
        EXPECT_FALSE(one.baseline.empty());
        const bool of_all_runs = one.figure.find("shortest of 2") != std::string::npos;
        ASSERT_EQ(one.values.size(), of_all_runs ? 1u : 2u);
        const bool is_count = one.limit == 0;
        for (const double value : one.values)
            EXPECT_TRUE(is_count ? value == 0 : value > 0) << value;
    }
    EXPECT_EQ(lines, (std::map<std::string, int>{{"C1", 4}, {"C2", 2}, {"C3", 3}, {"C4", 4}}));

    for (const std::string when : {"before", "during_save", "during_write"}) {
        for (const std::string name : {"get", "put"}) {
            const std::string front = name + "_" + when;
            EXPECT_LE(median_of(figures, "during a save of 4 MiB", front + "_p50_us"),
                      median_of(figures, "during a save of 4 MiB", front + "_p99_us"));
        }
    }
    // A writer has its libraries and buffers at the least.
    const std::string writer = "memory of a process that saves 4 MiB of 4 managers";
    EXPECT_GT(median_of(figures, writer, "mib"), median_of(figures, writer, "before_mib"));
    EXPECT_GT(median_of(figures, "restore from 8 to 1 managers", "onto_as_many_seconds"), 0);
    EXPECT_GT(median_of(figures, "checkpoint()", "ns"), 0);
    for (const char* when : {"step", "change", "retiring", "rest"})
        EXPECT_GT(median_of(figures, "checkpoints of 5000 pairs", std::string(when) + "_gap_ms"), 0);
    for (const std::string name : {"step", "change", "retiring"})
        EXPECT_LE(median_of(figures, "steps of a pool with 5000 pairs", name + "_ms"),
                  median_of(figures, "steps of a pool with 5000 pairs", name + "_once_ms"));
    EXPECT_TRUE(std::filesystem::remove(folder)) << "something is left in it";
}

}  // namespace
}  // namespace ddict::bench
