// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/restarts.h"

#include <utility>

#include "base/limits.h"

namespace ddict::launcher {

using std::chrono::milliseconds;

void Restarts::begin(std::vector<DirectoryEntry> entries) {
    shards_.clear();
    for (DirectoryEntry& entry : entries)
        shards_.push_back({.entry = std::move(entry), .ends = {}, .down_since = {}, .how = {}});
}

const DirectoryEntry& Restarts::change(Shard& shard, ServingState state, std::string reason) {
    shard.entry.epoch = next(shard.entry.epoch);
    shard.entry.state = state;
    shard.entry.reason = std::move(reason);
    return shard.entry;
}

const DirectoryEntry& Restarts::on_end(std::uint32_t local, const End& end) {
    Shard& shard = shards_[local];
    const auto now = options_.now();
    const std::string how(end.how);
    if (shard.entry.state == ServingState::serving) {
        shard.down_since = now;
        shard.how = how;
    }
    while (!shard.ends.empty() && now - shard.ends.front() >= limits::restarts_counted_within)
        shard.ends.pop_front();
    if (!end.is_wanted) shard.ends.push_back(now);
    if (!options_.enabled || !end.may_restart) return change(shard, ServingState::lost, how);
    if (shard.ends.size() < limits::ends_of_manager_max) return change(shard, ServingState::restarting, {});
    constexpr auto within = std::chrono::duration_cast<std::chrono::seconds>(limits::restarts_counted_within);
    return change(shard, ServingState::lost,
                  how + "; that was " + std::to_string(shard.ends.size()) + " times within " +
                      std::to_string(within.count()) + " s, and it is not started again");
}

const DirectoryEntry& Restarts::give_up(std::uint32_t local, std::string_view why) {
    Shard& shard = shards_[local];
    return change(shard, ServingState::lost,
                  shard.how + " and could not be started again: " + std::string(why));
}

Restarts::Back Restarts::on_back(std::uint32_t local, const DirectoryEntry& announced) {
    Shard& shard = shards_[local];
    shard.entry.process = announced.process;
    shard.entry.pool_bytes = announced.pool_bytes;
    shard.entry.address = announced.address;
    return {.entry = change(shard, ServingState::serving, {}),
            .how = shard.how,
            .down = std::chrono::ceil<milliseconds>(options_.now() - shard.down_since)};
}

}  // namespace ddict::launcher
