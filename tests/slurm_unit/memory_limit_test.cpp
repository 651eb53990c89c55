// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/memory_limit.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace ddict::slurm {
namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;

// A tree of files such as the kernel shows them, with 16 GiB of memory of which 10 GiB are free.
class MemoryLimitTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "ddict-memory-XXXXXX").string();
        ASSERT_TRUE(mkdtemp(pattern.data()));
        root_ = pattern;
        write("proc/meminfo",
              "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:   10485760 "
              "kB\nBuffers: 1 kB\n");
    }
    void TearDown() override { std::filesystem::remove_all(root_); }

    void write(const std::string& path, const std::string& text) {
        std::filesystem::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }
    void version1_group(const std::string& path, std::uint64_t limit, std::uint64_t usage,
                        std::uint64_t cache) {
        const std::string directory = "sys/fs/cgroup/memory" + path + "/";
        write(directory + "memory.limit_in_bytes", std::to_string(limit) + "\n");
        write(directory + "memory.usage_in_bytes", std::to_string(usage) + "\n");
        write(directory + "memory.stat", "cache 1\nactive_file 7\ntotal_cache 2\ntotal_inactive_file " +
                                             std::to_string(cache) + "\ntotal_active_file 1000\n");
    }
    void version2_group(const std::string& path, const std::string& limit, std::uint64_t usage,
                        std::uint64_t cache) {
        const std::string directory = "sys/fs/cgroup" + path + "/";
        write(directory + "memory.max", limit + "\n");
        write(directory + "memory.current", std::to_string(usage) + "\n");
        write(directory + "memory.stat",
              "anon 5\nfile 6\ninactive_file " + std::to_string(cache) + "\nactive_file 1000\n");
    }
    MemoryLimit limit(std::optional<std::uint64_t> job = std::nullopt) {
        const auto found = memory_limit(job, root_);
        EXPECT_TRUE(found) << found.error().message();
        return found ? *found : MemoryLimit{};
    }

    std::filesystem::path root_;
};

const char* const version1_mounts =
    "25 1 8:1 / / rw - ext4 /dev/root rw\n"
    "30 25 0:26 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "31 25 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n";

TEST_F(MemoryLimitTest, without_cgroups_it_is_what_the_node_has) {
    EXPECT_EQ(limit().limit_bytes, 16 * gib);
    EXPECT_EQ(limit().free_bytes(), 10 * gib);
    EXPECT_EQ(limit().source, "this node's memory");
}

TEST_F(MemoryLimitTest, what_the_job_asked_for_counts_if_it_is_less) {
    EXPECT_EQ(limit(4 * gib).limit_bytes, 4 * gib);
    EXPECT_EQ(limit(4 * gib).source, "the memory that the job asked for");
    EXPECT_EQ(limit(12 * gib).source, "this node's memory");
}

TEST_F(MemoryLimitTest, version_1_counts_a_group_above_the_own) {
    write("proc/self/mountinfo", version1_mounts);
    write("proc/self/cgroup", "5:cpu,cpuacct:/other\n4:memory:/slurm/uid_0/job_7/step_0\n0::/\n");
    version1_group("", 9223372036854771712u, 5 * gib, 0);
    version1_group("/slurm/uid_0/job_7", 3 * gib, 2 * gib, gib);
    version1_group("/slurm/uid_0/job_7/step_0", 9223372036854771712u, gib, 0);
    EXPECT_EQ(limit().limit_bytes, 3 * gib);
    EXPECT_EQ(limit().used_bytes, gib - 1000);  // page cache of files can be had back
    EXPECT_EQ(limit().source, "the cgroup /slurm/uid_0/job_7");
    EXPECT_EQ(limit(gib).source, "the memory that the job asked for");
}

TEST_F(MemoryLimitTest, version_2_counts_the_tightest_not_the_lowest_limit) {
    write("proc/self/mountinfo",
          "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    write("proc/self/cgroup", "0::/system.slice/job_7/step_0\n");
    version2_group("/system.slice", "max", 9 * gib, 0);
    version2_group("/system.slice/job_7", std::to_string(4 * gib), 3 * gib, 0);
    version2_group("/system.slice/job_7/step_0", std::to_string(2 * gib), gib / 2, 1000);
    EXPECT_EQ(limit().source, "the cgroup /system.slice/job_7");
    EXPECT_EQ(limit().free_bytes(), gib + 1000);
    version2_group("/system.slice/job_7", "max", 3 * gib, 0);
    EXPECT_EQ(limit().source, "the cgroup /system.slice/job_7/step_0");
    EXPECT_EQ(limit().used_bytes, gib / 2 - 2000);
}

TEST_F(MemoryLimitTest, in_a_container_only_what_is_mounted_counts) {
    write("proc/self/mountinfo",
          "31 25 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    version1_group("", 2 * gib, gib, 0);
    version1_group("/job", gib, 0, 0);
    write("proc/self/cgroup", "4:memory:/docker/abc/job\n");
    EXPECT_EQ(limit().limit_bytes, gib);
    write("proc/self/cgroup", "4:memory:/somewhere/else\n");
    EXPECT_EQ(limit().limit_bytes, 2 * gib);
    EXPECT_EQ(limit().source, "the cgroup /");
}

// As a container made with a cgroup namespace, but without a mount of its own, sees it.
TEST_F(MemoryLimitTest, the_own_group_is_found_in_a_cgroup_namespace) {
    const std::string self = std::to_string(getpid()) + "\n";
    write("proc/self/mountinfo", "31 25 0:27 /../.. /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    write("proc/self/cgroup", "4:memory:/\n");
    version1_group("", 9223372036854771712u, 5 * gib, 0);
    version1_group("/slurm/job_6", gib, 0, 0);
    version1_group("/slurm/job_7", 2 * gib, 0, 0);
    version1_group("/slurm/job_7/step_0", 3 * gib, 0, 0);
    write("sys/fs/cgroup/memory/slurm/job_6/cgroup.procs", "1\n" + self.substr(1));
    write("sys/fs/cgroup/memory/slurm/job_7/step_0/cgroup.procs", "1\n" + self);
    EXPECT_EQ(limit().limit_bytes, 2 * gib);
    EXPECT_EQ(limit().source, "the cgroup /slurm/job_7");
    EXPECT_EQ(limit().unseen, "");
}

TEST_F(MemoryLimitTest, a_limit_that_cannot_be_seen_is_told) {
    write("proc/self/mountinfo", "31 25 0:27 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    write("proc/self/cgroup", "0::/\n");
    version2_group("/job_6", std::to_string(gib), 0, 0);
    write("sys/fs/cgroup/job_6/cgroup.procs", "1\n");
    EXPECT_EQ(limit().limit_bytes, 16 * gib) << "another job's limit is not this one's";
    EXPECT_NE(limit().unseen.find("cgroup is not among those mounted"), std::string::npos);
    write("proc/self/mountinfo", "29 23 0:26 / / rw - ext4 /dev/root rw\n");
    EXPECT_NE(limit().unseen.find("no cgroups are mounted here"), std::string::npos);
}

TEST_F(MemoryLimitTest, a_group_over_its_limit_has_nothing_free) {
    write("proc/self/mountinfo", version1_mounts);
    write("proc/self/cgroup", "4:memory:/a\n");
    version1_group("/a", gib, 2 * gib, 0);
    EXPECT_EQ(limit().free_bytes(), 0u);
}

TEST_F(MemoryLimitTest, garbage_counts_for_nothing) {
    write("proc/self/mountinfo",
          "x\n\n - \n1 2 3 - cgroup2\n31 25 0:27 / /sys/fs/cgroup rw - cgroup2 c rw\n");
    write("proc/self/cgroup", "\nx\n:\n::\n0::/a/../b\n");
    version2_group("/b", "", 1, 0);
    version2_group("/a", "lots", 1, 0);
    EXPECT_EQ(limit().source, "this node's memory");
}

TEST_F(MemoryLimitTest, without_meminfo_there_is_no_answer) {
    for (const char* const text : {"", "MemTotal: 5 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n",
                                   "MemTotal: 1 kB\nMemAvailable: 5 kB\n", "MemTotal:\nMemAvailable:\n"}) {
        write("proc/meminfo", text);
        const auto found = memory_limit(std::nullopt, root_);
        ASSERT_FALSE(found) << text;
        EXPECT_EQ(found.error().code, Errc::system);
    }
}

TEST(MemoryLimitOfThisProcess, is_found) {
    const auto found = memory_limit(std::nullopt);
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_GT(found->limit_bytes, 0u);
    EXPECT_FALSE(found->source.empty());
}

}  // namespace
}  // namespace ddict::slurm
