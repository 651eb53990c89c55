// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What managers might say of themselves.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tools/activity.h"

namespace ddict::tools {

/// A manager that has done `work` puts and twice as many gets, whose clients have read three times as many
/// keys from its memory, and that has a half-full pool.
inline ManagerSample working(std::uint32_t manager, std::uint64_t work) {
    ManagerStats stats;
    stats.manager = manager;
    stats.node = "node" + std::to_string(manager / 2);
    stats.pid = static_cast<std::int32_t>(1000 + manager);
    stats.keys = work;
    stats.pool_bytes = 1 << 30;
    stats.used_bytes = stats.pool_bytes / 2;
    stats.free_bytes = stats.pool_bytes / 2;
    stats.largest_free_bytes = 100 << 20;
    stats.sessions = 12;
    stats.waiting = 3;
    stats.puts = work;
    stats.gets = 2 * work;
    stats.local_reads = 3 * work;
    stats.operations = {{Operation::put, work, 2'000, 9'000, 50'000},
                        {Operation::get, 2 * work, 1'000, 4'000, 30'000},
                        {Operation::fetch_add, work / 2, 1'500, 5'000, 20'000},
                        {Operation::stats, 100 * work, 700'000, 800'000, 900'000}};
    return {.manager = manager, .node = stats.node, .stats = stats};
}

inline ManagerSample gone(std::uint32_t manager) {
    Error error(Errc::manager_lost, "process 7 of this host has ended");
    return {.manager = manager, .lost = error.set_state(ManagerState::ended)};
}

inline ManagerSample stopped(std::uint32_t manager) {
    Error error(Errc::timeout, "the manager did not answer in time");
    return {.manager = manager, .lost = error.set_state(ManagerState::silent)};
}

/// All managers, `seconds` after the first sample.
inline Sample sample_at(int seconds, std::uint32_t managers, std::uint64_t work) {
    Sample sample;
    sample.at += std::chrono::hours(1) + std::chrono::seconds(seconds);
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        sample.managers.push_back(working(manager, work));
    return sample;
}

}  // namespace ddict::tools
