// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/node_launcher.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "launcher/events.h"
#include "launcher/launch_loop.h"
#include "launcher/node/bring_up.h"
#include "launcher/node/node.h"
#include "os/file_descriptor.h"
#include "os/signals.h"

namespace ddict::launcher {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds look_interval{50};
constexpr milliseconds last_words_grace{1'000};

/// Until the dictionary is to end.
void watch(Node& node) {
    for (;;) {
        const Guardian::Turn turn = node.guardian.next_turn(node.managers.summary());
        if (turn.beat) node.loop.report(node.identity.event(Event::Kind::beat));
        if (turn.is_over) return;
        node.loop.turn(turn.wait_max);
    }
}

void end_managers(Node& node) {
    node.managers.stop();
    node.guardian.begin_stop();
    for (;;) {
        switch (node.guardian.next_stop(node.managers.any_runs())) {
            case Guardian::Stop::done:
                return;
            case Guardian::Stop::kill:
                node.managers.kill();
                break;
            case Guardian::Stop::wait:
                node.loop.turn(look_interval);
                break;
        }
    }
}

/// What a client has said of it counts more than what the launcher says.
bool is_to_be_kept(const Node& node) {
    if (node.managers.summary().any_ended_by_client) return node.managers.is_any_to_be_kept();
    return node.guardian.is_told_to_keep();
}

/// False, and the user is told why, if it cannot be.
bool keep(Node& node) {
    const auto kept = node.segments.keep();
    if (kept) return true;
    std::fprintf(stderr, "ddict-launch on %s: the pools are not kept: %s\n", node.identity.node.c_str(),
                 reason(kept.error()).c_str());
    return false;
}

void linger(Node& node) {
    node.guardian.begin_linger();
    while (node.guardian.lingers())
        node.loop.turn(look_interval);
}

int run(Node& node) {
    BringUp bring_up(node);
    if (const auto up = bring_up.run(); !up) {
        if (!node.guardian.told_to_stop()) {
            Event failed = node.identity.event(Event::Kind::error);
            failed.text = bring_up.why(up.error());
            // There were no keys to be lost.
            const bool lost = up.error().code == Errc::manager_lost;
            failed.code = lost ? Errc::system : up.error().code;
            node.loop.report(failed);
        }
        end_managers(node);
        node.segments.remove();
        linger(node);
        node.loop.flush_within(last_words_grace);
        return 1;
    }
    watch(node);
    Event stopped = node.identity.event(Event::Kind::stopped);
    stopped.text = node.guardian.told_to_stop() ? "asked to" : stopped_by_client;
    end_managers(node);
    stopped.kept = is_to_be_kept(node) && keep(node);
    Event summary = node.identity.event(Event::Kind::summary);
    summary.summary = node.managers.end_summary();
    node.loop.report(summary);
    node.loop.report(stopped);
    node.loop.flush_within(last_words_grace);
    // The last: the kernel takes seconds to free the memory of large pools, and who waits is to know why.
    node.segments.remove();
    return 0;
}

}  // namespace

int run_node_launcher(const NodePlan& plan, os::Environment environment) {
    auto signals = os::SignalFd::open(os::outside_signals());
    os::ignore_reserved_signals();
    // Theirs alone, and the managers': nobody waits there for a reader.
    os::set_non_blocking(STDOUT_FILENO);
    os::set_non_blocking(STDERR_FILENO);
    if (!signals) {
        Event failed;
        failed.kind = Event::Kind::error;
        failed.text = reason(signals.error());
        os::write_fully(STDOUT_FILENO, format_event(failed));
        return 1;
    }
    environment.erase(secret_variable);
    Node node(plan, std::move(environment), *std::move(signals));
    return run(node);
}

}  // namespace ddict::launcher
