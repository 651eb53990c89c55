// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/check.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launcher/manager_process.h"
#include "launcher/preflight.h"
#include "launcher/supervision.h"
#include "shm/segment.h"
#include "slurm/hostlist.h"
#include "slurm/memory_limit.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds tool_timeout{10};

std::string last_line(const std::string& text) {
    std::istringstream lines(text);
    std::string last;
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty()) last = line;
    }
    return last;
}

/// Slurm and its PMIx. Outside a job their absence is no fault.
void check_slurm(bool in_job, const Environment& environment, std::vector<Finding>& findings) {
    const Level missing = in_job ? Level::failed : Level::warning;
    const auto version = capture_output({"srun", "--version"}, environment, tool_timeout);
    if (!version) {
        findings.push_back(
            in_job ? Finding{Level::failed, "Slurm: srun is not in PATH: add Slurm's bin folder to it"}
                   : Finding{Level::ok, "no Slurm here: managers run on this machine"});
        return;
    }
    if (!version->status.success()) {
        findings.push_back({missing, "Slurm: srun does not work here: " + last_line(version->errors)});
        return;
    }
    findings.push_back({Level::ok, "Slurm: " + last_line(version->output)});
    const auto plugins = capture_output({"srun", "--mpi=list"}, environment, tool_timeout);
    if (plugins && slurm::pmix_plugin_available(plugins->output + plugins->errors)) {
        findings.push_back({Level::ok, "PMIx plugin: srun --mpi=pmix works"});
    } else {
        findings.push_back(
            {missing,
             "PMIx plugin: srun --mpi=list does not name pmix: have Slurm built with PMIx (Debian: "
             "package slurm-wlm-pmix-plugin or slurm-wlm-plugins)"});
    }
}

void check_placement(const LaunchPlan& plan, std::vector<Finding>& findings) {
    std::string where = "this machine (not in a Slurm job)";
    if (plan.allocation) {
        std::vector<std::string> names;
        for (std::uint32_t i = 0; i < plan.nodes; ++i)
            names.push_back(plan.allocation->nodes[i].name);
        where = slurm::compress_hostlist(names) + " of job " + plan.allocation->job_id;
    }
    findings.push_back(
        {Level::ok, "placement: " + std::to_string(plan.managers_per_node) + " per node on " + where});
}

Result<std::vector<NodeFacts>> gather_facts(const LaunchPlan& plan, const Environment& environment) {
    std::vector<std::string> args = node_arguments(node_plan(plan));
    args[0] = "--check-node";
    std::vector<std::string> argv{own_program()};
    Environment variables = environment;
    if (plan.allocation) {
        slurm::NodeLauncherStep step;
        step.program = own_program();
        step.args = args;
        step.nodes = plan.nodes;
        auto srun = slurm::srun_for_node_launchers(*plan.allocation, environment, step);
        if (!srun) return srun.error();
        argv = srun->argv;
        variables = srun->environment;
    } else {
        argv.insert(argv.end(), args.begin(), args.end());
    }
    variables[secret_variable] = secret_text({});
    const auto answer = capture_output(argv, variables, plan.timeout);
    if (!answer) return answer.error();
    std::vector<NodeFacts> facts = parse_facts(answer->output);
    if (facts.size() < plan.nodes)
        return Error(Errc::system, std::to_string(facts.size()) + " of " + std::to_string(plan.nodes) +
                                       " nodes answered: " + last_line(answer->errors));
    return facts;
}

void check_nodes(const LaunchPlan& plan, const std::vector<NodeFacts>& facts,
                 std::vector<Finding>& findings) {
    const MemoryNeed need{plan.managers_per_node, plan.managers(), plan.pool_bytes};
    const auto add = [&](auto judge) {
        std::vector<std::pair<std::string, Finding>> by_node;
        for (const NodeFacts& of_node : facts)
            by_node.emplace_back(of_node.node, judge(of_node));
        for (Finding& finding : fold_nodes(by_node))
            findings.push_back(std::move(finding));
    };
    add(judge_ucx);
    add([&](const NodeFacts& of_node) { return judge_network(of_node, plan.nodes > 1); });
    add([&](const NodeFacts& of_node) { return judge_memory(of_node, need); });
    add([&](const NodeFacts& of_node) { return judge_open_files(of_node, plan.managers_per_node); });
}

std::vector<Finding> all_findings(const Options& options, const Environment& environment) {
    std::vector<Finding> findings;
    const bool in_job = environment.contains("SLURM_JOB_ID");
    check_slurm(in_job, environment, findings);
    const auto plan = prepare(options, environment);
    if (!plan) {
        findings.push_back({Level::failed, "placement: " + reason(plan.error())});
        return findings;
    }
    check_placement(*plan, findings);
    const auto facts = gather_facts(*plan, environment);
    if (!facts) {
        findings.push_back({Level::failed, "nodes: " + reason(facts.error())});
        return findings;
    }
    check_nodes(*plan, *facts, findings);
    return findings;
}

/// UCX is the manager's business: ask it.
void probe_ucx(const std::string& manager_program, const Environment& environment, NodeFacts& facts) {
    const auto program = find_manager_program(manager_program);
    if (!program) {
        facts.ucx_error = reason(program.error());
        return;
    }
    const auto answer = capture_output({*program, "--probe"}, environment, tool_timeout);
    if (!answer) {
        facts.ucx_error = reason(answer.error());
        return;
    }
    const nlohmann::json report = nlohmann::json::parse(answer->output, nullptr, false);
    try {
        for (const auto& transport : report.at("transports"))
            facts.transports.emplace_back(transport.at("transport").get<std::string>(),
                                          transport.at("device").get<std::string>());
        for (const auto& setting : report.at("refused_settings"))
            facts.ucx_refused += (facts.ucx_refused.empty() ? "" : ", ") + setting.get<std::string>();
        report.at("ucx_version").get_to(facts.ucx_version);
    } catch (const nlohmann::json::exception&) {
        facts.ucx_error =
            *program + " --probe " + answer->status.describe() + ": " + last_line(answer->errors);
    }
}

}  // namespace

int check(const Options& options, const Environment& environment) {
    const std::vector<Finding> findings = all_findings(options, environment);
    std::cout << format_findings(findings);
    for (const Finding& finding : findings) {
        if (finding.level == Level::failed) return exit_bring_up_failed;
    }
    return 0;
}

int check_node(const Options& options, const Environment& environment) {
    const auto plan = parse_node_arguments(options.hidden, environment);
    if (!plan) {
        say(reason(plan.error()));
        return exit_usage;
    }
    NodeFacts facts;
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    facts.node = host.data();
    if (struct statvfs shm{}; statvfs("/dev/shm", &shm) == 0)
        facts.shared_total_bytes = shm.f_blocks * shm.f_frsize;
    if (const auto shared_free = shm::shared_memory_free_bytes())
        facts.memory.shared_free_bytes = *shared_free;
    if (const auto limit = slurm::memory_limit(plan->job_memory_bytes)) {
        facts.memory.free_bytes = limit->free_bytes();
        facts.memory.limited_by = limit->source;
    }
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    facts.open_files_soft = files.rlim_cur;
    facts.open_files_hard = files.rlim_max;
    probe_ucx(plan->manager_program, environment, facts);
    return write_fully(STDOUT_FILENO, format_facts(facts)) ? 0 : exit_bring_up_failed;
}

}  // namespace ddict::launcher
