// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/preflight.h"

#include <algorithm>

#include "base/counted.h"
#include "launcher/resume.h"
#include "launcher/sizes.h"
#include "slurm/hostlist.h"
#include "store/reply_memory.h"

namespace ddict::launcher {
namespace {

constexpr std::size_t columns = 80;
constexpr std::size_t level_columns = 9;
// A connection is a file; below this a dictionary of ordinary size runs short.
constexpr std::uint64_t open_files_wanted = 4096;
constexpr std::uint64_t open_files_per_manager = 256;
// Segments of System V: two of a manager, one or two of each thread of a client.
constexpr std::uint64_t segments_wanted = 512;
constexpr std::uint64_t segments_left_worth_a_word = 16;
// UCX 1.13 reads the host's name into a buffer without space for the last character of the longest.
constexpr std::uint64_t host_name_bytes_max_of_ucx = 63;

std::string_view word_of(Level level) {
    switch (level) {
        case Level::ok:
            return "ok";
        case Level::warning:
            return "warning";
        case Level::failed:
            return "failed";
    }
    return "failed";
}

/// Only those devices that lead out of the node.
bool is_network(const std::pair<std::string, std::string>& transport) {
    return transport.second != "memory" && transport.first != "self" && transport.second != "lo";
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts)
        text += (text.empty() ? "" : " ") + part;
    return text;
}

std::string limit_text(std::uint64_t limit) {
    return limit == UINT64_MAX ? "unlimited" : std::to_string(limit);
}

}  // namespace

Finding judge_ucx(const NodeFacts& facts) {
    if (facts.ucx_version.empty()) return {Level::failed, "UCX: " + facts.ucx_error};
    const std::string text = "UCX " + facts.ucx_version;
    if (facts.ucx_refused.empty()) return {Level::ok, text};
    return {Level::warning, text + "; this version does not take " + facts.ucx_refused +
                                ": ddict goes without; see docs/dependencies.md"};
}

Finding judge_network(const NodeFacts& facts, bool spans_nodes) {
    std::vector<std::string> devices;
    const auto& left_out = facts.network.left_out;
    for (const auto& transport : facts.transports) {
        // The probe knows nothing of other nodes' addresses.
        const bool used = std::find(left_out.begin(), left_out.end(), transport.second) == left_out.end();
        if (used && is_network(transport)) devices.push_back(transport.first + "/" + transport.second);
    }
    if (devices.empty() && !facts.ucx_version.empty() && spans_nodes)
        return {Level::failed,
                "no network device that UCX can use: let DDICT_UCX_TLS and DDICT_UCX_NET_DEVICES (else "
                "UCX_TLS, UCX_NET_DEVICES) include one"};
    if (devices.empty())
        return {spans_nodes ? Level::failed : Level::ok, "no network device; none is needed on one node"};
    std::string text =
        "network " + joined(devices) + (devices.size() > 1 ? "; DDICT_UCX_NET_DEVICES chooses" : "");
    if (!facts.network.left_out.empty())
        text += "; left out, since they lead to no other node: " + joined(facts.network.left_out);
    return {Level::ok, text};
}

Finding judge_memory(const NodeFacts& facts, const MemoryNeed& need) {
    if (facts.shared_total_bytes == 0)
        return {Level::failed,
                "memory: /dev/shm is not there, or says no size: have a tmpfs of some size mounted there"};
    if (const auto enough = check_memory(need, facts.memory); !enough)
        return {Level::failed, "memory: " + std::string(enough.error().detail.data())};
    if (const std::uint64_t largest = std::max<std::uint64_t>(need.pool_bytes, store::ReplyMemory::bytes());
        facts.file_bytes_max < largest)
        return {Level::failed, "memory: files may have " + format_size(facts.file_bytes_max) +
                                   " at the most (ulimit -f), and a manager has one in /dev/shm of " +
                                   format_size(largest) + " (most of it empty): raise that limit"};
    const std::string removed =
        facts.stale_removed == 0
            ? ""
            : "; removed " + counted(facts.stale_removed, "segment") + " of dictionaries that had ended";
    if (!facts.limit_unseen.empty())
        return {Level::warning, "memory: needs " + format_size(need.shared_bytes()) + "; " +
                                    facts.limit_unseen +
                                    ": if it is less than that, the job is killed instead of refused"};
    return {Level::ok, "memory: needs " + format_size(need.shared_bytes()) + "; /dev/shm of " +
                           format_size(facts.shared_total_bytes) + " has " +
                           format_size(facts.memory.shared_free_bytes) + " free, " + facts.memory.limited_by +
                           " " + format_size(facts.memory.free_bytes) + removed};
}

Finding judge_kept(const NodeFacts& facts) {
    if (!facts.kept_unseen.empty())
        return {Level::warning, "kept in memory: not known: " + facts.kept_unseen};
    if (facts.kept.empty()) return {Level::ok, "kept in memory: nothing"};
    return {Level::ok, "kept in memory: " + facts.kept + "; ddict-launch discard gives it back"};
}

Finding judge_resume(const NodePlan& plan, std::vector<NodeFacts> facts) {
    std::sort(facts.begin(), facts.end(),
              [](const NodeFacts& a, const NodeFacts& b) { return a.rank < b.rank; });
    std::vector<KeptOnNode> nodes;
    for (const NodeFacts& of_node : facts) {
        auto node = unpack_kept(of_node.kept_of_name);
        if (!node) return {Level::failed, "resume: " + of_node.node + " does not say what it has kept"};
        nodes.push_back(*std::move(node));
    }
    if (const auto agreed = agree_on_kept(plan, nodes); !agreed)
        return {Level::failed, "resume: " + std::string(agreed.error().detail.data())};
    const auto kept =
        std::find_if(nodes.begin(), nodes.end(), [](const KeptOnNode& n) { return n.kept.has_value(); });
    return {Level::ok, kept == nodes.end()
                           ? "resume: nothing was kept of '" + plan.name + "', it begins empty"
                           : "resume: '" + plan.name + "' was kept at " + local_time(kept->kept->kept_at)};
}

Finding judge_places(const NodeFacts& facts) {
    if (facts.places.empty()) return {Level::failed, "managers are not bound: " + facts.unbound};
    return {Level::ok, "managers are bound: " + facts.places};
}

Finding judge_huge_pages(const NodeFacts& facts) {
    if (facts.no_huge_pages.empty()) return {Level::ok, "huge pages: /dev/shm gives them"};
    return {Level::warning, "huge pages: " + facts.no_huge_pages};
}

Finding judge_open_files(const NodeFacts& facts, std::uint32_t managers) {
    const std::string limits = "open files: " + limit_text(facts.open_files_soft) + " (at most " +
                               limit_text(facts.open_files_hard) + ")";
    if (facts.open_files_hard < open_files_per_manager + std::uint64_t{4} * managers)
        return {Level::failed, limits + ": too few; raise it (ulimit -n, LimitNOFILE of slurmd)"};
    // Managers raise their own limit to that.
    if (facts.open_files_hard < open_files_wanted)
        return {Level::warning,
                limits +
                    ": each client on another node takes one or two; for more than some hundred "
                    "clients raise it (ulimit -Hn, LimitNOFILE of slurmd)"};
    return {Level::ok, limits};
}

Finding judge_segments(const NodeFacts& facts) {
    const SegmentFacts& segments = facts.segments;
    if (segments.max == 0)
        return {Level::warning, "System V segments: /proc does not say how many there may be"};
    std::string text = "System V segments: " + std::to_string(segments.used) + " of " +
                       std::to_string(segments.max) + " in use";
    const std::uint64_t left = segments.max > segments.used ? segments.max - segments.used : 0;
    if (segments.left > 0)
        text += ", " + std::to_string(segments.left) + " of them left behind by processes that have ended";
    if (left < segments_wanted || segments.left >= segments_left_worth_a_word)
        return {Level::warning,
                text + ": ddict takes none, but other programs over UCX do (MPI): " +
                    (segments.left > 0 ? "remove those (ipcs -m, ipcrm -m ID), or raise kernel.shmmni"
                                       : "raise kernel.shmmni (sysctl)")};
    return {Level::ok, text};
}

Finding judge_host_name(const NodeFacts& facts) {
    if (facts.host_name_bytes > host_name_bytes_max_of_ucx)
        return {Level::failed, "host name: " + std::to_string(facts.host_name_bytes) +
                                   " characters, for which UCX has no space: managers would abort; "
                                   "take a shorter name"};
    return {Level::ok, "host name: " + std::to_string(facts.host_name_bytes) + " characters"};
}

Finding judge_reach(const NodeFacts& facts) {
    const NetworkFacts& network = facts.network;
    if (!network.error.empty()) return {Level::failed, "other nodes could not be tried: " + network.error};
    const std::string tried = counted(network.nodes_tried, "other node");
    if (network.problems.empty()) {
        if (network.used.empty())
            return {Level::warning,
                    "other nodes: not tried, since DDICT_UCX_NET_DEVICES (else UCX_NET_DEVICES) names no "
                    "network interface"};
        return {Level::ok, "reached " + tried + " over " + joined(network.used)};
    }
    std::string text = "of " + tried + " it could not reach";
    std::vector<std::string> working = network.used;
    for (const TrialProblem& problem : network.problems) {
        text +=
            " " + problem.to + " at " + problem.address + " (" + problem.interface + ": " + problem.why + ")";
        std::erase(working, problem.interface);
    }
    if (network.problems_more > 0) text += " and " + std::to_string(network.problems_more) + " more";
    text += working.empty()
                ? ": no interface works; let the nodes' firewall pass their own network, or name a "
                  "device in DDICT_UCX_NET_DEVICES (there are: " +
                      joined(network.used) + ")"
                : ": set DDICT_UCX_NET_DEVICES to what works (" + joined(working) + ")";
    return {Level::failed, text};
}

std::string format_findings(const std::vector<Finding>& findings) {
    std::string out;
    for (const Finding& finding : findings) {
        std::string line(word_of(finding.level));
        line.resize(level_columns, ' ');
        std::string_view text = finding.text;
        while (!text.empty()) {
            std::size_t take = std::min(text.size(), columns - level_columns);
            if (take < text.size()) {
                const std::size_t space = text.rfind(' ', take);
                if (space != std::string_view::npos && space > 0) take = space;
            }
            out += line + std::string(text.substr(0, take)) + "\n";
            text.remove_prefix(
                std::min(text.size(), take + (take < text.size() && text[take] == ' ' ? 1 : 0)));
            line.assign(level_columns, ' ');
        }
    }
    return out;
}

std::vector<Finding> fold_nodes(const std::vector<std::pair<std::string, Finding>>& by_node) {
    std::vector<std::pair<Finding, std::vector<std::string>>> groups;
    for (const auto& [node, finding] : by_node) {
        const Finding& said = finding;  // clang 14 does not capture a structured binding
        const auto same = std::find_if(groups.begin(), groups.end(), [&said](const auto& group) {
            return group.first.level == said.level && group.first.text == said.text;
        });
        if (same == groups.end()) {
            groups.push_back({finding, {node}});
        } else {
            same->second.push_back(node);
        }
    }
    std::vector<Finding> folded;
    for (const auto& [finding, nodes] : groups)
        folded.push_back({finding.level, slurm::compress_hostlist(nodes) + ": " + finding.text});
    return folded;
}

}  // namespace ddict::launcher
