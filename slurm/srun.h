// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The srun commands that ddict runs. Pure: nothing is started here.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "os/environment.h"
#include "slurm/allocation.h"

namespace ddict::slurm {

struct SrunCommand {
    std::vector<std::string> argv;  // argv[0] is "srun", to be looked for in PATH
    os::Environment environment;    // all of it, for execvpe(): replaces the caller's
};

struct NodeLauncherStep {
    std::string program;                    // on every node
    std::vector<std::string> args;          // without the program itself
    std::uint32_t nodes = 0;                // the first so many of the allocation; 0 means all
    std::string mpi = "pmix";               // or "none"
    std::chrono::seconds pmix_timeout{30};  // after which Slurm gives up a fence; whole seconds, at least 1
};

/// A step with one task of step.program on each of the nodes, that shares the job's resources with the user's
/// own steps, and whose tasks all read srun's standard input: its end of file reaches every task. Ranks
/// follow the order of allocation.nodes. invalid_argument if the allocation has fewer nodes than asked for.
Result<SrunCommand> srun_for_node_launchers(const Allocation& allocation, const os::Environment& environment,
                                            const NodeLauncherStep& step);

/// A short step beside all others: one task of the program on each of these nodes of the allocation, without
/// PMIx and standard input.
SrunCommand srun_on_nodes(const Allocation& allocation, const os::Environment& environment,
                          const std::vector<std::string>& nodes, const std::string& program,
                          const std::vector<std::string>& args);

/// One task of a command on a node of a running job, from wherever, beside all its other steps. Its standard
/// streams are srun's; on a terminal it has one.
struct InJob {
    bool on_terminal = false;
};
SrunCommand srun_in_job(const std::string& job_id, const os::Environment& environment,
                        const std::vector<std::string>& command, const InJob& how);

/// What srun says on its standard error when tasks have ended badly: on which nodes, and how ("Killed",
/// "Exited with exit code 1"). None if the line says something else.
struct TasksEnded {
    std::vector<std::string> nodes;
    std::string how;
};
std::optional<TasksEnded> tasks_ended(std::string_view line);

/// What the output of "srun --mpi=list" says: can steps be started with --mpi=pmix?
bool pmix_plugin_available(std::string_view output_of_mpi_list);

/// Whether a line that srun has written to its standard error says nothing to a user: that the cluster cannot
/// bind tasks to CPUs (we ask for no binding), or what Slurm's PMIx plugin remembers of a fence that failed
/// (we say why).
bool is_srun_chatter(std::string_view line);

}  // namespace ddict::slurm
