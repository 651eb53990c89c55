// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The preflight's judgement: from what was found on the nodes (node_facts.h) to lines that say ok, warning or
// failed, and what to do. Pure; check.h gathers the facts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "launcher/node_facts.h"
#include "launcher/plan.h"

namespace ddict::launcher {

enum class Level { ok, warning, failed };

struct Finding {
    Level level = Level::ok;
    std::string text;
};

Finding judge_ucx(const NodeFacts& facts);
/// spans_nodes: managers and clients on other nodes have to be reached.
Finding judge_network(const NodeFacts& facts, bool spans_nodes);
Finding judge_memory(const NodeFacts& facts, const MemoryNeed& need);
/// What takes memory since it was kept. Never a failure.
Finding judge_kept(const NodeFacts& facts);
/// With --resume: whether what the nodes have kept can be resumed.
Finding judge_resume(const NodePlan& plan, std::vector<NodeFacts> facts);
/// With --bind: where the managers of a node are to run.
Finding judge_places(const NodeFacts& facts);
/// With --huge-pages. Never a failure.
Finding judge_huge_pages(const NodeFacts& facts);
Finding judge_open_files(const NodeFacts& facts, std::uint32_t managers);
/// Of System V, of which other programs over UCX take some. Never a failure.
Finding judge_segments(const NodeFacts& facts);
/// Whether it is one that UCX can do with.
Finding judge_host_name(const NodeFacts& facts);
/// Whether the other nodes could be reached, and if not, which interface to leave out.
Finding judge_reach(const NodeFacts& facts);

/// A finding per line, wrapped to 80 columns: "ok       text", "warning  text", "failed   text".
std::string format_findings(const std::vector<Finding>& findings);

/// Nodes that found the same share a line: "n[1-4]: text".
std::vector<Finding> fold_nodes(const std::vector<std::pair<std::string, Finding>>& by_node);

}  // namespace ddict::launcher
