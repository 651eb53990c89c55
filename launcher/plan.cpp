// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/plan.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/comma_list.h"
#include "base/counted.h"
#include "base/hex.h"
#include "cluster/directory.h"
#include "launcher/host_file.h"
#include "launcher/sizes.h"
#include "os/environment.h"

namespace ddict::launcher {
namespace {

Error cannot(std::string_view text) {
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

std::string whose(const slurm::Allocation& allocation, const Options& options) {
    return options.hosts.empty() ? "job " + allocation.job_id
                                 : options.given_by("hosts") + " " + options.hosts;
}

/// Leaves of the allocation only the nodes of a list, in the allocation's order.
Result<void> keep_listed(slurm::Allocation& allocation, const Options& options) {
    const std::vector<std::string>& nodelist = options.nodelist;
    for (const std::string& name : nodelist) {
        if (allocation.find(name) != nullptr) continue;
        return cannot(options.given_by("nodelist") + " names " + name + ", which " +
                      whose(allocation, options) + " does not have" +
                      (options.hosts.empty() ? ": name some of its nodes (SLURM_JOB_NODELIST)" : ""));
    }
    std::erase_if(allocation.nodes, [&](const slurm::AllocatedNode& node) {
        return std::find(nodelist.begin(), nodelist.end(), node.name) == nodelist.end();
    });
    return {};
}

/// Nodes and managers on each. Without Slurm there is one node, and asking for more multiplies its managers.
Result<void> place(LaunchPlan& plan, const Options& options) {
    if (!plan.allocation) {
        if (!options.nodelist.empty())
            return cannot(
                options.given_by("nodelist") +
                " chooses among the nodes of a Slurm job, or of --hosts, and there is neither: leave it out");
        const std::uint32_t asked = options.nodes.value_or(1);
        const std::uint64_t managers = std::uint64_t{asked} * options.managers_per_node;
        if (managers > limits::managers_per_node_max)
            return cannot(counted(managers, "manager") + " on one machine; at most " +
                          std::to_string(limits::managers_per_node_max) + ": lower " +
                          options.given_by("nodes") + " or " + options.given_by("managers-per-node"));
        plan.nodes = 1;
        plan.managers_per_node = static_cast<std::uint32_t>(managers);
        if (!options.command.empty() && std::filesystem::path(options.command[0]).filename() == "srun")
            plan.remarks.push_back(
                "this is no Slurm job, so all managers run on this host, and what srun starts elsewhere "
                "may not reach them: submit it by sbatch, or get nodes by salloc first");
        if (asked > 1)
            plan.remarks.push_back("no Slurm job here: all " + counted(managers, "manager") +
                                   " run on this machine");
        return {};
    }
    if (!options.nodelist.empty()) {
        if (const auto kept = keep_listed(*plan.allocation, options); !kept) return kept;
    }
    const auto have = static_cast<std::uint32_t>(plan.allocation->nodes.size());
    plan.nodes = options.nodes.value_or(have);
    if (plan.nodes > have && !options.nodelist.empty())
        return cannot("asked for " + counted(plan.nodes, "node") + ", and " + options.given_by("nodelist") +
                      " names " + std::to_string(have) + ": lower " + options.given_by("nodes") +
                      " or name more");
    if (plan.nodes > have)
        return cannot(
            "asked for " + counted(plan.nodes, "node") + ", " + whose(*plan.allocation, options) + " has " +
            std::to_string(have) + ": lower " + options.given_by("nodes") +
            (options.hosts.empty() ? " or submit with -N " + std::to_string(plan.nodes) : " or name more"));
    if (std::uint64_t{plan.nodes} * options.managers_per_node > limits::managers_max)
        return cannot("more than " + std::to_string(limits::managers_max) + " managers in all: lower " +
                      options.given_by("nodes") + " or " + options.given_by("managers-per-node"));
    plan.managers_per_node = options.managers_per_node;
    return {};
}

/// Reads "--key=value" arguments in order.
class NodeArguments {
  public:
    explicit NodeArguments(const std::vector<std::string>& args) : args_(args) {}

    std::string text(std::string_view key) {
        const std::string prefix = "--" + std::string(key) + "=";
        for (const std::string& arg : args_) {
            if (arg.starts_with(prefix)) return arg.substr(prefix.size());
        }
        good_ = false;
        return {};
    }
    template <class T>
    T number(std::string_view key, int base = 10) {
        const std::string digits = text(key);
        T value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
        if (error != std::errc() || end != digits.data() + digits.size()) good_ = false;
        return value;
    }
    bool good() const { return good_; }

  private:
    const std::vector<std::string>& args_;
    bool good_ = true;
};

constexpr std::array<std::pair<std::string_view, Bootstrap>, 3> bootstraps{
    {{"alone", Bootstrap::alone}, {"pmix", Bootstrap::pmix}, {"streams", Bootstrap::streams}}};

std::string_view word_of(Bootstrap bootstrap) {
    return bootstraps[static_cast<std::size_t>(bootstrap)].first;
}

std::optional<Bootstrap> bootstrap_named(std::string_view word) {
    for (const auto& [name, bootstrap] : bootstraps)
        if (name == word) return bootstrap;
    return std::nullopt;
}

bool parse_secret(std::string_view text, Secret& secret) {
    if (text.size() != 2 * secret.size()) return false;
    for (std::size_t i = 0; i < secret.size(); ++i) {
        unsigned value = 0;
        const auto [end, error] = std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, value, 16);
        if (error != std::errc() || end != text.data() + 2 * i + 2) return false;
        secret[i] = static_cast<std::byte>(value);
    }
    return true;
}

}  // namespace

Result<Identity> make_identity() {
    Identity identity;
    std::array<std::byte, sizeof identity.dictionary_id + sizeof identity.secret> random;
    if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
        return Error(Errc::system, "getrandom gave too few bytes").set_operation(Operation::launch);
    std::memcpy(&identity.dictionary_id, random.data(), sizeof identity.dictionary_id);
    std::memcpy(&identity.secret, random.data() + sizeof identity.dictionary_id, sizeof identity.secret);
    if (identity.dictionary_id == 0) identity.dictionary_id = 1;
    return identity;
}

Result<LaunchPlan> plan_launch(const Options& options, const std::optional<slurm::Allocation>& allocation,
                               const Identity& identity, std::uint64_t page_bytes) {
    LaunchPlan plan;
    plan.working_set = options.working_set;
    plan.persist = options.persist;
    plan.log = options.log;
    plan.identity = identity;
    plan.name = options.name;
    plan.timeout = options.timeout;
    plan.manager_program = options.manager_program;
    plan.bind = options.bind;
    plan.prefault = options.prefault;
    plan.huge_pages = options.huge_pages;
    plan.restart = options.restart;
    plan.resume = options.resume;
    plan.allow_empty = options.allow_empty;
    plan.allocation = allocation;
    if (!options.hosts.empty()) plan.rsh = remote_shell(options);
    if (const auto placed = place(plan, options); !placed) return placed.error();

    plan.pool_bytes = options.total_bytes / plan.managers() / page_bytes * page_bytes;
    if (plan.pool_bytes < limits::pool_bytes_min)
        return cannot(options.given_by("total-mem") + " " + format_size(options.total_bytes) +
                      " is too little for " + counted(plan.managers(), "manager") + " of at least " +
                      format_size(limits::pool_bytes_min) + " each: ask for " +
                      format_size(limits::pool_bytes_min * plan.managers()) + " or more");
    return plan;
}

NodePlan node_plan(const LaunchPlan& plan) {
    NodePlan node;
    node.identity = plan.identity;
    node.name = plan.name;
    node.bootstrap = plan.bootstrap;
    node.in_job = plan.in_job();
    node.nodes = plan.nodes;
    node.managers_per_node = plan.managers_per_node;
    node.pool_bytes = plan.pool_bytes;
    node.working_set = plan.working_set;
    node.persist = plan.persist;
    node.timeout = plan.timeout;
    node.manager_program = plan.manager_program;
    node.bind = plan.bind;
    node.prefault = plan.prefault;
    node.huge_pages = plan.huge_pages;
    node.tells_sessions = !plan.log.path.empty() && plan.log.level >= LogLevel::debug;
    node.restart = plan.restart;
    node.resume = plan.resume;
    node.allow_empty = plan.allow_empty;
    node.client_hosts = plan.client_hosts;
    if (plan.allocation) {
        // One command line serves all nodes, so the tightest node's figure stands for each.
        for (std::uint32_t i = 0; i < plan.nodes; ++i) {
            const auto& memory = plan.allocation->nodes[i].memory_bytes;
            if (memory && (!node.job_memory_bytes || *memory < *node.job_memory_bytes))
                node.job_memory_bytes = memory;
        }
    }
    return node;
}

std::vector<std::string> node_arguments(const NodePlan& plan) {
    return {"--node",
            "--id=" + hex(plan.identity.dictionary_id),
            "--name=" + plan.name,
            "--bootstrap=" + std::string(word_of(plan.bootstrap)),
            "--in-job=" + std::to_string(plan.in_job ? 1 : 0),
            "--nodes=" + std::to_string(plan.nodes),
            "--managers-per-node=" + std::to_string(plan.managers_per_node),
            "--pool-bytes=" + std::to_string(plan.pool_bytes),
            "--working-set=" + std::to_string(plan.working_set.packed()),
            "--persist-path=" + plan.persist.path,
            "--persist-count=" + std::to_string(plan.persist.count),
            "--read-only=" + std::to_string(plan.persist.read_only ? 1 : 0),
            "--timeout-ms=" + std::to_string(plan.timeout.count()),
            "--job-memory=" + std::to_string(plan.job_memory_bytes.value_or(0)),
            "--manager-program=" + plan.manager_program,
            "--bind=" + std::string(word_of(plan.bind)),
            "--prefault=" + std::to_string(plan.prefault ? 1 : 0),
            "--huge-pages=" + std::to_string(plan.huge_pages ? 1 : 0),
            "--tell-sessions=" + std::to_string(plan.tells_sessions ? 1 : 0),
            "--restart=" + std::to_string(plan.restart ? 1 : 0),
            "--resume=" + std::to_string(plan.resume ? 1 : 0),
            "--allow-empty=" + std::to_string(plan.allow_empty ? 1 : 0),
            "--client-hosts=" + join_list(plan.client_hosts)};
}

std::string secret_text(const Secret& secret) {
    std::string text;
    for (const std::byte b : secret) {
        text += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
        text += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
    }
    return text;
}

Result<NodePlan> parse_node_arguments(const std::vector<std::string>& args,
                                      const os::Environment& environment) {
    NodeArguments in(args);
    NodePlan plan;
    plan.identity.dictionary_id = in.number<std::uint64_t>("id", 16);
    plan.name = in.text("name");
    const auto bootstrap = bootstrap_named(in.text("bootstrap"));
    plan.bootstrap = bootstrap.value_or(Bootstrap::alone);
    plan.in_job = in.number<unsigned>("in-job") != 0;
    plan.nodes = in.number<std::uint32_t>("nodes");
    plan.managers_per_node = in.number<std::uint32_t>("managers-per-node");
    plan.pool_bytes = in.number<std::uint64_t>("pool-bytes");
    plan.working_set = WorkingSetSettings::of(in.number<std::uint32_t>("working-set"));
    plan.persist.path = in.text("persist-path");
    plan.persist.count = in.number<std::uint32_t>("persist-count");
    plan.persist.read_only = in.number<unsigned>("read-only") != 0;
    plan.timeout = std::chrono::milliseconds(in.number<std::int64_t>("timeout-ms"));
    const auto job_memory = in.number<std::uint64_t>("job-memory");
    if (job_memory != 0) plan.job_memory_bytes = job_memory;
    plan.manager_program = in.text("manager-program");
    const auto bind = bind_named(in.text("bind"));
    plan.bind = bind.value_or(Bind::none);
    plan.prefault = in.number<unsigned>("prefault") != 0;
    plan.huge_pages = in.number<unsigned>("huge-pages") != 0;
    plan.tells_sessions = in.number<unsigned>("tell-sessions") != 0;
    plan.restart = in.number<unsigned>("restart") != 0;
    plan.resume = in.number<unsigned>("resume") != 0;
    plan.allow_empty = in.number<unsigned>("allow-empty") != 0;
    plan.client_hosts = split_list(in.text("client-hosts"));
    const bool sensible = bootstrap && bind && plan.nodes >= 1 && plan.nodes <= limits::managers_max &&
                          plan.managers_per_node >= 1 &&
                          plan.managers_per_node <= limits::managers_per_node_max &&
                          plan.working_set.size >= 1 && plan.working_set.size <= limits::working_set_max &&
                          plan.pool_bytes >= limits::pool_bytes_min && plan.timeout.count() > 0;
    if (!in.good() || !sensible) return cannot("--node is for ddict-launch itself, not for people");
    const auto secret = environment.find(secret_variable);
    if (secret == environment.end() || !parse_secret(secret->second, plan.identity.secret))
        return cannot("the environment variable DDICT_SECRET did not reach this node");
    return plan;
}

}  // namespace ddict::launcher
