// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who runs where, with how much memory: worked out before anything is started. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "base/secret.h"
#include "cluster/ids.h"
#include "launcher/options.h"
#include "os/environment.h"
#include "slurm/allocation.h"

namespace ddict::launcher {

/// What makes this dictionary different from every other one.
struct Identity {
    std::uint64_t dictionary_id = 0;
    Secret secret{};
};

/// Fresh random numbers from the operating system.
Result<Identity> make_identity();

/// How the node launchers of a dictionary meet.
enum class Bootstrap {
    alone,    // there is one
    pmix,     // srun's PMIx plugin
    streams,  // by way of the launcher, over their standard streams
};

struct LaunchPlan {
    Identity identity;
    std::string name;
    std::uint32_t nodes = 1;  // node launchers, one on each
    std::uint32_t managers_per_node = 1;
    std::uint64_t pool_bytes = 0;      // of each manager, whole pages
    WorkingSetSettings working_set{};  // of each
    PersistSettings persist{};
    LogSettings log{};
    std::chrono::milliseconds timeout{0};         // of the bring-up
    std::optional<slurm::Allocation> allocation;  // the nodes to choose from; none: this machine
    std::vector<std::string> rsh;                 // what starts programs there; empty: Slurm
    Bootstrap bootstrap = Bootstrap::alone;
    std::string manager_program;            // empty: each node launcher looks beside itself
    Bind bind = Bind::none;                 // managers to processors
    bool prefault = false;                  // pools in the background
    bool huge_pages = false;                // for pools
    bool restart = true;                    // managers that have died
    bool resume = false;                    // what was kept under this name
    bool allow_empty = false;               // managers of which nothing was kept
    std::vector<std::string> client_hosts;  // in a job, and what is not known of them:
    std::string hosts_trouble;              // see client_hosts.h
    std::vector<std::string> remarks;       // for the user, one line each

    bool in_job() const { return allocation && rsh.empty(); }
    std::uint32_t managers() const { return nodes * managers_per_node; }
    /// The managers of a node are this one and those that follow it.
    ShardId first_manager(NodeId node) const { return ShardId{number_of(node) * managers_per_node}; }
    NodeId node_of(ShardId manager) const { return NodeId{number_of(manager) / managers_per_node}; }
    std::uint64_t total_bytes() const { return pool_bytes * managers(); }
};

/// invalid_argument, saying what to change, if it cannot be: more nodes than the job has, or other ones, too
/// many managers, pools below the smallest size.
Result<LaunchPlan> plan_launch(const Options& options, const std::optional<slurm::Allocation>& allocation,
                               const Identity& identity, std::uint64_t page_bytes);

/// What one node launcher has to know. The secret travels in the environment, all else as arguments.
struct NodePlan {
    Identity identity;
    std::string name;
    Bootstrap bootstrap = Bootstrap::alone;
    bool in_job = false;  // of Slurm
    std::uint32_t nodes = 1;
    std::uint32_t managers_per_node = 1;
    std::uint64_t pool_bytes = 0;
    WorkingSetSettings working_set{};
    PersistSettings persist{};
    std::chrono::milliseconds timeout{0};
    std::optional<std::uint64_t> job_memory_bytes;  // what the job asked for on each node
    std::string manager_program;
    Bind bind = Bind::none;                 // managers to processors
    bool prefault = false;                  // pools in the background
    bool huge_pages = false;                // for pools
    bool tells_sessions = false;            // of clients, for the log
    bool restart = true;                    // managers that have died
    bool resume = false;                    // what was kept under this name
    bool allow_empty = false;               // managers of which nothing was kept
    std::vector<std::string> client_hosts;  // that may connect besides those of the managers' nodes
};

/// In place of addresses: any host may connect.
inline constexpr std::string_view all_hosts = "all";
inline constexpr const char* secret_variable = "DDICT_SECRET";

NodePlan node_plan(const LaunchPlan& plan);
/// The arguments after "ddict-launch": "--node" and what parse_node_arguments() understands.
std::vector<std::string> node_arguments(const NodePlan& plan);
std::string secret_text(const Secret& secret);
/// args: without "--node".
Result<NodePlan> parse_node_arguments(const std::vector<std::string>& args,
                                      const os::Environment& environment);

}  // namespace ddict::launcher
