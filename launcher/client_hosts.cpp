// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/client_hosts.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <sstream>

#include "base/comma_list.h"
#include "launcher/launch_loop.h"
#include "launcher/node_check.h"
#include "launcher/node_step.h"
#include "launcher/output.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/network_interfaces.h"
#include "slurm/hostlist.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::milliseconds step_timeout{10'000};
// They travel as one argument of a command line, of which the kernel takes 128 KiB.
constexpr std::size_t hosts_text_bytes_max = 100 * 1024;

constexpr std::string_view line_prefix = "ddict-address ";
constexpr std::string_view last_line_of_node = "end";

std::string allowed_by_user(const os::Environment& environment) {
    return std::string(os::value_of(environment, "DDICT_ALLOW_HOSTS"));
}

std::vector<std::string> nodes_without_managers(const LaunchPlan& plan, const slurm::Allocation& job) {
    std::set<std::string> with;
    for (std::uint32_t i = 0; i < plan.nodes; ++i)
        with.insert(plan.allocation->nodes[i].name);
    std::vector<std::string> without;
    for (const slurm::AllocatedNode& node : job.nodes) {
        if (!with.contains(node.name)) without.push_back(node.name);
    }
    return without;
}

Result<std::vector<std::string>> ask(const std::vector<std::string>& nodes, const slurm::Allocation& job,
                                     const std::vector<std::string>& rsh,
                                     const os::Environment& environment) {
    const slurm::SrunCommand srun = short_step(job, rsh, environment, nodes, {"--addresses"});
    const auto answer = os::capture_output(srun.argv, srun.environment, step_timeout);
    if (!answer) return answer.error();
    std::vector<std::string> addresses = parse_addresses(answer->output, nodes.size());
    if (addresses.empty())
        return Error(Errc::system, (rsh.empty() ? "srun " : rsh[0] + " ") + answer->status.describe() + ": " +
                                       last_line(answer->errors));
    return addresses;
}

}  // namespace

ClientHosts find_client_hosts(const LaunchPlan& plan, const slurm::Allocation& job,
                              const os::Environment& environment) {
    const std::string allowed = allowed_by_user(environment);
    if (list_has(allowed, all_hosts)) return {{std::string(all_hosts)}, {}};
    ClientHosts found;
    const auto fall_back = [&](const std::string& which, const std::string& why) {
        if (allowed.empty()) found.hosts = {std::string(all_hosts)};
        found.trouble = "the addresses of " + which + " could not be found out (" + why + "): " +
                        (allowed.empty() ? "connections from all hosts are accepted, unless you name the "
                                           "hosts of clients in DDICT_ALLOW_HOSTS"
                                         : "clients there are refused, unless DDICT_ALLOW_HOSTS names them");
        return found;
    };
    const auto own = os::host_addresses();
    if (!own) return fall_back("this host", "the kernel does not list its network interfaces");
    found.hosts = *own;
    const std::vector<std::string> others = nodes_without_managers(plan, job);
    if (others.empty()) return found;
    const auto told = ask(others, job, plan.rsh, environment);
    const std::string names = slurm::compress_hostlist(others);
    if (!told) return fall_back(names, reason(told.error()));
    std::size_t bytes = 0;
    for (const auto* const list : {&*own, &*told}) {
        for (const std::string& address : *list)
            bytes += address.size() + 1;
    }
    if (bytes > hosts_text_bytes_max) return fall_back(names, "they are too many to pass on");
    found.hosts.insert(found.hosts.end(), told->begin(), told->end());
    return found;
}

std::vector<std::string> parse_addresses(std::string_view output, std::size_t nodes) {
    std::istringstream lines{std::string(output)};
    std::set<std::string> addresses;
    std::size_t ended = 0;
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(line_prefix)) continue;
        const std::string address = line.substr(line_prefix.size());
        if (address == last_line_of_node) {
            ++ended;
        } else {
            addresses.insert(address);
        }
    }
    if (ended != nodes) return {};
    return {addresses.begin(), addresses.end()};
}

int print_addresses() {
    const auto addresses = os::host_addresses();
    if (!addresses) {
        say("the kernel does not list this node's network interfaces");
        return exit_bring_up_failed;
    }
    std::string text;
    for (const std::string& address : *addresses)
        text += std::string(line_prefix) + address + "\n";
    text += std::string(line_prefix) + std::string(last_line_of_node) + "\n";
    return os::write_fully(STDOUT_FILENO, text) ? 0 : exit_bring_up_failed;
}

}  // namespace ddict::launcher
