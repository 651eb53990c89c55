// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The node's part of ddict-launch --check: looks at one node, and tries the others.
#pragma once

#include "launcher/node_facts.h"
#include "launcher/plan.h"
#include "os/environment.h"

namespace ddict::launcher {

/// Everything that a node can find out about itself; and about the others, if they meet through PMIx.
NodeFacts look_at_this_node(const NodePlan& plan, const os::Environment& environment);

/// The last line of a program's output that says something.
std::string last_line(const std::string& text);

}  // namespace ddict::launcher
