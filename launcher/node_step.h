// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The command that starts the node launchers: one on each node of a plan, or one alone here.
#pragma once

#include <string>
#include <vector>

#include <ddict/result.h>

#include "launcher/plan.h"
#include "os/environment.h"
#include "slurm/srun.h"

namespace ddict::launcher {

struct NodeStep {
    std::string program;  // a path
    std::vector<std::string> argv;
    os::Environment environment;  // all of it, with the secret
    std::string first_lines;      // of the lifeline
};
/// `verb` is "--node" or another that understands node_arguments(). system if what starts them is not there.
Result<NodeStep> node_step(const LaunchPlan& plan, const os::Environment& environment, std::string_view verb);

/// A short one beside it, without standard input: ddict-launch with these arguments on some of the nodes, by
/// Slurm or by the words of a remote shell.
slurm::SrunCommand short_step(const slurm::Allocation& allocation, const std::vector<std::string>& rsh,
                              const os::Environment& environment, const std::vector<std::string>& nodes,
                              const std::vector<std::string>& args);

}  // namespace ddict::launcher
