// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/check.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "launcher/bootstrap.h"
#include "launcher/check_step.h"
#include "launcher/launch_loop.h"
#include "launcher/lifeline_environment.h"
#include "launcher/node_check.h"
#include "launcher/preflight.h"
#include "launcher/rendezvous_file.h"
#include "launcher/resume.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/signals.h"
#include "slurm/hostlist.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds tool_timeout{10};
constexpr std::chrono::seconds trial_timeout_max{30};

/// How the node launchers meet.
Finding judge_bootstrap(BootstrapOption wanted, const PmixPlugin& plugin, Level missing) {
    using State = PmixPlugin::State;
    const std::string by_streams = "bootstrap: over srun's standard streams";
    if (wanted == BootstrapOption::streams) return {Level::ok, by_streams + ", as --bootstrap says"};
    if (plugin.state == State::there) return {Level::ok, "bootstrap: PMIx plugin: srun --mpi=pmix works"};
    const std::string why = plugin.state == State::missing
                                ? "srun --mpi=list does not name the PMIx plugin"
                                : "whether srun has the PMIx plugin could not be found out: " + plugin.why;
    if (wanted == BootstrapOption::automatic) return {Level::ok, by_streams + ": " + why};
    return {missing, "bootstrap: " + why +
                         ": leave out --bootstrap, or have Slurm built with PMIx (Debian: "
                         "package slurm-wlm-pmix-plugin or slurm-wlm-plugins)"};
}

/// Slurm and its PMIx. Outside a job their absence is no fault.
void check_slurm(bool in_job, BootstrapOption wanted, const os::Environment& environment,
                 std::vector<Finding>& findings) {
    const Level missing = in_job ? Level::failed : Level::warning;
    const auto version = os::capture_output({"srun", "--version"}, environment, tool_timeout);
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
    findings.push_back(judge_bootstrap(wanted, find_pmix_plugin(environment), missing));
}

void check_placement(const LaunchPlan& plan, std::vector<Finding>& findings) {
    std::string where = "this machine (not in a Slurm job)";
    if (plan.allocation) {
        std::vector<std::string> names;
        for (std::uint32_t i = 0; i < plan.nodes; ++i)
            names.push_back(plan.allocation->nodes[i].name);
        where = slurm::compress_hostlist(names) +
                (plan.in_job() ? " of job " + plan.allocation->job_id : " of --hosts, by " + plan.rsh[0]);
    }
    findings.push_back(
        {Level::ok, "placement: " + std::to_string(plan.managers_per_node) + " per node on " + where});
}

/// Whose connections the managers accept.
Finding judge_hosts(const LaunchPlan& plan, const os::Environment& environment) {
    if (!plan.hosts_trouble.empty()) return {Level::warning, "hosts of clients: " + plan.hosts_trouble};
    const std::string allowed(os::value_of(environment, "DDICT_ALLOW_HOSTS"));
    std::string hosts = plan.in_job()     ? "the nodes of the job and this host"
                        : plan.allocation ? "the hosts of --hosts and this one"
                                          : "this machine";
    if (!allowed.empty()) hosts += ", and DDICT_ALLOW_HOSTS: " + allowed;
    return {Level::ok, "hosts of clients: " + hosts};
}

/// A command needs none.
Finding judge_state_folder(const Options& options, const os::Environment& environment) {
    const std::string needed = " (for start, stop, status and env): ";
    const auto folder = state_folder(options, environment);
    if (!folder) return {Level::warning, "state folder" + needed + reason(folder.error())};
    if (const auto usable = try_state_folder(*folder); !usable)
        return {Level::warning, "state folder" + needed + reason(usable.error())};
    return {Level::ok, "state folder: " + *folder};
}

Result<std::vector<NodeFacts>> gather_facts(const LaunchPlan& plan, const os::Environment& environment) {
    const auto answer = ask_nodes(plan, environment);
    if (!answer) return answer.error();
    std::vector<NodeFacts> facts = parse_facts(answer->output);
    if (facts.size() < plan.nodes)
        return Error(Errc::system, std::to_string(facts.size()) + " of " + std::to_string(plan.nodes) +
                                       " nodes answered: " + last_line(answer->errors));
    return facts;
}

void check_nodes(const LaunchPlan& plan, const std::vector<NodeFacts>& facts,
                 std::vector<Finding>& findings) {
    const auto need_of = [&](const NodeFacts& of_node) {
        MemoryNeed need{plan.managers_per_node, plan.managers(), plan.pool_bytes};
        const auto kept = unpack_kept(of_node.kept_of_name);
        if (kept && kept->kept && kept->missing.size() <= plan.managers_per_node)
            need.pools_kept = plan.managers_per_node - static_cast<std::uint32_t>(kept->missing.size());
        return need;
    };
    const auto add = [&](auto judge) {
        std::vector<std::pair<std::string, Finding>> by_node;
        for (const NodeFacts& of_node : facts)
            by_node.emplace_back(of_node.node, judge(of_node));
        for (Finding& finding : fold_nodes(by_node))
            findings.push_back(std::move(finding));
    };
    add(judge_ucx);
    add([&](const NodeFacts& of_node) { return judge_network(of_node, plan.nodes > 1); });
    if (plan.nodes > 1) add(judge_reach);
    add([&](const NodeFacts& of_node) { return judge_memory(of_node, need_of(of_node)); });
    if (std::any_of(facts.begin(), facts.end(), [](const NodeFacts& of_node) {
            return !of_node.kept.empty() || !of_node.kept_unseen.empty();
        }))
        add(judge_kept);
    if (plan.resume) findings.push_back(judge_resume(node_plan(plan), facts));
    if (plan.bind != Bind::none) add(judge_places);
    if (plan.huge_pages) add(judge_huge_pages);
    add([&](const NodeFacts& of_node) { return judge_open_files(of_node, plan.managers_per_node); });
    add(judge_segments);
    add(judge_host_name);
}

/// Brings up a dictionary of one small manager a node, and takes it down again: then all that is needed
/// works, UCX between the nodes included, since the managers say hello to each other before it counts as up.
Result<Finding> try_it(LaunchPlan plan, const os::Environment& environment) {
    const auto page_bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    plan.resume = false;
    plan.log = {};
    plan.managers_per_node = 1;
    plan.pool_bytes = (limits::pool_bytes_min + page_bytes - 1) / page_bytes * page_bytes;
    plan.timeout = std::min<std::chrono::milliseconds>(plan.timeout, trial_timeout_max);
    const auto signals = os::SignalFd::open({SIGINT, SIGTERM, SIGHUP, SIGQUIT});
    if (!signals) return signals.error();
    const auto launchers = NodeLaunchers::start(plan, environment);
    if (!launchers) return launchers.error();
    LaunchLoop loop(**launchers, *signals);
    const LaunchLoop::BringUp up = loop.bring_up(-1);
    loop.tear_down();
    if (up.ready)
        return Finding{Level::ok, "trial: a small dictionary came up, its managers have reached each other"};
    if (up.signal != 0) return Error(Errc::timeout, "cancelled by signal " + std::to_string(up.signal));
    return Finding{Level::failed, "trial: a small dictionary does not come up: " + up.reason};
}

bool has_failed(const Finding& finding) {
    return finding.level == Level::failed;
}

std::vector<Finding> all_findings(const Options& options, const os::Environment& environment) {
    std::vector<Finding> findings;
    const bool in_job = environment.contains("SLURM_JOB_ID");
    if (options.hosts.empty()) check_slurm(in_job, options.bootstrap, environment, findings);
    const auto plan = prepare(options, environment);
    if (!plan) {
        findings.push_back({Level::failed, "placement: " + reason(plan.error())});
        return findings;
    }
    check_placement(*plan, findings);
    findings.push_back(judge_hosts(*plan, environment));
    findings.push_back(judge_state_folder(options, environment));
    const auto facts = gather_facts(*plan, environment);
    if (!facts) {
        findings.push_back({Level::failed, "nodes: " + reason(facts.error())});
        return findings;
    }
    check_nodes(*plan, *facts, findings);
    // What has been found says more than a trial that must fail.
    if (std::any_of(findings.begin(), findings.end(), has_failed)) return findings;
    const auto tried = try_it(*plan, environment);
    findings.push_back(tried ? *tried : Finding{Level::failed, "trial: " + reason(tried.error())});
    return findings;
}

}  // namespace

int check(const Options& options, const os::Environment& environment) {
    const std::vector<Finding> findings = all_findings(options, environment);
    std::cout << format_findings(findings);
    return std::any_of(findings.begin(), findings.end(), has_failed) ? exit_bring_up_failed : 0;
}

int check_node(const Options& options, const os::Environment& environment) {
    const auto complete = take_environment(STDIN_FILENO, options.hidden, environment);
    const auto plan = complete ? parse_node_arguments(options.hidden, *complete) : complete.error();
    if (!plan) {
        say(reason(plan.error()));
        return exit_usage;
    }
    return os::write_fully(STDOUT_FILENO, format_facts(look_at_this_node(*plan, *complete)))
               ? 0
               : exit_bring_up_failed;
}

}  // namespace ddict::launcher
