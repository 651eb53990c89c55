// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-launch --on-hosts: what srun is to a step, for hosts without Slurm. Starts ddict-launch on each of
// them, here directly, elsewhere by a remote shell; gives all of them its standard input, and passes on what
// they say, line by line. It ends when all of them have; when it is killed, their standard input ends.
#pragma once

#include <string>
#include <vector>

#include "os/environment.h"

namespace ddict::launcher {

/// The arguments after "ddict-launch" that start `args` on these hosts. Each process finds its place among
/// the hosts in the variable rank_variable.
std::vector<std::string> host_step_arguments(const std::vector<std::string>& remote_shell,
                                             const std::vector<std::string>& hosts,
                                             const std::vector<std::string>& args);
inline constexpr const char* rank_variable = "DDICT_RANK";

/// args: without "--on-hosts". Of each process that does not end with status 0 an Event::Kind::gone is
/// printed. Returns 0 if all did, otherwise 1.
int run_on_hosts(const std::vector<std::string>& args, const os::Environment& environment);

}  // namespace ddict::launcher
