// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/log_entries.h"

#include "base/counted.h"
#include "base/hex.h"
#include "launcher/sizes.h"

namespace ddict::launcher {

std::optional<LogEntry> log_entry(const Event& event) {
    LogEntry entry{.kind = {}, .node = event.node, .text = event.text};
    switch (event.kind) {
        case Event::Kind::node:
            entry.kind = "node";
            entry.text = "a node launcher runs";
            return entry;
        case Event::Kind::manager:
            entry.kind = "manager";
            entry.manager = event.manager;
            entry.text = "has started" + (event.text.empty() ? "" : " " + event.text);
            return entry;
        case Event::Kind::ready:
            entry.kind = "ready";
            entry.text = "the dictionary serves";
            return entry;
        case Event::Kind::lost:
            entry.level = LogLevel::error;
            entry.kind = "lost";
            entry.manager = event.manager;
            return entry;
        case Event::Kind::back:
            entry.level = event.missing == 0 ? LogLevel::warning : LogLevel::error;
            entry.kind = "recovered";
            entry.manager = event.manager;
            entry.text += "; back after " + std::to_string(event.milliseconds) + " ms with " +
                          counted(event.pairs, "pair") + ", " + std::to_string(event.missing) + " missing";
            return entry;
        case Event::Kind::resumed:
            entry.kind = "resumed";
            entry.text = counted(event.pairs, "pair") + ", " + std::to_string(event.missing) + " missing";
            return entry;
        case Event::Kind::fill:
            entry.level = LogLevel::warning;
            entry.kind = "fill";
            entry.manager = event.manager;
            entry.text = std::to_string(event.fill.percent) + "% full, " +
                         format_size(event.fill.used_bytes) + " of " + format_size(event.fill.pool_bytes);
            return entry;
        case Event::Kind::filled:
            entry.level =
                event.text.find("no more") == std::string::npos ? LogLevel::info : LogLevel::warning;
            entry.kind = "filled";
            entry.manager = event.manager;
            return entry;
        case Event::Kind::session:
            entry.level = LogLevel::debug;
            entry.kind = "session";
            entry.manager = event.manager;
            return entry;
        case Event::Kind::stopped:
            entry.kind = "stopped";
            return entry;
        case Event::Kind::ending:
            entry.level = LogLevel::warning;
            entry.kind = "job";
            entry.text = "Slurm is ending the job";
            return entry;
        case Event::Kind::error:
            entry.level = LogLevel::error;
            entry.kind = "error";
            return entry;
        case Event::Kind::handle:
        case Event::Kind::beat:
        case Event::Kind::gone:
        case Event::Kind::part:
        case Event::Kind::summary:
        case Event::Kind::moved:
            break;
    }
    return std::nullopt;
}

std::string back_notice(const Event& event) {
    std::string text = "manager " + std::to_string(number_of(event.manager)) + " on " + event.node + " " +
                       event.text + "; back after " + std::to_string(event.milliseconds) + " ms, with " +
                       counted(event.pairs, "pair");
    if (event.missing != 0)
        text += "; " + std::to_string(event.missing) + " are missing, since their memory was damaged";
    return text;
}

std::string resumed_notice(const Event& event) {
    std::string text = event.node + " has resumed what it has kept: " + counted(event.pairs, "pair");
    if (event.missing != 0)
        text += "; " + std::to_string(event.missing) + " are missing, since their memory was damaged";
    if (event.text.empty()) return text;
    return text + (event.text.find(',') == std::string::npos
                       ? "; nothing was kept of manager " + event.text + ", which begins empty"
                       : "; nothing was kept of managers " + event.text + ", which begin empty");
}

std::string start_text(const LaunchPlan& plan) {
    return "'" + plan.name + "', dictionary " + hex(plan.identity.dictionary_id) + ", " +
           counted(plan.managers(), "manager") + " on " + counted(plan.nodes, "node") + ", " +
           format_size(plan.total_bytes()) + (plan.in_job() ? ", job " + plan.allocation->job_id : "");
}

std::string end_text(const Ending& ending, bool was_ready) {
    if (!was_ready) return "it never served";
    return what_was_lost(ending);
}

}  // namespace ddict::launcher
