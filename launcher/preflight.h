// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The preflight's judgement: from what was found on the nodes to lines that say ok, warning or failed, and
// what to do. Pure; check.h gathers the facts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launcher/memory_budget.h"

namespace ddict::launcher {

enum class Level { ok, warning, failed };

struct Finding {
    Level level = Level::ok;
    std::string text;
};

/// What a node says of itself.
struct NodeFacts {
    std::string node;
    MemoryHave memory;
    std::uint64_t shared_total_bytes = 0;
    std::uint64_t open_files_soft = 0;
    std::uint64_t open_files_hard = 0;
    std::string ucx_version;  // empty: ucx_error says why
    std::string ucx_error;
    std::string ucx_refused;  // settings that ddict makes and this version of UCX does not take
    std::vector<std::pair<std::string, std::string>> transports;  // transport, device
};

inline constexpr std::string_view node_facts_prefix = "@ddict-check ";
/// Whole lines with the prefix, short enough for srun not to cut them: see events.h.
std::string format_facts(const NodeFacts& facts);
/// From what all nodes have printed, mixed line by line. Sorted by node; other lines are ignored.
std::vector<NodeFacts> parse_facts(std::string_view output);

Finding judge_ucx(const NodeFacts& facts);
/// spans_nodes: managers and clients on other nodes have to be reached.
Finding judge_network(const NodeFacts& facts, bool spans_nodes);
Finding judge_memory(const NodeFacts& facts, const MemoryNeed& need);
Finding judge_open_files(const NodeFacts& facts, std::uint32_t managers);

/// A finding per line, wrapped to 80 columns: "ok       text", "warning  text", "failed   text".
std::string format_findings(const std::vector<Finding>& findings);

/// Nodes that found the same share a line: "n[1-4]: text".
std::vector<Finding> fold_nodes(const std::vector<std::pair<std::string, Finding>>& by_node);

}  // namespace ddict::launcher
