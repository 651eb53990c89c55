// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The life of a node launcher: makes the node's pools, starts its managers, exchanges their addresses with
// the other nodes, reports events on standard output, watches its managers, and cleans up. The end of its
// standard input means that nobody needs the dictionary any more; once it serves, no signal does.
#pragma once

#include "launcher/plan.h"
#include "os/environment.h"

namespace ddict::launcher {

/// Returns the exit status: 0 if the dictionary ended in good order, 1 if it never came up.
int run_node_launcher(const NodePlan& plan, os::Environment environment);

}  // namespace ddict::launcher
