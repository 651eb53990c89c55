// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/srun.h"

#include <algorithm>
#include <array>

#include "base/shell_words.h"
#include "os/environment.h"
#include "slurm/hostlist.h"

namespace ddict::slurm {

namespace {

// What srun reads from its environment are mostly options of the batch script or of an outer step (how many
// tasks, how they are bound, where their output goes), and none of them is meant for our step. These alone
// are kept.
constexpr std::array<std::string_view, 6> kept = {
    "SLURM_CONF",  // which cluster this is,
    "SLURM_WORKING_CLUSTER",
    "SLURM_JWT",     // who we are there,
    "SLURM_JOB_ID",  // which job this is,
    "SLURM_HET_SIZE",
    "SLURM_NETWORK",  // and the networks that all steps of it must share to reach each other.
};
constexpr std::array<std::string_view, 4> kept_prefixes = {
    "SLURM_JOB_ID_HET_GROUP_",
    "SLURM_SPANK_",  // options of the site's plugins
    "SLURM_PMIX_",   // the site's settings of Slurm's PMIx plugin
    "PMIX_MCA_",     // and of PMIx itself
};
constexpr std::array<std::string_view, 5> dropped_prefixes = {"SLURM_", "SLURMD_", "SRUN_", "PMIX_", "PMI_"};

bool starts_with_one_of(std::string_view name, const auto& prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](std::string_view p) { return name.starts_with(p); });
}

bool is_kept(std::string_view name) {
    return !starts_with_one_of(name, dropped_prefixes) || starts_with_one_of(name, kept_prefixes) ||
           std::find(kept.begin(), kept.end(), name) != kept.end();
}

os::Environment kept_of(const os::Environment& environment) {
    os::Environment result = environment;
    std::erase_if(result, [](const auto& variable) { return !is_kept(variable.first); });
    return result;
}

Error invalid(std::string_view text) {
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

struct StepKind {
    std::string mpi;
    std::string input;
};

// One component of the step: the nodes of one group of the job.
void append_component(std::vector<std::string>& argv, const std::vector<std::string>& nodes,
                      std::optional<std::uint32_t> het_group, const StepKind& kind,
                      const std::string& program, const std::vector<std::string>& args) {
    const std::string count = std::to_string(nodes.size());
    const auto options = {
        "--mpi=" + kind.mpi,
        std::string("--job-name=ddict"),
        // Share the CPUs and the memory of the job with the user's own steps, taking nothing away from them.
        std::string("--overlap"),
        std::string("--mem=0"),
        std::string("--cpu-bind=none"),
        "--nodes=" + count,
        "--ntasks=" + count,
        std::string("--ntasks-per-node=1"),
        "--nodelist=" + compress_hostlist(nodes),
        // What one node launcher's end means for the others, only we know.
        std::string("--kill-on-bad-exit=0"),
        std::string("--wait=0"),
        std::string("--no-kill"),
        std::string("--export=ALL"),
        "--input=" + kind.input,
    };
    argv.insert(argv.end(), options.begin(), options.end());
    if (het_group) argv.push_back("--het-group=" + std::to_string(*het_group));
    argv.push_back(program);
    argv.insert(argv.end(), args.begin(), args.end());
}

SrunCommand command_on(const Allocation& allocation, const os::Environment& environment,
                       const std::vector<AllocatedNode>& nodes, const StepKind& kind,
                       const std::string& program, const std::vector<std::string>& args) {
    SrunCommand command;
    command.argv.emplace_back("srun");
    for (std::size_t i = 0; i < nodes.size();) {
        const std::uint32_t group = nodes[i].het_group;
        std::vector<std::string> names;
        for (; i < nodes.size() && nodes[i].het_group == group; ++i)
            names.push_back(nodes[i].name);
        if (command.argv.size() > 1) command.argv.emplace_back(":");
        append_component(command.argv, names, allocation.het_groups ? std::optional(group) : std::nullopt,
                         kind, program, args);
    }
    command.environment = kept_of(environment);
    command.environment["SLURM_JOB_ID"] = allocation.job_id;
    return command;
}

}  // namespace

Result<SrunCommand> srun_for_node_launchers(const Allocation& allocation, const os::Environment& environment,
                                            const NodeLauncherStep& step) {
    const std::size_t wanted = step.nodes ? step.nodes : allocation.nodes.size();
    if (wanted > allocation.nodes.size())
        return invalid(std::to_string(wanted) + " nodes were asked for, but job " + allocation.job_id +
                       " has " + std::to_string(allocation.nodes.size()) + "; ask sbatch or salloc for more");
    if (step.program.empty() || step.program.starts_with('-'))
        return invalid("srun cannot start a program of this name");
    if (std::find(step.args.begin(), step.args.end(), ":") != step.args.end())
        return invalid("an argument ':' cannot be passed through srun");

    const std::vector<AllocatedNode> nodes(allocation.nodes.begin(),
                                           allocation.nodes.begin() + static_cast<std::ptrdiff_t>(wanted));
    SrunCommand command = command_on(allocation, environment, nodes, {.mpi = step.mpi, .input = "all"},
                                     step.program, step.args);
    const auto seconds = std::max<std::chrono::seconds::rep>(step.pmix_timeout.count(), 1);
    command.environment["SLURM_PMIX_TIMEOUT"] = std::to_string(seconds);
    return command;
}

SrunCommand srun_on_nodes(const Allocation& allocation, const os::Environment& environment,
                          const std::vector<std::string>& nodes, const std::string& program,
                          const std::vector<std::string>& args) {
    std::vector<AllocatedNode> wanted;
    for (const AllocatedNode& node : allocation.nodes) {
        if (std::find(nodes.begin(), nodes.end(), node.name) != nodes.end()) wanted.push_back(node);
    }
    return command_on(allocation, environment, wanted, {.mpi = "none", .input = "none"}, program, args);
}

SrunCommand srun_in_job(const std::string& job_id, const os::Environment& environment,
                        const std::vector<std::string>& command, const InJob& how) {
    SrunCommand srun;
    srun.argv = {"srun",       "--jobid=" + job_id, "--mpi=none",      "--job-name=ddict",
                 "--overlap",  "--mem=0",           "--cpu-bind=none", "--nodes=1",
                 "--ntasks=1", "--export=ALL",      "--quiet"};
    if (how.on_terminal) srun.argv.emplace_back("--pty");
    // A lone colon would begin the command of another component to srun.
    if (std::find(command.begin(), command.end(), ":") == command.end()) {
        srun.argv.insert(srun.argv.end(), command.begin(), command.end());
    } else {
        srun.argv.insert(srun.argv.end(), {"/bin/sh", "-c", "exec " + shell_line(command)});
    }
    srun.environment = kept_of(environment);
    // Of the job that this is called in, if any, and not of the other one.
    std::erase_if(srun.environment, [](const auto& variable) {
        return variable.first.starts_with("SLURM_JOB_ID") || variable.first == "SLURM_HET_SIZE" ||
               variable.first == "SLURM_NETWORK";
    });
    return srun;
}

std::optional<TasksEnded> tasks_ended(std::string_view line) {
    // "srun: error: n[3-4]: tasks 2-3: Killed"
    constexpr std::string_view prefix = "srun: error: ";
    if (!line.starts_with(prefix)) return std::nullopt;
    line.remove_prefix(prefix.size());
    const std::size_t tasks = line.find(": task");
    if (tasks == std::string_view::npos) return std::nullopt;
    const std::size_t how = line.find(": ", tasks + 2);
    if (how == std::string_view::npos) return std::nullopt;
    auto nodes = expand_hostlist(line.substr(0, tasks));
    if (!nodes || nodes->empty()) return std::nullopt;
    return TasksEnded{*std::move(nodes), std::string(line.substr(how + 2))};
}

bool pmix_plugin_available(std::string_view output_of_mpi_list) {
    // One name a line, or several in a line, by release; versions are named pmix_v4.
    constexpr std::string_view separators = " \t\r\n,:";
    while (!output_of_mpi_list.empty()) {
        const std::size_t end =
            std::min(output_of_mpi_list.find_first_of(separators), output_of_mpi_list.size());
        if (output_of_mpi_list.substr(0, end) == "pmix") return true;
        output_of_mpi_list.remove_prefix(std::min(end + 1, output_of_mpi_list.size()));
    }
    return false;
}

bool is_srun_chatter(std::string_view line) {
    if (line == "srun: cluster configuration lacks support for cpu binding") return true;
    return line.starts_with("slurmstepd-") && line.find("mpi/pmix") != std::string_view::npos;
}

}  // namespace ddict::slurm
