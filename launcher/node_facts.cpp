// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_facts.h"

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace ddict::launcher {
namespace {

using nlohmann::json;

constexpr std::size_t text_bytes_max = 200;
constexpr std::size_t name_bytes_max = 64;
constexpr std::size_t places_bytes_max = 600;
constexpr std::size_t problems_listed_max = 32;

std::string cut(const std::string& text, std::size_t bytes = text_bytes_max) {
    return text.substr(0, bytes);
}

std::string line(const json& object) {
    return std::string(node_facts_prefix) + object.dump(-1, ' ', false, json::error_handler_t::replace) +
           "\n";
}

/// Bytes of any value, as JSON can carry them.
std::string to_hex(const std::string& bytes) {
    std::string digits;
    for (const char c : bytes) {
        digits += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
        digits += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
    }
    return digits;
}

std::string from_hex(const std::string& digits) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        bytes += static_cast<char>(std::strtoul(digits.substr(i, 2).c_str(), nullptr, 16));
    return bytes;
}

json machine_object(const NodeFacts& facts) {
    return {{"node", facts.node},
            {"host_name_bytes", facts.host_name_bytes},
            {"shared_total", facts.shared_total_bytes},
            {"shared_free", facts.memory.shared_free_bytes},
            {"memory_free", facts.memory.free_bytes},
            {"memory_limited_by", cut(facts.memory.limited_by)},
            {"limit_unseen", cut(facts.limit_unseen)},
            {"open_files_soft", facts.open_files_soft},
            {"open_files_hard", facts.open_files_hard},
            {"file_bytes_max", facts.file_bytes_max},
            {"segments", {facts.segments.max, facts.segments.used, facts.segments.left}},
            {"stale_removed", facts.stale_removed},
            {"kept", cut(facts.kept)},
            {"kept_unseen", cut(facts.kept_unseen)},
            {"no_huge_pages", cut(facts.no_huge_pages)},
            {"rank", facts.rank}};
}

void read_machine(const json& object, NodeFacts& facts) {
    object.at("host_name_bytes").get_to(facts.host_name_bytes);
    object.at("shared_total").get_to(facts.shared_total_bytes);
    object.at("shared_free").get_to(facts.memory.shared_free_bytes);
    object.at("memory_free").get_to(facts.memory.free_bytes);
    object.at("memory_limited_by").get_to(facts.memory.limited_by);
    object.at("limit_unseen").get_to(facts.limit_unseen);
    object.at("open_files_soft").get_to(facts.open_files_soft);
    object.at("open_files_hard").get_to(facts.open_files_hard);
    object.at("file_bytes_max").get_to(facts.file_bytes_max);
    object.at("segments").at(0).get_to(facts.segments.max);
    object.at("segments").at(1).get_to(facts.segments.used);
    object.at("segments").at(2).get_to(facts.segments.left);
    object.at("stale_removed").get_to(facts.stale_removed);
    object.at("kept").get_to(facts.kept);
    object.at("kept_unseen").get_to(facts.kept_unseen);
    object.at("no_huge_pages").get_to(facts.no_huge_pages);
    object.at("rank").get_to(facts.rank);
    facts.node = object.at("node");
}

/// One line of one node; lines that make no sense change nothing.
void take_facts(const json& object, std::map<std::string, NodeFacts>& by_node) {
    try {
        NodeFacts facts = by_node[object.at("node").get<std::string>()];
        if (object.contains("transport")) {
            facts.transports.emplace_back(object.at("transport"), object.at("device"));
        } else if (object.contains("ucx_version")) {
            object.at("ucx_version").get_to(facts.ucx_version);
            object.at("ucx_error").get_to(facts.ucx_error);
            object.at("ucx_refused").get_to(facts.ucx_refused);
        } else if (object.contains("interface")) {
            (object.at("used").get<bool>() ? facts.network.used : facts.network.left_out)
                .push_back(object.at("interface"));
        } else if (object.contains("places")) {
            object.at("places").get_to(facts.places);
            object.at("unbound").get_to(facts.unbound);
        } else if (object.contains("kept_of_name")) {
            facts.kept_of_name = from_hex(object.at("kept_of_name").get<std::string>());
        } else if (object.contains("nodes_tried")) {
            object.at("nodes_tried").get_to(facts.network.nodes_tried);
            object.at("problems_more").get_to(facts.network.problems_more);
            object.at("error").get_to(facts.network.error);
        } else if (object.contains("problem")) {
            const json& problem = object.at("problem");
            facts.network.problems.push_back({problem.at(0), problem.at(1), problem.at(2), problem.at(3)});
        } else {
            read_machine(object, facts);
        }
        by_node[object.at("node").get<std::string>()] = std::move(facts);
    } catch (const json::exception&) {
        return;
    }
}

}  // namespace

std::string format_facts(const NodeFacts& facts) {
    const std::string& node = facts.node;
    const NetworkFacts& network = facts.network;
    std::string lines = line(machine_object(facts));
    lines += line({{"node", node},
                   {"ucx_version", facts.ucx_version},
                   {"ucx_error", cut(facts.ucx_error)},
                   {"ucx_refused", cut(facts.ucx_refused)}});
    if (!facts.kept_of_name.empty())
        lines += line({{"node", node}, {"kept_of_name", to_hex(facts.kept_of_name)}});
    if (!facts.places.empty() || !facts.unbound.empty())
        lines += line({{"node", node},
                       {"places", cut(facts.places, places_bytes_max)},
                       {"unbound", cut(facts.unbound)}});
    for (const auto& [transport, device] : facts.transports)
        lines += line({{"node", node}, {"transport", transport}, {"device", device}});
    for (const std::string& name : network.used)
        lines += line({{"node", node}, {"interface", name}, {"used", true}});
    for (const std::string& name : network.left_out)
        lines += line({{"node", node}, {"interface", name}, {"used", false}});
    const std::size_t listed = std::min(network.problems.size(), problems_listed_max);
    for (std::size_t i = 0; i < listed; ++i) {
        const TrialProblem& problem = network.problems[i];
        lines += line({{"node", node},
                       {"problem",
                        {cut(problem.to, name_bytes_max), problem.interface,
                         cut(problem.address, name_bytes_max), cut(problem.why)}}});
    }
    return lines + line({{"node", node},
                         {"nodes_tried", network.nodes_tried},
                         {"problems_more", network.problems.size() - listed},
                         {"error", cut(network.error)}});
}

std::vector<NodeFacts> parse_facts(std::string_view output) {
    std::map<std::string, NodeFacts> by_node;
    std::istringstream lines{std::string(output)};
    for (std::string text; std::getline(lines, text);) {
        if (!text.starts_with(node_facts_prefix)) continue;
        const json object = json::parse(text.substr(node_facts_prefix.size()), nullptr, false);
        if (object.is_object()) take_facts(object, by_node);
    }
    std::vector<NodeFacts> all;
    for (auto& [node, facts] : by_node) {
        if (!facts.node.empty()) all.push_back(std::move(facts));
    }
    return all;
}

// "key shmid perms size cpid lpid nattch uid ...", and a line of headings.
SegmentFacts count_segments(std::string_view list, bool (*alive)(std::int64_t pid)) {
    SegmentFacts facts;
    std::istringstream lines{std::string(list)};
    for (std::string text; std::getline(lines, text);) {
        std::istringstream fields(text);
        std::int64_t key = 0;
        std::int64_t id = 0;
        std::int64_t rights = 0;
        std::uint64_t bytes = 0;
        std::int64_t creator = 0;
        std::int64_t last = 0;
        std::uint64_t attached = 0;
        if (!(fields >> key >> id >> rights >> bytes >> creator >> last >> attached)) continue;
        ++facts.used;
        // A creator of another PID namespace shows as 0: nothing is known of it.
        if (attached == 0 && creator > 0 && !alive(creator)) ++facts.left;
    }
    return facts;
}

}  // namespace ddict::launcher
