// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ddict::bench {
namespace {

using Values = std::vector<std::uint64_t>;

TEST(BenchOptions, WithoutAnyItIsTheHeadlineWorkload) {
    const Options options = parse_options({});
    EXPECT_EQ(options.workload.pairs, 8192u);
    EXPECT_EQ(options.workload.key_bytes, 30u);
    EXPECT_EQ(options.value_bytes, (Values{8, 8192}));
    EXPECT_EQ(options.clients, (std::vector<std::uint32_t>{1}));
    EXPECT_EQ(options.managers, (std::vector<std::uint32_t>{1}));
    EXPECT_TRUE(options.headline());
}

TEST(BenchOptions, TakesLists) {
    const Options options = parse_options({"--clients=1,2,4", "--value-bytes", "0,65536", "--ops", "7"});
    EXPECT_EQ(options.clients, (std::vector<std::uint32_t>{1, 2, 4}));
    EXPECT_EQ(options.value_bytes, (Values{0, 65536}));
    EXPECT_EQ(options.effort.operations, 7u);
}

TEST(BenchOptions, NamesOperationsAndHowPairsAreChosen) {
    const Options plain = parse_options({});
    ASSERT_EQ(plain.operations_measured.size(), 3u);
    EXPECT_EQ(plain.operations_measured[1]->name, "get_message");
    EXPECT_TRUE(plain.operations_measured[1]->by_message);
    EXPECT_EQ(plain.workload.zipf_exponent, 0);
    EXPECT_EQ(plain.peer, Peer::none);

    const Options options =
        parse_options({"--operations", "batch_put,mixed", "--batch=16", "--in-flight=3", "--put-percent=0",
                       "--distribution=zipf", "--zipf-exponent=1.2", "--peer=redis"});
    ASSERT_EQ(options.operations_measured.size(), 2u);
    EXPECT_EQ(options.operations_measured[0]->task, Task::batch_put);
    EXPECT_TRUE(options.operations_measured[0]->grouped);
    EXPECT_EQ(options.grouping.batch, 16u);
    EXPECT_EQ(options.grouping.in_flight, 3u);
    EXPECT_EQ(options.grouping.put_percent, 0u);
    EXPECT_EQ(options.workload.zipf_exponent, 1.2);
    EXPECT_EQ(options.peer, Peer::redis);
    EXPECT_EQ(parse_options({"--distribution=zipf"}).workload.zipf_exponent, 0.99);
    EXPECT_EQ(parse_options({"--distribution=uniform"}).workload.zipf_exponent, 0);
}

TEST(BenchOptions, TheSuiteChoosesWhatIsMeasured) {
    EXPECT_FALSE(parse_options({}).targets);
    const Options options = parse_options({"--suite=targets", "--idle=0.5", "--large-value-bytes=65536"});
    EXPECT_TRUE(options.targets);
    EXPECT_FALSE(options.headline());
    EXPECT_EQ(options.large_value_bytes, (Values{65536}));
    for (const char* other : {"--clients=2", "--transport=ucx", "--attach", "--peer=redis", "--ops=3"}) {
        EXPECT_THROW((void)parse_options({"--suite=targets", other}), UsageError) << other;
    }
}

TEST(BenchOptions, TheSuiteOfSavingNeedsAFolder) {
    const Options options =
        parse_options({"--suite=saving", "--save=dir", "--saved-bytes=65536", "--step-pairs=7", "--pairs=9"});
    EXPECT_TRUE(options.saving_targets);
    EXPECT_FALSE(options.targets);
    EXPECT_FALSE(options.headline());
    EXPECT_EQ(options.save, "dir");
    EXPECT_EQ(options.saved_bytes, 65536u);
    EXPECT_EQ(options.step_pairs, 7u);
    EXPECT_EQ(parse_options({"--suite=saving", "--save=dir"}).saved_bytes, 1u << 30);
    for (const char* other : {"--clients=2", "--managers=2", "--value-bytes=9", "--memory", "--idle=1",
                              "--large-value-bytes=65536"}) {
        EXPECT_THROW((void)parse_options({"--suite=saving", "--save=dir", other}), UsageError) << other;
    }
}

class RefusedOptions : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(RefusedOptions, SaysWhichOption) {
    try {
        (void)parse_options(GetParam());
        FAIL() << "nothing was thrown";
    } catch (const UsageError& error) {
        const std::string named = GetParam().front().substr(0, GetParam().front().find('='));
        EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
    }
}

INSTANTIATE_TEST_SUITE_P(
    BenchOptions, RefusedOptions,
    ::testing::Values(
        std::vector<std::string>{"--clients=0"}, std::vector<std::string>{"--clients=1,x"},
        std::vector<std::string>{"--clients="}, std::vector<std::string>{"--managers=-1"},
        std::vector<std::string>{"--managers=2", "--attach"},
        std::vector<std::string>{"--bring-up", "--attach"}, std::vector<std::string>{"--ops=1000000000000"},
        std::vector<std::string>{"--ops"}, std::vector<std::string>{"--seconds=0"},
        std::vector<std::string>{"--seconds=nan"}, std::vector<std::string>{"--seconds=1", "--ops=1"},
        std::vector<std::string>{"--idle=-1"}, std::vector<std::string>{"--idle=1", "--bring-up"},
        std::vector<std::string>{"--transport=ib"}, std::vector<std::string>{"--key-bytes=2"},
        std::vector<std::string>{"--key-bytes=2000"}, std::vector<std::string>{"--operations=get,grab"},
        std::vector<std::string>{"--operations="}, std::vector<std::string>{"--batch=0"},
        std::vector<std::string>{"--in-flight=1025"}, std::vector<std::string>{"--put-percent=101"},
        std::vector<std::string>{"--distribution=normal"}, std::vector<std::string>{"--zipf-exponent=1"},
        std::vector<std::string>{"--zipf-exponent=0", "--distribution=zipf"},
        std::vector<std::string>{"--zipf-exponent=1", "--distribution=uniform"},
        std::vector<std::string>{"--peer=memcached"}, std::vector<std::string>{"--pin", "--attach"},
        std::vector<std::string>{"--suite=all"}, std::vector<std::string>{"--large-value-bytes=65536"},
        std::vector<std::string>{"--suite=saving"}, std::vector<std::string>{"--suite=targets", "--save=dir"},
        std::vector<std::string>{"--saved-bytes=65536"},
        std::vector<std::string>{"--step-pairs=1", "--suite=targets"},
        std::vector<std::string>{"--saved-bytes=1", "--suite=saving", "--save=dir"},
        std::vector<std::string>{"--save=dir", "--attach"},
        std::vector<std::string>{"--save=dir", "--memory"}, std::vector<std::string>{"--memory", "--attach"},
        std::vector<std::string>{"--connections", "--attach"},
        std::vector<std::string>{"--memory", "--connections"}, std::vector<std::string>{"--nonsense"},
        std::vector<std::string>{"surplus"}));

}  // namespace
}  // namespace ddict::bench
