// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who runs where; whether there is space; what node launchers are told.
#include "launcher/plan.h"

#include <gtest/gtest.h>

#include "cluster/handle.h"
#include "launcher/client_hosts.h"
#include "launcher/memory_budget.h"
#include "launcher/node_directory.h"
#include "os/environment.h"
#include "os/network_interfaces.h"

namespace ddict::launcher {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t mebibyte = 1 << 20;

slurm::Allocation job_of(std::uint32_t nodes) {
    slurm::Allocation job;
    job.job_id = "77";
    for (std::uint32_t i = 0; i < nodes; ++i) {
        slurm::AllocatedNode node;
        node.name = "n" + std::to_string(i + 1);
        job.nodes.push_back(node);
    }
    return job;
}

Options asking(std::optional<std::uint32_t> nodes, std::uint32_t managers_per_node,
               std::uint64_t total_bytes) {
    Options options;
    options.nodes = nodes;
    options.managers_per_node = managers_per_node;
    options.total_bytes = total_bytes;
    return options;
}

TEST(Plan, WithoutSlurmAllIsHere) {
    const auto plan = plan_launch(asking({}, 2, 64 * mebibyte), {}, {}, page);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->nodes, 1U);
    EXPECT_EQ(plan->managers_per_node, 2U);
    EXPECT_EQ(plan->pool_bytes, 32 * mebibyte);
    EXPECT_TRUE(plan->remarks.empty());

    const auto multiplied = plan_launch(asking(3, 2, 64 * mebibyte), {}, {}, page);
    ASSERT_TRUE(multiplied);
    EXPECT_EQ(multiplied->nodes, 1U);
    EXPECT_EQ(multiplied->managers_per_node, 6U);
    EXPECT_EQ(multiplied->remarks.size(), 1U);
    EXPECT_FALSE(plan_launch(asking(200, 2, mebibyte << 20), {}, {}, page)) << "400 managers on one machine";

    Options with_srun = asking({}, 2, 64 * mebibyte);
    with_srun.command = {"/usr/bin/srun", "./program"};
    const auto remarked = plan_launch(with_srun, {}, {}, page);
    ASSERT_TRUE(remarked);
    ASSERT_EQ(remarked->remarks.size(), 1U);
    EXPECT_TRUE(remarked->remarks[0].starts_with("this is no Slurm job")) << remarked->remarks[0];
}

TEST(Plan, NamesTheVariableWhereThatHasSetWhatIsWrong) {
    const auto refusal = [](const os::Environment& environment) {
        const auto options = parse_options({"--", "x"}, environment);
        const auto plan = plan_launch(options.value(), {}, {}, page);
        return std::string(plan ? "planned" : plan.error().detail.data());
    };
    EXPECT_TRUE(refusal({{"DDICT_TOTAL_MEM", "1K"}}).starts_with("DDICT_TOTAL_MEM 1K is too little"));
    EXPECT_TRUE(refusal({{"DDICT_NODELIST", "n1"}}).starts_with("DDICT_NODELIST chooses among"));
    EXPECT_NE(refusal({{"DDICT_NODES", "500"}}).find("lower DDICT_NODES or --managers-per-node"),
              std::string::npos);
}

TEST(Plan, InAJobTakesAllNodesOrSoManyAsAsked) {
    EXPECT_EQ(plan_launch(asking({}, 2, 64 * mebibyte), job_of(4), {}, page).value().managers(), 8U);
    EXPECT_EQ(plan_launch(asking(3, 2, 64 * mebibyte), job_of(4), {}, page).value().managers(), 6U);
    const auto too_many = plan_launch(asking(5, 1, 64 * mebibyte), job_of(4), {}, page);
    ASSERT_FALSE(too_many);
    EXPECT_STREQ(too_many.error().detail.data(),
                 "asked for 5 nodes, job 77 has 4: lower --nodes or submit with -N 5");
}

TEST(Plan, ANodelistChoosesAmongTheNodesOfTheJob) {
    Options options = asking({}, 1, 64 * mebibyte);
    options.nodelist = {"n4", "n2", "n4"};
    const auto names = [](const LaunchPlan& plan) {
        std::vector<std::string> all;
        for (std::uint32_t i = 0; i < plan.nodes; ++i)
            all.push_back(plan.allocation->nodes[i].name);
        return all;
    };
    EXPECT_EQ(names(plan_launch(options, job_of(4), {}, page).value()),
              (std::vector<std::string>{"n2", "n4"}))
        << "in the job's order";
    options.nodes = 1;
    EXPECT_EQ(names(plan_launch(options, job_of(4), {}, page).value()), std::vector<std::string>{"n2"});

    options.nodes = 3;
    const auto too_many = plan_launch(options, job_of(4), {}, page);
    ASSERT_FALSE(too_many);
    EXPECT_STREQ(too_many.error().detail.data(),
                 "asked for 3 nodes, and --nodelist names 2: lower --nodes or name more");
    const auto foreign = plan_launch(options, job_of(3), {}, page);
    ASSERT_FALSE(foreign);
    EXPECT_STREQ(foreign.error().detail.data(),
                 "--nodelist names n4, which job 77 does not have: name some "
                 "of its nodes (SLURM_JOB_NODELIST)");
    const auto no_job = plan_launch(options, {}, {}, page);
    ASSERT_FALSE(no_job);
    EXPECT_NE(std::string(no_job.error().detail.data()).find("there is neither: leave it out"),
              std::string::npos);
}

TEST(Plan, PoolsAreWholePagesAndNeverMoreThanAsked) {
    for (const std::uint32_t managers : {1U, 3U, 7U, 100U}) {
        const std::uint64_t total = 1000 * mebibyte + 12345;
        const auto plan = plan_launch(asking({}, managers, total), {}, {}, page);
        ASSERT_TRUE(plan);
        EXPECT_EQ(plan->pool_bytes % page, 0U);
        EXPECT_LE(plan->total_bytes(), total);
        EXPECT_GT(plan->total_bytes() + managers * page, total);
    }
}

TEST(Plan, PoolsHaveASmallestSize) {
    EXPECT_TRUE(plan_launch(asking({}, 4, 4 * mebibyte), {}, {}, page));
    const auto plan = plan_launch(asking({}, 4, 4 * mebibyte - 1), {}, {}, page);
    ASSERT_FALSE(plan);
    EXPECT_NE(std::string(plan.error().detail.data()).find("ask for 4M or more"), std::string::npos);
}

TEST(Plan, ReachesTheNodeLauncherWhole) {
    slurm::Allocation job = job_of(3);
    job.nodes[0].memory_bytes = 500 * mebibyte;
    job.nodes[1].memory_bytes = 400 * mebibyte;
    const Identity identity = make_identity().value();
    Options options = asking(2, 2, 64 * mebibyte);
    options.name = "x.y";
    options.manager_program = "/a b/c=d";
    options.bind = Bind::core;
    options.prefault = true;
    options.huge_pages = true;
    options.log = {.path = "/log", .level = LogLevel::debug};
    LaunchPlan plan = plan_launch(options, job, identity, page).value();
    plan.client_hosts = {"10.0.0.1", "fd00::1"};
    plan.bootstrap = Bootstrap::streams;
    const NodePlan sent = node_plan(plan);
    std::vector<std::string> args = node_arguments(sent);
    ASSERT_EQ(args.front(), "--node");
    for (const std::string& arg : args)
        EXPECT_EQ(arg.find(secret_text(identity.secret)), std::string::npos) << "others can read arguments";
    args.erase(args.begin());
    const auto got = parse_node_arguments(args, {{secret_variable, secret_text(identity.secret)}});
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->identity.dictionary_id, identity.dictionary_id);
    EXPECT_EQ(got->identity.secret, identity.secret);
    EXPECT_EQ(got->name, "x.y");
    EXPECT_EQ(got->bootstrap, Bootstrap::streams);
    EXPECT_TRUE(got->in_job);
    EXPECT_EQ(got->nodes, 2U);
    EXPECT_EQ(got->managers_per_node, 2U);
    EXPECT_EQ(got->pool_bytes, 16 * mebibyte);
    EXPECT_EQ(got->timeout, options.timeout);
    EXPECT_EQ(got->job_memory_bytes, 400 * mebibyte) << "the tightest of the nodes that are used";
    EXPECT_EQ(got->manager_program, "/a b/c=d");
    EXPECT_EQ(got->client_hosts, plan.client_hosts);
    EXPECT_EQ(got->bind, Bind::core);
    EXPECT_TRUE(got->prefault);
    EXPECT_TRUE(got->huge_pages);
    EXPECT_TRUE(got->tells_sessions);
    plan.log.level = LogLevel::info;
    EXPECT_FALSE(node_plan(plan).tells_sessions);
    plan.log = {.path = "", .level = LogLevel::debug};
    EXPECT_FALSE(node_plan(plan).tells_sessions) << "there is no log";

    EXPECT_FALSE(parse_node_arguments(args, {}));
    EXPECT_FALSE(parse_node_arguments(args, {{secret_variable, "0123"}}));
    for (std::size_t i = 0; i < args.size(); ++i) {
        std::vector<std::string> fewer = args;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_FALSE(parse_node_arguments(fewer, {{secret_variable, secret_text(identity.secret)}}))
            << args[i];
    }
}

TEST(Plan, IdentitiesDiffer) {
    const Identity one = make_identity().value();
    const Identity other = make_identity().value();
    EXPECT_NE(one.dictionary_id, other.dictionary_id);
    EXPECT_NE(one.secret, other.secret);
}

TEST(MemoryBudget, WantsSpaceInSharedMemoryAndInTheJob) {
    const MemoryNeed need{2, 8, 100 * mebibyte};
    const MemoryHave plenty{1000 * mebibyte, 1000 * mebibyte, "the job's --mem"};
    EXPECT_TRUE(check_memory(need, plenty));
    EXPECT_GE(need.shared_bytes(), 200 * mebibyte);
    EXPECT_LT(need.shared_bytes(), 202 * mebibyte) << "little more than the pools";

    MemoryHave small_shm = plenty;
    small_shm.shared_free_bytes = 200 * mebibyte;
    const auto no_shm = check_memory(need, small_shm);
    ASSERT_FALSE(no_shm);
    EXPECT_EQ(no_shm.error().need_bytes, need.shared_bytes());
    EXPECT_EQ(no_shm.error().have_bytes, 200 * mebibyte);
    EXPECT_NE(std::string(no_shm.error().detail.data()).find("2 pools need 200.3M, /dev/shm has 200M free"),
              std::string::npos)
        << no_shm.error().detail.data();

    MemoryHave just_too_small = plenty;
    just_too_small.shared_free_bytes = need.shared_bytes() - 1;
    const std::string close = check_memory(need, just_too_small).error().detail.data();
    EXPECT_NE(close.find(" " + std::to_string(need.shared_bytes()) + " bytes, /dev/shm has " +
                         std::to_string(need.shared_bytes() - 1) + " free"),
              std::string::npos)
        << close;

    MemoryHave small_job = plenty;
    small_job.free_bytes = 210 * mebibyte;
    const auto no_job = check_memory(need, small_job);
    ASSERT_FALSE(no_job);
    EXPECT_NE(std::string(no_job.error().detail.data()).find("the job's --mem has 210M free"),
              std::string::npos);
}

TEST(MemoryBudget, OfKeptPoolsWantsWhatIsMissing) {
    const MemoryNeed whole{2, 2, 100 * mebibyte, 2};
    const MemoryHave little{50 * mebibyte, 1000 * mebibyte, "the job's --mem"};
    EXPECT_TRUE(check_memory(whole, little));
    const MemoryNeed sparse{2, 2, 100 * mebibyte, 2, 120 * mebibyte};
    const auto too_much = check_memory(sparse, little);
    ASSERT_FALSE(too_much);
    EXPECT_NE(std::string(too_much.error().detail.data())
                  .find("its pools, not all of which were there, still need 120.1M, /dev/shm has 50M free"),
              std::string::npos)
        << too_much.error().detail.data();
}

std::string node_of(std::uint32_t first, std::uint32_t count, const std::string& name, std::uint32_t version,
                    const std::vector<std::string>& addresses = {},
                    const std::vector<std::string>& hosts = {}) {
    std::vector<DirectoryEntry> entries;
    for (std::uint32_t i = 0; i < count; ++i) {
        DirectoryEntry entry;
        entry.shard = ShardId{first + i};
        entry.node = name;
        entry.address.assign(10 + i, std::byte{7});
        entries.push_back(entry);
    }
    return pack_node(
        {.ucx_version = version, .used_addresses = addresses, .hosts = hosts, .entries = entries});
}

TEST(NodeDirectory, IsGatheredInOrder) {
    const auto all =
        NodeDirectory::gather({node_of(0, 2, "a", 5), node_of(2, 2, "b", 5), node_of(4, 2, "c", 5)}, 2);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->entries.size(), 6U);
    for (std::uint32_t i = 0; i < 6; ++i)
        EXPECT_EQ(all->entries[i].shard, ShardId{i});
    EXPECT_EQ(all->ucx_version, 5U);

    NodePlan plan;
    plan.nodes = 3;
    plan.name = "n";
    plan.persist = {.path = "/steps", .count = 2};
    const Handle handle = all->handle(plan);
    EXPECT_EQ(handle.persist, plan.persist);
    EXPECT_EQ(handle.managers, 6U);
    ASSERT_EQ(handle.seeds.size(), 3U);
    EXPECT_EQ(handle.seeds[0].node, "a");
    EXPECT_EQ(handle.seeds[1].node, "b");
    EXPECT_EQ(handle.seeds[2].node, "c");
}

TEST(NodeDirectory, TellsWhichAddressesAreOfSeveralNodes) {
    const auto all =
        NodeDirectory::gather({node_of(0, 1, "a", 5, {"10.0.0.1", "10.9.9.1"}), node_of(1, 1, "b", 5),
                               node_of(2, 1, "c", 5, {"10.0.0.3", "10.9.9.1"})},
                              1);
    ASSERT_TRUE(all);
    EXPECT_EQ(all->shared_addresses, std::vector<std::string>{"10.9.9.1"});
    NodePlan plan;
    plan.nodes = 3;
    const auto handle = Handle::parse(all->handle(plan).serialize());
    ASSERT_TRUE(handle);
    EXPECT_EQ(handle->shared_addresses, all->shared_addresses) << "clients must know them as well";
    std::vector<std::string> contributions;
    for (std::uint32_t node = 0; node < 2; ++node) {
        std::vector<std::string> many;
        for (int i = 0; i < 200; ++i)
            many.push_back("10.9.9." + std::to_string(i));
        contributions.push_back(node_of(node, 1, "n", 5, many));
    }
    EXPECT_EQ(NodeDirectory::gather(contributions, 1)->shared_addresses.size(), Handle::shared_addresses_max);
}

TEST(NodeDirectory, HasTheHostsOfAllNodesEachOnce) {
    const auto all = NodeDirectory::gather({node_of(0, 1, "a", 5, {"10.0.0.1"}, {"10.0.0.1", "172.17.0.1"}),
                                            node_of(1, 1, "b", 5, {"10.0.0.2"}, {"10.0.0.2", "172.17.0.1"})},
                                           1);
    ASSERT_TRUE(all);
    EXPECT_EQ(all->hosts, (std::vector<std::string>{"10.0.0.1", "10.0.0.2", "172.17.0.1"}));
}

TEST(ClientHosts, AreKnownOnlyIfEachNodeHasAnswered) {
    const std::string two =
        "ddict-address 10.0.0.3\nfrom a prolog\nddict-address 10.0.0.4\nddict-address end\n"
        "ddict-address fd00::4\nddict-address end\n";
    EXPECT_EQ(parse_addresses(two, 2), (std::vector<std::string>{"10.0.0.3", "10.0.0.4", "fd00::4"}));
    EXPECT_TRUE(parse_addresses(two, 3).empty());
    EXPECT_TRUE(parse_addresses(two, 1).empty());
    EXPECT_TRUE(parse_addresses("", 1).empty());
}

TEST(ClientHosts, NeedNoStepWhereAllNodesHaveManagersOrAllHostsAreAllowed) {
    auto plan = plan_launch(asking({}, 1, 64 * mebibyte), job_of(2), {}, page);
    ASSERT_TRUE(plan);
    const os::Environment no_srun{{"PATH", "/nonexistent"}};
    const ClientHosts own = find_client_hosts(*plan, job_of(2), no_srun);
    EXPECT_EQ(own.trouble, "");
    EXPECT_EQ(own.hosts, os::host_addresses().value());

    const ClientHosts unknown = find_client_hosts(*plan, job_of(3), no_srun);
    EXPECT_EQ(unknown.hosts, std::vector<std::string>{"all"});
    EXPECT_NE(unknown.trouble.find("the addresses of n3 could not be found out"), std::string::npos);

    os::Environment allowed = no_srun;
    allowed["DDICT_ALLOW_HOSTS"] = "n3";
    const ClientHosts named = find_client_hosts(*plan, job_of(3), allowed);
    EXPECT_EQ(named.hosts, os::host_addresses().value()) << "the user narrows it";
    EXPECT_NE(named.trouble.find("clients there are refused, unless DDICT_ALLOW_HOSTS names them"),
              std::string::npos);

    allowed["DDICT_ALLOW_HOSTS"] = "n7,all";
    const ClientHosts all = find_client_hosts(*plan, job_of(3), allowed);
    EXPECT_EQ(all.hosts, std::vector<std::string>{"all"});
    EXPECT_EQ(all.trouble, "");
}

TEST(NodeDirectory, RefusesWhatIsNotComplete) {
    EXPECT_FALSE(NodeDirectory::gather({node_of(0, 1, "a", 5)}, 2)) << "one is missing";
    EXPECT_FALSE(NodeDirectory::gather({node_of(0, 3, "a", 5)}, 2)) << "one too many";
    EXPECT_FALSE(NodeDirectory::gather({node_of(2, 2, "a", 5), node_of(0, 2, "b", 5)}, 2)) << "wrong order";
    EXPECT_FALSE(NodeDirectory::gather({""}, 1));
    const std::string whole = node_of(0, 2, "a", 5);
    for (std::size_t cut = 0; cut < whole.size(); ++cut)
        EXPECT_FALSE(NodeDirectory::gather({whole.substr(0, cut)}, 2)) << cut;
    const auto mixed = NodeDirectory::gather({node_of(0, 1, "a", 0x1000d), node_of(1, 1, "b", 0x1000f)}, 1);
    ASSERT_FALSE(mixed);
    EXPECT_EQ(mixed.error().code, Errc::incompatible);
    EXPECT_NE(std::string(mixed.error().detail.data()).find("b runs UCX 1.15, a runs UCX 1.13"),
              std::string::npos);
}

}  // namespace
}  // namespace ddict::launcher
