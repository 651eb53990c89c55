// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_step.h"

#include <chrono>

#include "launcher/host_step.h"
#include "launcher/lifeline_environment.h"
#include "os/child_process.h"
#include "slurm/srun.h"

namespace ddict::launcher {

Result<NodeStep> node_step(const LaunchPlan& plan, const os::Environment& environment,
                           std::string_view verb) {
    const std::string self = os::own_program();
    std::vector<std::string> args = node_arguments(node_plan(plan));
    args[0] = verb;
    NodeStep step{self, {"ddict-launch"}, environment, {}};
    if (!plan.rsh.empty()) {
        std::vector<std::string> hosts;
        for (std::uint32_t i = 0; i < plan.nodes; ++i)
            hosts.push_back(plan.allocation->nodes[i].name);
        args.emplace_back(environment_on_lifeline);
        for (std::string& arg : host_step_arguments(plan.rsh, hosts, args))
            step.argv.push_back(std::move(arg));
        os::Environment told = environment;
        told[secret_variable] = secret_text(plan.identity.secret);
        step.first_lines = format_environment(told);
        return step;
    }
    if (plan.allocation) {
        slurm::NodeLauncherStep launchers;
        launchers.program = self;
        launchers.args = args;
        launchers.nodes = plan.nodes;
        launchers.mpi = plan.bootstrap == Bootstrap::pmix ? "pmix" : "none";
        launchers.pmix_timeout =
            std::chrono::ceil<std::chrono::seconds>(plan.timeout) + std::chrono::seconds(5);
        auto srun = slurm::srun_for_node_launchers(*plan.allocation, environment, launchers);
        if (!srun) return srun.error();
        const os::FoundProgram found = os::find_program(srun->argv[0], environment);
        if (found.error != 0)
            return Error(Errc::system,
                         "this is a Slurm job, but there is no srun in PATH: add Slurm's bin folder to it")
                .set_operation(Operation::launch);
        step = {found.path, std::move(srun->argv), std::move(srun->environment), {}};
    } else {
        step.argv.insert(step.argv.end(), args.begin(), args.end());
    }
    // Not an argument: those everyone can read.
    step.environment[secret_variable] = secret_text(plan.identity.secret);
    return step;
}

slurm::SrunCommand short_step(const slurm::Allocation& allocation, const std::vector<std::string>& rsh,
                              const os::Environment& environment, const std::vector<std::string>& nodes,
                              const std::vector<std::string>& args) {
    const std::string self = os::own_program();
    if (rsh.empty()) return slurm::srun_on_nodes(allocation, environment, nodes, self, args);
    slurm::SrunCommand command{{self}, environment};
    for (std::string& arg : host_step_arguments(rsh, nodes, args))
        command.argv.push_back(std::move(arg));
    return command;
}

}  // namespace ddict::launcher
