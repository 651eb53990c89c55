// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Slurm's own "scontrol show hostnames" is the oracle. It needs a configuration file, but no running Slurm.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slurm/hostlist.h"
#include "tests/slurm_unit/random_hosts.h"

namespace ddict::slurm {
namespace {

class Scontrol : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "ddict-scontrol-XXXXXX").string();
        ASSERT_TRUE(mkdtemp(pattern.data()));
        directory_ = pattern;
        std::ofstream(directory_ / "slurm.conf") << "ClusterName=none\nSlurmctldHost=localhost\n";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    // The lists contain nothing that a shell would touch inside quotes.
    std::vector<std::string> show_hostnames(const std::string& list) {
        const std::string command = "SLURM_CONF='" + (directory_ / "slurm.conf").string() +
                                    "' scontrol show hostnames '" + list + "'";
        std::FILE* const pipe = popen(command.c_str(), "r");
        EXPECT_TRUE(pipe);
        std::vector<std::string> names;
        char line[512];
        while (std::fgets(line, sizeof line, pipe)) {
            names.emplace_back(line);
            names.back().pop_back();
        }
        const int status = pclose(pipe);
        EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0)
            << command << ": if scontrol is not installed, run scripts/install-packages test";
        return names;
    }

    std::filesystem::path directory_;
};

TEST_F(Scontrol, expands_lists_as_we_do) {
    RandomHosts random;
    for (int round = 0; round < 150 && !HasFailure(); ++round) {
        const std::string list = random.list();
        const auto ours = expand_hostlist(list);
        ASSERT_TRUE(ours) << list << ": " << ours.error().message() << ", " << random.seed_text();
        EXPECT_EQ(*ours, show_hostnames(list)) << list << ", " << random.seed_text();
    }
}

TEST_F(Scontrol, understands_what_we_fold) {
    RandomHosts random;
    for (int round = 0; round < 100 && !HasFailure(); ++round) {
        const auto names = random.names();
        if (names.empty()) continue;
        const std::string list = compress_hostlist(names);
        EXPECT_EQ(show_hostnames(list), names) << list << ", " << random.seed_text();
    }
}

}  // namespace
}  // namespace ddict::slurm
