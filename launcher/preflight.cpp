// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/preflight.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launcher/sizes.h"
#include "slurm/hostlist.h"

namespace ddict::launcher {
namespace {

using nlohmann::json;

constexpr std::size_t columns = 80;
constexpr std::size_t text_bytes_max = 200;
constexpr std::size_t level_columns = 9;
// A connection is a file; below this a dictionary of ordinary size runs short.
constexpr std::uint64_t open_files_wanted = 4096;
constexpr std::uint64_t open_files_per_manager = 256;

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

/// One line of one node; lines that make no sense change nothing.
void take_facts(const json& object, std::map<std::string, NodeFacts>& by_node) {
    try {
        const std::string node = object.at("node");
        if (object.contains("transport")) {
            by_node[node].transports.emplace_back(object.at("transport"), object.at("device"));
            return;
        }
        NodeFacts facts;
        object.at("shared_total").get_to(facts.shared_total_bytes);
        object.at("shared_free").get_to(facts.memory.shared_free_bytes);
        object.at("memory_free").get_to(facts.memory.free_bytes);
        object.at("memory_limited_by").get_to(facts.memory.limited_by);
        object.at("open_files_soft").get_to(facts.open_files_soft);
        object.at("open_files_hard").get_to(facts.open_files_hard);
        object.at("ucx_version").get_to(facts.ucx_version);
        object.at("ucx_error").get_to(facts.ucx_error);
        object.at("ucx_refused").get_to(facts.ucx_refused);
        facts.node = node;
        facts.transports = std::move(by_node[node].transports);
        by_node[node] = std::move(facts);
    } catch (const json::exception&) {
        return;
    }
}

}  // namespace

std::string format_facts(const NodeFacts& facts) {
    const auto line = [](const json& object) {
        return std::string(node_facts_prefix) + object.dump(-1, ' ', false, json::error_handler_t::replace) +
               "\n";
    };
    std::string lines = line({{"node", facts.node},
                              {"shared_total", facts.shared_total_bytes},
                              {"shared_free", facts.memory.shared_free_bytes},
                              {"memory_free", facts.memory.free_bytes},
                              {"memory_limited_by", facts.memory.limited_by.substr(0, text_bytes_max)},
                              {"open_files_soft", facts.open_files_soft},
                              {"open_files_hard", facts.open_files_hard},
                              {"ucx_version", facts.ucx_version},
                              {"ucx_error", facts.ucx_error.substr(0, text_bytes_max)},
                              {"ucx_refused", facts.ucx_refused.substr(0, text_bytes_max)}});
    for (const auto& [transport, device] : facts.transports)
        lines += line({{"node", facts.node}, {"transport", transport}, {"device", device}});
    return lines;
}

std::vector<NodeFacts> parse_facts(std::string_view output) {
    std::map<std::string, NodeFacts> by_node;
    std::istringstream lines{std::string(output)};
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(node_facts_prefix)) continue;
        const json object = json::parse(line.substr(node_facts_prefix.size()), nullptr, false);
        if (object.is_object()) take_facts(object, by_node);
    }
    std::vector<NodeFacts> all;
    for (auto& [node, facts] : by_node) {
        if (!facts.node.empty()) all.push_back(std::move(facts));
    }
    return all;
}

Finding judge_ucx(const NodeFacts& facts) {
    if (facts.ucx_version.empty()) return {Level::failed, "UCX: " + facts.ucx_error};
    std::vector<std::string> inside;
    for (const auto& transport : facts.transports) {
        if (transport.second == "memory" && transport.first != "self") inside.push_back(transport.first);
    }
    if (inside.empty())
        return {Level::warning,
                "UCX " + facts.ucx_version +
                    " has no shared memory: same-node traffic goes over the network; let UCX_TLS "
                    "include sm, or unset it"};
    const std::string text = "UCX " + facts.ucx_version + ", within a node over " + joined(inside);
    if (facts.ucx_refused.empty()) return {Level::ok, text};
    return {Level::warning, text + "; this version does not take " + facts.ucx_refused +
                                ": ddict goes without; see docs/dependencies.md"};
}

Finding judge_network(const NodeFacts& facts, bool spans_nodes) {
    std::vector<std::string> devices;
    for (const auto& transport : facts.transports) {
        if (is_network(transport)) devices.push_back(transport.first + "/" + transport.second);
    }
    if (devices.empty() && !facts.ucx_version.empty() && spans_nodes)
        return {Level::failed,
                "no network device that UCX can use: let UCX_TLS and UCX_NET_DEVICES include one"};
    if (devices.empty())
        return {spans_nodes ? Level::failed : Level::ok, "no network device; none is needed on one node"};
    return {Level::ok,
            "network " + joined(devices) + (devices.size() > 1 ? "; UCX_NET_DEVICES chooses" : "")};
}

Finding judge_memory(const NodeFacts& facts, const MemoryNeed& need) {
    if (const auto room = check_memory(need, facts.memory); !room)
        return {Level::failed, "memory: " + std::string(room.error().detail.data())};
    return {Level::ok, "memory: needs " + format_size(need.shared_bytes()) + "; /dev/shm of " +
                           format_size(facts.shared_total_bytes) + " has " +
                           format_size(facts.memory.shared_free_bytes) + " free, " + facts.memory.limited_by +
                           " " + format_size(facts.memory.free_bytes)};
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
