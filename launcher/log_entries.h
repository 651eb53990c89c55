// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What of a dictionary's events goes into its log, in words. Pure.
#pragma once

#include <optional>
#include <string>

#include "launcher/end_summary.h"
#include "launcher/events.h"
#include "launcher/log.h"
#include "launcher/plan.h"

namespace ddict::launcher {

/// None of what says nothing to people, and of what the launcher tells in words of its own.
std::optional<LogEntry> log_entry(const Event& event);

/// For the user, of a manager that serves again, and of a node that has resumed.
std::string back_notice(const Event& event);
std::string resumed_notice(const Event& event);

/// What is started: its name, managers, nodes and memory. Not the secret.
std::string start_text(const LaunchPlan& plan);
std::string end_text(const Ending& ending, bool was_ready);

}  // namespace ddict::launcher
