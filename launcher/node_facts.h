// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a node says of itself to ddict-launch --check, and how that travels: as lines, which srun merges.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launcher/memory_budget.h"
#include "launcher/network_trial.h"

namespace ddict::launcher {

/// System V shared memory, which UCX uses inside a node. All 0: the kernel does not say.
struct SegmentFacts {
    std::uint64_t max = 0;   // kernel.shmmni
    std::uint64_t used = 0;  // by everybody
    std::uint64_t left = 0;  // of those: nobody has them mapped, and their creators have ended
};

/// How a node got on with the others.
struct NetworkFacts {
    std::vector<std::string> used;      // interfaces that UCX may take
    std::vector<std::string> left_out;  // because they lead nowhere: "docker0"
    std::uint32_t nodes_tried = 0;
    std::vector<TrialProblem> problems;
    std::uint32_t problems_more = 0;  // than are listed
    std::string error;                // why the others could not be tried
};

struct NodeFacts {
    std::string node;
    std::uint64_t host_name_bytes = 0;  // of the name that the kernel has
    MemoryHave memory;
    std::string
        limit_unseen;  // why the limit of the cgroup could not be read; empty: it was, or there is none
    std::uint64_t shared_total_bytes = 0;
    std::uint64_t open_files_soft = 0;
    std::uint64_t open_files_hard = 0;
    std::uint64_t file_bytes_max = UINT64_MAX;  // ulimit -f
    SegmentFacts segments;
    std::uint64_t stale_removed = 0;  // segments in /dev/shm of dictionaries of this user that had ended
    std::string kept;                 // dictionaries that this user has kept here, for people; empty: none
    std::string kept_unseen;          // why that could not be found out; empty: it was
    std::string kept_of_name;         // with --resume: see pack_kept()
    std::uint32_t rank = 0;           // among the nodes
    std::string ucx_version;          // empty: ucx_error says why
    std::string ucx_error;
    std::string ucx_refused;  // settings that ddict makes and this version of UCX does not take
    std::vector<std::pair<std::string, std::string>> transports;  // transport, device
    std::string places;                                           // with --bind: of its managers, for people
    std::string unbound;                                          // why there are none
    std::string no_huge_pages;                                    // with --huge-pages: why there are none
    NetworkFacts network;
};

inline constexpr std::string_view node_facts_prefix = "@ddict-check ";
/// Whole lines with the prefix, short enough for srun not to cut them: see events.h.
std::string format_facts(const NodeFacts& facts);
/// From what all nodes have printed, mixed line by line. Sorted by node; other lines are ignored.
std::vector<NodeFacts> parse_facts(std::string_view output);

/// From the text of /proc/sysvipc/shm. `alive` says whether a process of this number still runs.
SegmentFacts count_segments(std::string_view list, bool (*alive)(std::int64_t pid));

}  // namespace ddict::launcher
