// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_check.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launcher/launch_loop.h"
#include "launcher/manager_process.h"
#include "launcher/node_network.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/host_name.h"
#include "pmix/session.h"
#include "shm/segment.h"
#include "slurm/memory_limit.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds probe_timeout{10};
// For a connection to a host that drops what it gets; TCP itself repeats after one and three seconds.
constexpr std::chrono::milliseconds trial_timeout{4'000};

std::string text_of_file(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

void look_at_limits(NodeFacts& facts) {
    utsname names{};
    if (uname(&names) == 0) facts.host_name_bytes = std::strlen(names.nodename);
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    facts.open_files_soft = files.rlim_cur;
    facts.open_files_hard = files.rlim_max;
    if (rlimit file_bytes{}; getrlimit(RLIMIT_FSIZE, &file_bytes) == 0)
        facts.file_bytes_max = file_bytes.rlim_cur;
    facts.segments = count_segments(text_of_file("/proc/sysvipc/shm"), [](std::int64_t pid) {
        return kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH;
    });
    std::istringstream(text_of_file("/proc/sys/kernel/shmmni")) >> facts.segments.max;
}

void look_at_memory(const NodePlan& plan, NodeFacts& facts) {
    facts.stale_removed = shm::remove_stale_segments().size();  // as a start would, before it looks
    if (struct statvfs shm{}; statvfs("/dev/shm", &shm) == 0)
        facts.shared_total_bytes = shm.f_blocks * shm.f_frsize;
    if (const auto shared_free = shm::shared_memory_free_bytes())
        facts.memory.shared_free_bytes = *shared_free;
    if (const auto limit = slurm::memory_limit(plan.job_memory_bytes)) {
        facts.memory.free_bytes = limit->free_bytes();
        facts.memory.limited_by = limit->source;
        facts.limit_unseen = limit->unseen;
    }
}

/// UCX is the manager's business: ask it.
void probe_ucx(const std::string& manager_program, const os::Environment& environment, NodeFacts& facts) {
    const auto program = find_manager_program(manager_program);
    if (!program) {
        facts.ucx_error = reason(program.error());
        return;
    }
    const auto answer = os::capture_output({*program, "--probe"}, environment, probe_timeout);
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

/// Collective: all nodes call it, and each tells what it has seen.
Result<void> try_others(Rendezvous& rendezvous, const os::Environment& environment, NodeFacts& facts) {
    const auto interfaces = os::network_interfaces();
    const auto mine = interfaces_for_ucx(interfaces, {}, environment);
    auto trial = NetworkTrial::listen(facts.node, mine);
    if (!trial) return trial.error();
    const auto told = rendezvous.exchange("trial", format_trial_node((*trial)->self()), [] { return false; });
    if (!told) return told.error();
    std::vector<TrialNode> nodes;
    std::vector<std::vector<std::string>> addresses;
    for (const std::string& text : *told) {
        auto node = parse_trial_node(text);
        if (!node) return node.error();
        for (auto& of_node = addresses.emplace_back(); const TrialAddress& address : node->addresses)
            of_node.push_back(address.address);
        nodes.push_back(*std::move(node));
    }
    const auto shared = os::shared_addresses(addresses);
    for (const auto& interface : interfaces_for_ucx(interfaces, shared, environment)) {
        if (!interface.loopback) facts.network.used.push_back(interface.name);
    }
    facts.network.left_out = os::dead_end_interfaces(interfaces, shared);
    std::vector<TrialNode> partners;
    for (const std::uint32_t partner : trial_partners(rendezvous.index(), rendezvous.count())) {
        TrialNode& node = partners.emplace_back(nodes[partner]);
        // On a node where nothing else is left, such an address is tried.
        if (std::any_of(node.addresses.begin(), node.addresses.end(), [&](const TrialAddress& address) {
                return std::find(shared.begin(), shared.end(), address.address) == shared.end();
            }))
            std::erase_if(node.addresses, [&](const TrialAddress& address) {
                return std::find(shared.begin(), shared.end(), address.address) != shared.end();
            });
    }
    facts.network.nodes_tried = static_cast<std::uint32_t>(partners.size());
    facts.network.problems = (*trial)->run(partners, trial_timeout);
    const auto finished = rendezvous.exchange("tried", "tried", [&] {
        (*trial)->answer();
        return false;
    });
    return finished ? Result<void>() : Result<void>(finished.error());
}

void try_network(const NodePlan& plan, const os::Environment& environment, NodeFacts& facts) {
    if (!plan.pmix || plan.nodes == 1) {
        facts.network.left_out = os::dead_end_interfaces(os::network_interfaces(), {});
        return;
    }
    auto session = pmix::Session::open();
    if (!session) {
        facts.network.error = reason(session.error());
        return;
    }
    if (const auto tried = try_others(**session, environment, facts); !tried)
        facts.network.error = reason(tried.error());
    // What cannot be left in good order has nothing more to say.
    [[maybe_unused]] const bool left = (*session)->leave().has_value();
}

}  // namespace

std::string last_line(const std::string& text) {
    std::istringstream lines(text);
    std::string last;
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty()) last = line;
    }
    return last;
}

NodeFacts look_at_this_node(const NodePlan& plan, const os::Environment& environment) {
    NodeFacts facts;
    facts.node = os::host_name();
    look_at_limits(facts);
    look_at_memory(plan, facts);
    probe_ucx(plan.manager_program, environment, facts);
    try_network(plan, environment, facts);
    return facts;
}

}  // namespace ddict::launcher
