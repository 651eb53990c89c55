// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/allocation.h"
#include "os/environment.h"

#include <gtest/gtest.h>

namespace ddict::slurm {
namespace {

constexpr std::uint64_t mib = 1 << 20;

Allocation detected(const os::Environment& environment) {
    const auto found = detect_allocation(environment);
    EXPECT_TRUE(found.has_value()) << found.error().message();
    EXPECT_TRUE(found.has_value() && *found);
    return found.has_value() && *found ? **found : Allocation{};
}

std::string names_of(const Allocation& allocation) {
    std::string names;
    for (const AllocatedNode& node : allocation.nodes)
        names += node.name + " ";
    return names;
}

TEST(Allocation, there_is_none_outside_a_job) {
    for (const os::Environment& environment :
         {os::Environment{}, os::Environment{{"PATH", "/bin"}, {"SLURM_CONF", "/etc/x"}},
          os::Environment{{"SLURM_JOB_ID", ""}}}) {
        const auto found = detect_allocation(environment);
        ASSERT_TRUE(found.has_value());
        EXPECT_FALSE(*found);
    }
}

TEST(Allocation, a_plain_job) {
    const Allocation job = detected({{"SLURM_JOB_ID", "4711"},
                                     {"SLURM_JOB_NODELIST", "n[1-2,07]"},
                                     {"SLURM_JOB_CPUS_PER_NODE", "8(x2),4"},
                                     {"SLURM_MEM_PER_NODE", "1000"},
                                     {"SLURMD_NODENAME", "n2"}});
    EXPECT_EQ(job.job_id, "4711");
    EXPECT_EQ(job.het_groups, 0u);
    EXPECT_EQ(names_of(job), "n1 n2 n07 ");
    EXPECT_EQ(job.this_node, "n2");
    ASSERT_TRUE(job.find("n07"));
    EXPECT_EQ(job.find("n07")->cpus, 4u);
    EXPECT_EQ(job.find("n2")->cpus, 8u);
    EXPECT_EQ(job.find("n2")->memory_bytes, 1000 * mib);
    EXPECT_FALSE(job.find("n3"));
}

TEST(Allocation, memory_per_cpu) {
    const Allocation job = detected({{"SLURM_JOB_ID", "1"},
                                     {"SLURM_JOB_NODELIST", "n[1-2]"},
                                     {"SLURM_JOB_CPUS_PER_NODE", "4,2"},
                                     {"SLURM_MEM_PER_CPU", "100"}});
    EXPECT_EQ(job.nodes[0].memory_bytes, 400 * mib);
    EXPECT_EQ(job.nodes[1].memory_bytes, 200 * mib);
}

TEST(Allocation, memory_that_slurm_does_not_name_is_unknown) {
    const os::Environment least = {{"SLURM_JOB_ID", "1"}, {"SLURM_JOB_NODELIST", "n1"}};
    EXPECT_EQ(detected(least).nodes[0].memory_bytes, std::nullopt);
    EXPECT_EQ(detected(least).nodes[0].cpus, 0u);
    os::Environment all_of_the_node = least;
    all_of_the_node["SLURM_MEM_PER_NODE"] = "0";
    EXPECT_EQ(detected(all_of_the_node).nodes[0].memory_bytes, std::nullopt);
    os::Environment of_unknown_cpus = least;
    of_unknown_cpus["SLURM_MEM_PER_CPU"] = "100";
    EXPECT_EQ(detected(of_unknown_cpus).nodes[0].memory_bytes, std::nullopt);
}

TEST(Allocation, the_cpus_of_another_list_of_nodes_are_not_taken) {
    const Allocation job = detected(
        {{"SLURM_JOB_ID", "1"}, {"SLURM_JOB_NODELIST", "n[1-2]"}, {"SLURM_JOB_CPUS_PER_NODE", "4(x3)"}});
    EXPECT_EQ(job.nodes[0].cpus, 0u);
}

TEST(Allocation, the_old_names_of_variables) {
    EXPECT_EQ(names_of(detected({{"SLURM_JOBID", "1"}, {"SLURM_NODELIST", "a,b"}})), "a b ");
}

TEST(Allocation, a_heterogeneous_job) {
    const Allocation job = detected({{"SLURM_JOB_ID", "8"},
                                     {"SLURM_HET_SIZE", "2"},
                                     {"SLURM_JOB_ID_HET_GROUP_0", "7"},
                                     {"SLURM_JOB_ID_HET_GROUP_1", "8"},
                                     {"SLURM_JOB_NODELIST", "n[1-2]"},
                                     {"SLURM_JOB_NODELIST_HET_GROUP_0", "n[1-2]"},
                                     {"SLURM_JOB_NODELIST_HET_GROUP_1", "n[2-4]"},
                                     {"SLURM_MEM_PER_NODE_HET_GROUP_0", "500"},
                                     {"SLURM_MEM_PER_NODE_HET_GROUP_1", "600"},
                                     {"SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1", "3(x3)"}});
    EXPECT_EQ(job.job_id, "7");
    EXPECT_EQ(job.het_groups, 2u);
    EXPECT_EQ(names_of(job), "n1 n2 n3 n4 ");
    EXPECT_EQ(job.find("n2")->het_group, 0u);
    EXPECT_EQ(job.find("n2")->memory_bytes, 500 * mib);
    EXPECT_EQ(job.find("n3")->het_group, 1u);
    EXPECT_EQ(job.find("n3")->memory_bytes, 600 * mib);
    EXPECT_EQ(job.find("n4")->cpus, 3u);
}

TEST(Allocation, nonsense_is_refused_by_the_name_of_its_variable) {
    const os::Environment good = {{"SLURM_JOB_ID", "1"},
                                  {"SLURM_JOB_NODELIST", "n[1-2]"},
                                  {"SLURM_JOB_CPUS_PER_NODE", "4(x2)"},
                                  {"SLURM_MEM_PER_NODE", "100"}};
    ASSERT_TRUE(detect_allocation(good).has_value());
    const std::pair<const char*, const char*> cases[] = {
        {"SLURM_JOB_NODELIST", "n[1-"},
        {"SLURM_JOB_NODELIST", "n[0-99999999]"},
        {"SLURM_JOB_NODELIST", ""},
        {"SLURM_JOB_CPUS_PER_NODE", "x"},
        {"SLURM_JOB_CPUS_PER_NODE", "4(x2"},
        {"SLURM_JOB_CPUS_PER_NODE", "4(x)"},
        {"SLURM_JOB_CPUS_PER_NODE", "4,"},
        {"SLURM_JOB_CPUS_PER_NODE", "4(x99999999)"},
        {"SLURM_JOB_CPUS_PER_NODE", "-4(x2)"},
        {"SLURM_MEM_PER_NODE", "1G"},
        {"SLURM_MEM_PER_NODE", "-1"},
        {"SLURM_MEM_PER_NODE", "99999999999999999999"},
        {"SLURM_HET_SIZE", "0"},
        {"SLURM_HET_SIZE", "99999999"},
        {"SLURM_JOB_ID", "x"},
    };
    for (const auto& [variable, value] : cases) {
        os::Environment bad = good;
        bad[variable] = value;
        const auto found = detect_allocation(bad);
        ASSERT_FALSE(found.has_value()) << variable << "=" << value;
        EXPECT_EQ(found.error().code, Errc::invalid_argument);
        EXPECT_NE(found.error().message().find(variable), std::string::npos) << found.error().message();
    }
}

TEST(Allocation, the_environment_of_this_process) {
    ASSERT_EQ(setenv("DDICT_TEST_VARIABLE", "a=b", 1), 0);
    EXPECT_EQ(os::environment_of_this_process().at("DDICT_TEST_VARIABLE"), "a=b");
}

}  // namespace
}  // namespace ddict::slurm
