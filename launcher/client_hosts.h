// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// From which hosts the clients of a job's dictionary come, besides those of its managers' nodes: this one,
// and the other nodes of the job. Managers close the connections of all others before they read from them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launcher/plan.h"
#include "os/environment.h"

namespace ddict::launcher {

struct ClientHosts {
    std::vector<std::string> hosts;  // addresses, or "all"
    std::string trouble;             // for the user: which could not be found out, and what follows from that
};

/// Asks the nodes of the job (`job`) on which `plan` places no managers, by a step of some seconds at most;
/// no step where there are none, or where DDICT_ALLOW_HOSTS says "all". Nodes that do not answer: all hosts
/// may connect, unless DDICT_ALLOW_HOSTS names some.
ClientHosts find_client_hosts(const LaunchPlan& plan, const slurm::Allocation& job,
                              const os::Environment& environment);

/// From the output of `nodes` tasks of ddict-launch --addresses; empty unless all have answered.
std::vector<std::string> parse_addresses(std::string_view output, std::size_t nodes);

/// ddict-launch --addresses: those of this node. Returns the exit status.
int print_addresses();

}  // namespace ddict::launcher
