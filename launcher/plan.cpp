// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/plan.h"

#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/comma_list.h"
#include "base/hex.h"
#include "cluster/directory.h"
#include "launcher/sizes.h"
#include "os/environment.h"

namespace ddict::launcher {
namespace {

Error cannot(std::string_view text) {
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

std::string counted(std::uint64_t count, std::string_view noun) {
    return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

/// Leaves of the allocation only the nodes of a list, in the allocation's order.
Result<void> keep_listed(slurm::Allocation& allocation, const Options& options) {
    const std::vector<std::string>& nodelist = options.nodelist;
    for (const std::string& name : nodelist) {
        if (allocation.find(name) == nullptr)
            return cannot(options.given_by("nodelist") + " names " + name + ", which job " +
                          allocation.job_id + " does not have: name some of its nodes (SLURM_JOB_NODELIST)");
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
            return cannot(options.given_by("nodelist") +
                          " chooses among the nodes of a Slurm job, and this is none: leave it out");
        const std::uint32_t asked = options.nodes.value_or(1);
        const std::uint64_t managers = std::uint64_t{asked} * options.managers_per_node;
        if (managers > limits::managers_per_node_max)
            return cannot(counted(managers, "manager") + " on one machine; at most " +
                          std::to_string(limits::managers_per_node_max) + ": lower " +
                          options.given_by("nodes") + " or " + options.given_by("managers-per-node"));
        plan.nodes = 1;
        plan.managers_per_node = static_cast<std::uint32_t>(managers);
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
        return cannot("asked for " + counted(plan.nodes, "node") + ", job " + plan.allocation->job_id +
                      " has " + std::to_string(have) + ": lower " + options.given_by("nodes") +
                      " or submit with -N " + std::to_string(plan.nodes));
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
    plan.identity = identity;
    plan.name = options.name;
    plan.timeout = options.timeout;
    plan.manager_program = options.manager_program;
    plan.restart = options.restart;
    plan.allocation = allocation;
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
    node.pmix = plan.allocation.has_value();
    node.nodes = plan.nodes;
    node.managers_per_node = plan.managers_per_node;
    node.pool_bytes = plan.pool_bytes;
    node.timeout = plan.timeout;
    node.manager_program = plan.manager_program;
    node.restart = plan.restart;
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
            "--rendezvous=" + std::string(plan.pmix ? "pmix" : "none"),
            "--nodes=" + std::to_string(plan.nodes),
            "--managers-per-node=" + std::to_string(plan.managers_per_node),
            "--pool-bytes=" + std::to_string(plan.pool_bytes),
            "--timeout-ms=" + std::to_string(plan.timeout.count()),
            "--job-memory=" + std::to_string(plan.job_memory_bytes.value_or(0)),
            "--manager-program=" + plan.manager_program,
            "--restart=" + std::to_string(plan.restart ? 1 : 0),
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
    const std::string rendezvous = in.text("rendezvous");
    plan.pmix = rendezvous == "pmix";
    plan.nodes = in.number<std::uint32_t>("nodes");
    plan.managers_per_node = in.number<std::uint32_t>("managers-per-node");
    plan.pool_bytes = in.number<std::uint64_t>("pool-bytes");
    plan.timeout = std::chrono::milliseconds(in.number<std::int64_t>("timeout-ms"));
    const auto job_memory = in.number<std::uint64_t>("job-memory");
    if (job_memory != 0) plan.job_memory_bytes = job_memory;
    plan.manager_program = in.text("manager-program");
    plan.restart = in.number<unsigned>("restart") != 0;
    plan.client_hosts = split_list(in.text("client-hosts"));
    const bool sensible = (plan.pmix || rendezvous == "none") && plan.nodes >= 1 &&
                          plan.nodes <= limits::managers_max && plan.managers_per_node >= 1 &&
                          plan.managers_per_node <= limits::managers_per_node_max &&
                          plan.pool_bytes >= limits::pool_bytes_min && plan.timeout.count() > 0;
    if (!in.good() || !sensible) return cannot("--node is for ddict-launch itself, not for people");
    const auto secret = environment.find(secret_variable);
    if (secret == environment.end() || !parse_secret(secret->second, plan.identity.secret))
        return cannot("the environment variable DDICT_SECRET did not reach this node");
    return plan;
}

}  // namespace ddict::launcher
