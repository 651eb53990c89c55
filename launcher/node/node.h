// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <vector>

#include "launcher/binding.h"
#include "launcher/node/guardian.h"
#include "launcher/node/managers.h"
#include "launcher/node/node_identity.h"
#include "launcher/node/node_loop.h"
#include "launcher/node/restarts.h"
#include "launcher/node/segments.h"
#include "launcher/plan.h"
#include "os/environment.h"
#include "os/signals.h"

namespace ddict::launcher {

/// What a node launcher is made of. Stays where it is: the parts refer to each other.
struct Node {
    /// `plan` must outlive it.
    Node(const NodePlan& node_plan, os::Environment own_environment, os::SignalFd signals)
        : plan(node_plan),
          environment(std::move(own_environment)),
          guardian({.in_job = plan.in_job,
                    .beats = plan.bootstrap != Bootstrap::alone,
                    .bring_up_timeout = plan.timeout,
                    .job_runs_here = [this] { return others_of_job_run_here(environment); }}),
          segments(plan, identity, places),
          managers(plan, environment, identity, places),
          restarts({.enabled = plan.restart}),
          loop(std::move(signals), identity, guardian, segments, managers, restarts) {}
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    const NodePlan& plan;
    const os::Environment environment;
    NodeIdentity identity;
    std::vector<Place> places;  // of the managers; empty: none is bound
    Guardian guardian;
    NodeSegments segments;
    NodeManagers managers;
    Restarts restarts;
    NodeLoop loop;
};

}  // namespace ddict::launcher
