// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/srun.h"
#include "os/child_process.h"
#include "os/environment.h"

#include <algorithm>
#include <chrono>

#include <gtest/gtest.h>

namespace ddict::slurm {
namespace {

Allocation plain_job() {
    return {.job_id = "7", .nodes = {{.name = "n1"}, {.name = "n2"}, {.name = "n4"}}, .this_node = "n1"};
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : " ") + word;
    return text;
}

SrunCommand command_for(const Allocation& job, const os::Environment& environment,
                        const NodeLauncherStep& step) {
    auto command = srun_for_node_launchers(job, environment, step);
    EXPECT_TRUE(command) << command.error().message();
    return command ? *command : SrunCommand{};
}

TEST(Srun, one_task_on_each_node_beside_the_steps_of_the_user) {
    const SrunCommand command =
        command_for(plain_job(), {}, {.program = "/opt/ddict-launch", .args = {"--node", "--pool=1 G"}});
    EXPECT_EQ(command.argv, (std::vector<std::string>{
                                "srun", "--mpi=pmix", "--job-name=ddict", "--overlap", "--mem=0",
                                "--cpu-bind=none", "--nodes=3", "--ntasks=3", "--ntasks-per-node=1",
                                "--nodelist=n[1-2,4]", "--kill-on-bad-exit=0", "--wait=0", "--no-kill",
                                "--export=ALL", "--input=all", "/opt/ddict-launch", "--node", "--pool=1 G"}));
}

TEST(Srun, a_short_step_on_some_nodes) {
    const SrunCommand command = srun_on_nodes(plain_job(), {{"SLURM_NTASKS", "9"}, {"PATH", "/bin"}},
                                              {"n4", "n2"}, "/opt/ddict-launch", {"--sweep"});
    EXPECT_EQ(joined(command.argv),
              "srun --mpi=none --job-name=ddict --overlap --mem=0 --cpu-bind=none --nodes=2 --ntasks=2 "
              "--ntasks-per-node=1 --nodelist=n[2,4] --kill-on-bad-exit=0 --wait=0 --no-kill --export=ALL "
              "--input=none /opt/ddict-launch --sweep");
    EXPECT_EQ(command.environment, (os::Environment{{"PATH", "/bin"}, {"SLURM_JOB_ID", "7"}}));
}

/// From the shell of another job, or of none.
TEST(Srun, a_command_in_another_job) {
    const os::Environment environment{{"SLURM_NTASKS", "9"},   {"SLURM_JOB_ID", "26"},
                                      {"SLURM_HET_SIZE", "2"}, {"SLURM_JOB_ID_HET_GROUP_1", "27"},
                                      {"SLURM_CONF", "/conf"}, {"PATH", "/bin"}};
    const SrunCommand plain = srun_in_job("27", environment, {"ddict", "top"}, {});
    EXPECT_EQ(plain.environment, (os::Environment{{"SLURM_CONF", "/conf"}, {"PATH", "/bin"}}));
    const auto has = [](const SrunCommand& srun, const std::string& word) {
        return std::find(srun.argv.begin(), srun.argv.end(), word) != srun.argv.end();
    };
    for (const std::string word : {"--jobid=27", "--overlap", "--mem=0", "--nodes=1", "--ntasks=1"})
        EXPECT_TRUE(has(plain, word)) << word;
    EXPECT_FALSE(has(plain, "--pty"));
    EXPECT_TRUE(has(srun_in_job("27", environment, {"ddict", "top"}, {.on_terminal = true}), "--pty"));
    EXPECT_EQ(plain.argv.back(), "top");
    const SrunCommand colon = srun_in_job("27", environment, {"ddict", "put", ":", "it's \"$HOME\""}, {});
    EXPECT_FALSE(has(colon, ":")) << "it would separate the components of a heterogeneous job";
    const std::string echo = "set --" + colon.argv.back().substr(4) + "; printf '%s|' \"$@\"";
    const auto shell =
        os::capture_output({"/bin/sh", "-c", echo}, {{"PATH", "/bin"}}, std::chrono::seconds(10));
    ASSERT_TRUE(shell);
    EXPECT_EQ(shell->output, "ddict|put|:|it's \"$HOME\"|");
}

TEST(Srun, says_which_tasks_have_ended) {
    const auto one = tasks_ended("srun: error: n3: task 2: Killed");
    ASSERT_TRUE(one);
    EXPECT_EQ(one->nodes, std::vector<std::string>{"n3"});
    EXPECT_EQ(one->how, "Killed");
    const auto some = tasks_ended("srun: error: n[3-4,7]: tasks 2-3,5: Exited with exit code 1");
    ASSERT_TRUE(some);
    EXPECT_EQ(some->nodes, (std::vector<std::string>{"n3", "n4", "n7"}));
    EXPECT_EQ(some->how, "Exited with exit code 1");
    for (const char* const other :
         {"srun: error: Unable to create step for job 7: Invalid", "srun: Job step aborted", "",
          "n3: task 2: Killed", "srun: error: n[3: task 2: Killed", "srun: error: n3: task 2"})
        EXPECT_FALSE(tasks_ended(other)) << other;
}

TEST(Srun, the_first_nodes_of_the_job) {
    const std::string line =
        joined(command_for(plain_job(), {}, {.program = "p", .args = {}, .nodes = 2}).argv);
    EXPECT_NE(line.find("--nodes=2 --ntasks=2 --ntasks-per-node=1 --nodelist=n[1-2] "), std::string::npos)
        << line;
}

TEST(Srun, more_nodes_than_the_job_has) {
    const auto command = srun_for_node_launchers(plain_job(), {}, {.program = "p", .args = {}, .nodes = 4});
    ASSERT_FALSE(command);
    EXPECT_EQ(command.error().code, Errc::invalid_argument);
    EXPECT_NE(command.error().message().find("4 nodes were asked for, but job 7 has 3"), std::string::npos)
        << command.error().message();
}

TEST(Srun, a_component_for_each_group_of_a_heterogeneous_job) {
    const Allocation job{.job_id = "7",
                         .het_groups = 2,
                         .nodes = {{.name = "n1"}, {.name = "n2"}, {.name = "g1", .het_group = 1}}};
    const std::string line = joined(command_for(job, {}, {.program = "p", .args = {"a"}}).argv);
    EXPECT_NE(line.find("--nodelist=n[1-2] --kill-on-bad-exit=0 --wait=0 --no-kill --export=ALL --input=all "
                        "--het-group=0 p a : --mpi=pmix "),
              std::string::npos)
        << line;
    EXPECT_TRUE(line.ends_with(" --het-group=1 p a")) << line;
    EXPECT_NE(line.find("--nodes=1 --ntasks=1 --ntasks-per-node=1 --nodelist=g1 "), std::string::npos)
        << line;

    const std::string first_only =
        joined(command_for(job, {}, {.program = "p", .args = {}, .nodes = 2}).argv);
    EXPECT_TRUE(first_only.ends_with(" --het-group=0 p")) << first_only;
}

TEST(Srun, options_of_the_batch_script_do_not_leak_into_our_step) {
    const os::Environment environment = {
        {"PATH", "/bin"},
        {"DDICT_X", "1"},
        {"SLURM_CONF", "/etc/s"},
        {"SLURM_NETWORK", "job_vni"},
        {"SLURM_CPU_BIND", "v"},
        {"SLURM_NTASKS", "9"},
        {"SLURM_CPUS_PER_TASK", "4"},
        {"SRUN_CPUS_PER_TASK", "4"},
        {"SLURM_EXPORT_ENV", "NONE"},
        {"SLURM_STDINMODE", "none"},
        {"SLURM_JOB_NODELIST", "n[1-9]"},
        {"SLURM_STEP_ID", "3"},
        {"PMIX_NAMESPACE", "old"},
        {"PMIX_RANK", "1"},
        {"PMI_RANK", "1"},
        {"PMIX_MCA_gds", "hash"},
        {"SLURM_PMIX_TIMEOUT", "300"},
        {"SLURM_PMIX_DIRECT_CONN", "true"},
        {"SLURM_JOB_ID", "8"},
        {"SLURM_MEM_PER_CPU", "5"},
        {"SLURM_HET_SIZE", "2"},
        {"SLURM_JOB_ID_HET_GROUP_0", "7"},
        {"SLURM_JWT", "t"},
        {"SLURM_SPANK_A", "b"},
        {"SLURMD_NODENAME", "n1"},
        {"_SLURM_SPANK_OPTION_c", "d"},
    };
    const SrunCommand command = command_for(
        plain_job(), environment, {.program = "p", .args = {}, .pmix_timeout = std::chrono::seconds(12)});
    const os::Environment expected = {
        {"PATH", "/bin"},
        {"DDICT_X", "1"},
        {"SLURM_CONF", "/etc/s"},
        {"SLURM_NETWORK", "job_vni"},
        {"PMIX_MCA_gds", "hash"},
        {"SLURM_PMIX_TIMEOUT", "12"},
        {"SLURM_PMIX_DIRECT_CONN", "true"},
        {"SLURM_JOB_ID", "7"},
        {"SLURM_HET_SIZE", "2"},
        {"SLURM_JOB_ID_HET_GROUP_0", "7"},
        {"SLURM_JWT", "t"},
        {"SLURM_SPANK_A", "b"},
        {"_SLURM_SPANK_OPTION_c", "d"},
    };
    EXPECT_EQ(command.environment, expected);
}

TEST(Srun, a_time_to_give_up_is_at_least_a_second) {
    const NodeLauncherStep step{.program = "p", .args = {}, .pmix_timeout = std::chrono::seconds(0)};
    EXPECT_EQ(command_for(plain_job(), {}, step).environment.at("SLURM_PMIX_TIMEOUT"), "1");
}

TEST(Srun, words_that_srun_would_take_for_itself_are_refused) {
    for (const NodeLauncherStep& step :
         {NodeLauncherStep{.program = "", .args = {}}, NodeLauncherStep{.program = "-p", .args = {}},
          NodeLauncherStep{.program = "p", .args = {"a", ":", "b"}}}) {
        const auto command = srun_for_node_launchers(plain_job(), {}, step);
        ASSERT_FALSE(command);
        EXPECT_EQ(command.error().code, Errc::invalid_argument);
    }
}

TEST(Srun, the_pmix_plugin_is_found_in_all_spellings_of_the_list) {
    EXPECT_TRUE(
        pmix_plugin_available("MPI plugin types are...\n\tpmix\n\tnone\n\tpmi2\n"
                              "specific pmix plugin versions available: pmix_v4\n"));
    EXPECT_TRUE(pmix_plugin_available("srun: MPI types are...\nsrun: none\nsrun: pmix\nsrun: pmi2\n"));
    EXPECT_TRUE(pmix_plugin_available("MPI plugin types are...\n\tnone\n\tpmix"));
    EXPECT_FALSE(pmix_plugin_available(""));
    EXPECT_FALSE(pmix_plugin_available("MPI plugin types are...\n\tnone\n\tcray_shasta\n\tpmi2\n"));
}

TEST(Srun, only_chatter_is_chatter) {
    EXPECT_TRUE(is_srun_chatter("srun: cluster configuration lacks support for cpu binding"));
    EXPECT_TRUE(
        is_srun_chatter("slurmstepd-n4: error:  mpi/pmix_v4: pmixp_coll_log: n4 [3]: pmixp_coll.c:281: "
                        "Dumping collective state"));
    EXPECT_FALSE(is_srun_chatter("srun: error: n2: task 1: Killed"));
    EXPECT_FALSE(is_srun_chatter("slurmstepd-n4: error: *** STEP 3.1 ON n4 CANCELLED ***"));
    EXPECT_FALSE(is_srun_chatter("mpi/pmix"));
    EXPECT_FALSE(is_srun_chatter(""));
}

}  // namespace
}  // namespace ddict::slurm
