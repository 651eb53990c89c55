// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The directory while the node launchers put it together: each gives its managers' entries, all get all.
// Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "cluster/directory.h"
#include "cluster/handle.h"
#include "launcher/plan.h"

namespace ddict::launcher {

/// One node's contribution to the exchange.
struct NodeContribution {
    std::uint32_t ucx_version = 0;
    std::vector<std::string> used_addresses;  // of the interfaces that its managers use
    std::vector<std::string> hosts;           // all of this node, from which clients may come; or "all"
    std::vector<DirectoryEntry> entries;
};
std::string pack_node(const NodeContribution& node);

struct NodeDirectory {
    std::uint32_t ucx_version = 0;
    std::vector<DirectoryEntry> entries;        // by manager id, complete
    std::vector<std::string> shared_addresses;  // that several of the nodes use; no more than are looked at
    std::vector<std::string> hosts;             // of all nodes, each once

    /// protocol if the contributions do not make a complete directory of managers_per_node on each node;
    /// incompatible if nodes run different versions of UCX.
    static Result<NodeDirectory> gather(const std::vector<std::string>& contributions,
                                        std::uint32_t managers_per_node);

    /// The handle, its seeds spread over the nodes.
    Handle handle(const NodePlan& plan) const;
};

}  // namespace ddict::launcher
